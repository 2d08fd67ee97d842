"""Fitting a network to one image: the same for all methods that do it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from unpaired.core.devices import choose_precision, keep_freed_memory
from unpaired.core.randomness import seed_for
from unpaired.learning.steps import take_step

SECONDS_BETWEEN_LINES = 60.0


@contextmanager
def fitting_on(device: torch.device, *seed_key: object) -> Iterator[None]:
    """Fit a network to one image in here, whatever the caller has set, and leave no trace.

    Gradients are recorded, also within ``torch.no_grad`` and ``torch.inference_mode``. Random
    numbers depend on ``seed_key`` alone, and the caller's random state is put back.
    """
    if device.type == "cpu":
        keep_freed_memory()
    on_gpu = device.type == "cuda"
    with (
        torch.inference_mode(False),
        # Within the caller's autocast, weights would be rounded once and then taken from its cache.
        torch.autocast(device.type, enabled=False, cache_enabled=False),
        torch.random.fork_rng([device] if on_gpu else []),
    ):
        seed = seed_for(*seed_key)
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def fit(
    title: str,
    losses: Callable[[], dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    *,
    steps: int,
    device: torch.device,
    precision: str,
    backward: Callable[[Tensor], None] = Tensor.backward,
) -> None:
    """Take ``steps`` optimizer steps, with a line on standard error every minute.

    precision: "auto", "bf16" or "fp32"; raises UnpairedError for bf16 where there is none.
    """
    precision = choose_precision(precision, device)
    last_line = time.perf_counter()
    for step in range(1, steps + 1):
        computed = take_step(
            losses, optimizer, factor=1.0, device=device, precision=precision, backward=backward
        )
        if time.perf_counter() - last_line > SECONDS_BETWEEN_LINES:
            last_line = time.perf_counter()
            line = f"{title}: {step}/{steps} steps, loss {computed['loss'].detach().item():.5f}"
            print(line, file=sys.stderr, flush=True)
