"""What the papers' budgets would cost on this machine: one step measured, the length known."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from unpaired import catalog
from unpaired.core.devices import choose_device, choose_precision, describe, keep_freed_memory
from unpaired.learning.create import create
from unpaired.learning.method import Method, Observation, TrainingState
from unpaired.learning.steps import take_step

IMAGE_PX = 768 * 512  # A Kodak image stands for "an image".
MEASURED_PX = 128
STEPS = 2
ENOUGH_SECONDS = 2.0  # A step that takes longer is not taken again.


def paper_budget(
    name: str, device: str = "auto", options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Measure a step of a method with the paper's settings, and multiply by the paper's length.

    options: what a table sets of them, beside the method's own.

    Returns hours, and what they are for: "training", or "image" (of 768 x 512) for a method that is
    fitted to every image; hours is None for one that is not fitted at all. One thread or one GPU,
    one image at a time, without reading data: an order of magnitude.
    """
    chosen = choose_device(device)
    precision = choose_precision("auto", chosen)
    if chosen.type == "cpu":
        keep_freed_memory()
    method = create(name, **(options or {}))
    about = {"device": describe(chosen), "precision": precision}
    if catalog.method(name).is_trained:
        seconds = _seconds_of_training(method.to(chosen), chosen, precision)
        return about | {"hours": seconds / 3600, "hours_per": "training"}
    if not hasattr(method.config, "iterations"):
        return about | {"hours": None, "hours_per": "image"}
    seconds = method.config.iterations * _seconds_per_iteration(name, chosen)
    return about | {
        "hours": seconds * IMAGE_PX / MEASURED_PX**2 / 3600,
        "hours_per": "image",
    }


def _seconds_of_training(method: Method, device: torch.device, precision: str) -> float:
    batch = method.timing_batch(device)  # First: it gives the method what its phases may need.
    phases = method.phases()
    if not phases:
        return 0.0
    phase = phases[-1]

    def step() -> None:
        for turn, optimizer in phase.turns.items():
            state = TrainingState(0, 0, 0, 0.5, phase.name, turn)
            take_step(
                partial(method.losses, batch, state),
                optimizer,
                factor=1.0,
                device=device,
                precision=precision,
            )

    return sum(phase.images_seen for phase in phases) * _fastest(step, device)


def _seconds_per_iteration(name: str, device: torch.device) -> float:
    picture = Observation(torch.rand(1, 3, MEASURED_PX, MEASURED_PX, device=device))
    # What averages many outputs spends little of its time on them at the paper's length.
    once = {"passes": 1} if hasattr(create(name).config, "passes") else {}
    few, more = (create(name, iterations=count, **once) for count in (1, 1 + STEPS))
    few.restore(picture)
    spent = _fastest(lambda: few.restore(picture), device, runs=1)
    return max(0.0, _fastest(lambda: more.restore(picture), device, runs=1) - spent) / STEPS


def _fastest(work: Callable[[], Any], device: torch.device, runs: int = STEPS) -> float:
    """Return the seconds of the fastest of ``runs``, of fewer where they take long."""
    seconds: list[float] = []
    while len(seconds) < runs and sum(seconds) < ENOUGH_SECONDS:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
