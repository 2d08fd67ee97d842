"""Learning within minutes from a person's own noisy pictures, and restoring them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unpaired.core.devices import choose_device, choose_precision
from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import seed_for
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.data.samples import CropSamples
from unpaired.imaging.tiling import restore_tiled
from unpaired.learning.create import create
from unpaired.learning.method import Method, Observation, Restorer
from unpaired.learning.training import Checkpointing, Result, train
from unpaired.systems.denoising.offers import is_per_image, restorers
from unpaired.systems.denoising.own_bm3d import create_own
from unpaired.systems.denoising.pixel_shuffle import join_phases, split_phases

SEED = 1
PATCH_PX = 128
PATCH_MULTIPLE_PX = 64  # Sub-images of Neighbor2Neighbor are half as large and feed five poolings.
TILE_PX = 1024
IMAGES_MIN = 40  # Whatever the time; so short a training leaves the pictures nearly as they are.
CROPS_FEW = 600  # A training that has seen fewer is far from what it could be.
LONGER_THAN_EXPECTED = 3
PROBE_STEPS = 6
PROBE_PX = 128
ITERATIONS_MIN = 100  # Fewer leave a network that is fitted to one image with a blur.

# The papers' learning rates and schedules are for days; these are for minutes. The peak rate that a
# few hundred steps bear makes some thousands of steps diverge, so it falls with their square root.
PEAK_LEARNING_RATE = 3e-3
STEPS_AT_PEAK_RATE = 600
SHORT_TRAINING = {
    "patch_px": PATCH_PX,
    "batch_size": 4,
    "schedule": "warmup_cosine",
    "global_residual": True,
}
WIDTH = {"cpu": 24}
WIDTH_ON_GPU = 48
# What single methods need besides, as at demo scale (config/config.yaml says why).
SHORT_TRAINING_OF = {
    # Rarely a gradient is a thousand times longer than the others, and the network never recovers.
    # Of three trainings at twice the peak rate all three were lost, and none with this.
    "neighbor2neighbor": {"gradient_clip": 0.1},
    "n2v": {"patch_px": 64, "masked_percent": 11},
    "noise2self": {"patch_px": 64},
    "laine19": {"patch_px": 64, "noise_parameter": "per_image"},
    "dbsn": {"patch_px": 64, "blocks": 2, "likelihood": "constrained", "width": 16},
    "dip": {
        "width": 16,
        "skip_width": 16,
        "input_channels": 8,
        "perturbation_std": 0.0,
        "averaging": 0.8,
    },
    "self2self": {
        "width": 12,
        "learning_rate": 3e-3,
        "keep_probability": 0.9,
        "dropout": 0.1,
        "passes": 20,
    },
}
PEAK_LEARNING_RATE_OF = {"n2v": 1e-2, "noise2self": 1e-2}


def needs_beside_noisy(name: str) -> list[str]:
    """Return what a method must be given besides noisy pictures; UnpairedError if unknown."""
    method = create(name)
    return [what for what in method.sees if what != "noisy"] + list(method.knows)


def methods_for_noisy() -> list[str]:
    """Return the names of all restorers that need noisy pictures alone."""
    return [name for name in restorers() if not needs_beside_noisy(name)]


def is_fitted_per_image(name: str) -> bool:
    """Say whether a method fits a network to every image by itself."""
    return is_per_image(name) and hasattr(create(name).config, "iterations")


def phase_records(pages: Iterable[tuple[str, np.ndarray]], stride: int) -> Iterator[Record]:
    """Yield what to train on of named conditioned pages, H x W x C: they, or a stride's phases.

    What is smaller than PATCH_MULTIPLE_PX is extended by reflection.
    """
    for name, page in pages:
        for number, phase in enumerate(split_phases(page, stride)):
            short = [max(0, PATCH_MULTIPLE_PX - side) for side in phase.shape[:2]]
            padded = np.pad(phase, ((0, short[0]), (0, short[1]), (0, 0)), mode="reflect")
            yield Record(f"{name} phase {number}", {"image": padded}, name)


def write_noisy_pack(path: Path, records: Iterable[Record]) -> Pack:
    """Write a pack of noisy pages, conditioned, and open it."""
    about = {"source": "noisy pictures", "value_range": (0, 1), "color_space": "as given"}
    write_pack(path, records, settings={}, is_told=False, **about)
    return Pack(path)


class Training(NamedTuple):
    """What `train_within` gives. crops: how many were learned from."""

    method: Method
    seconds: float
    crops: int


def train_within(
    name: str,
    pack: Pack,
    seconds: float,
    *,
    device: str,
    precision: str,
    on_step: Callable[[], None] | None = None,
    checkpointing: Checkpointing | None = None,
) -> Training:
    """Train a method on a pack of noisy pictures until ``seconds`` have passed, by the clock.

    The pack is one of `phase_records`. The method comes back ready to restore on the device. A
    training that goes on from a checkpoint counts what was spent before. At least IMAGES_MIN crops
    are learned from, however slow the machine. Raises UnpairedError if the training diverges, and
    Interrupted if it was asked to stop.
    """
    start = time.perf_counter()
    on_step = on_step or (lambda: None)
    channels = pack.shape(0)[2]
    sides = (min(pack.shape(index)[:2]) for index in pack)
    patch_px = min(PATCH_PX, *(side // PATCH_MULTIPLE_PX * PATCH_MULTIPLE_PX for side in sides))
    width = WIDTH.get(choose_device(device).type, WIDTH_ON_GPU)
    overrides = SHORT_TRAINING | {"channels": channels, "width": width}
    overrides |= SHORT_TRAINING_OF.get(name, {})
    overrides["patch_px"] = patch_px = min(patch_px, overrides["patch_px"])
    peak_rate = PEAK_LEARNING_RATE_OF.get(name, PEAK_LEARNING_RATE)
    common = {"seed": SEED, "device": device, "precision": precision, "on_step": on_step}

    def run(crops: int, longest: int, **limits: Any) -> tuple[Method, Result]:
        torch.manual_seed(seed_for(SEED, "weights"))
        steps = crops / overrides["batch_size"]
        rate = peak_rate * min(1.0, (STEPS_AT_PEAK_RATE / steps) ** 0.5)
        method = create(name, **overrides, learning_rate=rate, images_seen=longest)
        samples = CropSamples(pack, sees=method.sees, patch_px=patch_px, seed=SEED, noise=None)
        return method, train(method, samples, **common, **limits)

    # The first steps of a process are slow; the second probe tells the real pace.
    probe = PROBE_STEPS * overrides["batch_size"]
    probe_seconds = min(run(probe, probe)[1].seconds for _ in range(2))
    pace = probe_seconds / probe
    left = max(seconds - (time.perf_counter() - start), pace * IMAGES_MIN)
    expected = int(left / pace)
    # The clock ends it, not the number of crops, which is known in advance only roughly.
    method, result = run(
        expected, LONGER_THAN_EXPECTED * expected, seconds=left, checkpointing=checkpointing
    )
    method = method.to(choose_device(device), memory_format=torch.channels_last).eval()
    return Training(method, time.perf_counter() - start, result.images_seen)


def create_within(
    name: str, seconds: float, pixels: int, channels: int, *, device: str, precision: str
) -> Restorer:
    """Create a per-image method that restores images of ``pixels`` altogether in ``seconds``.

    One that is fitted to every image gets as many iterations as fit, by the pace on a small one,
    but no more than its default. Raises UnpairedError if that is less than ITERATIONS_MIN. Other
    methods take as long as they take.
    """
    if not is_fitted_per_image(name):
        return create_own(name)
    settings = SHORT_TRAINING_OF.get(name, {}) | {"precision": precision}
    image = torch.rand(1, channels, PROBE_PX, PROBE_PX).to(choose_device(device))

    def seconds_for(iterations: int) -> float:
        start = time.perf_counter()
        create(name, **settings, iterations=iterations).restore(Observation(image))
        return time.perf_counter() - start

    seconds_for(1)
    pace = max(1e-9, seconds_for(1 + PROBE_STEPS) - seconds_for(1)) / PROBE_STEPS
    pace *= max(1.0, pixels / PROBE_PX**2)
    default = create(name).config.iterations
    iterations = min(default, int(seconds / pace))
    if iterations < min(ITERATIONS_MIN, default):
        minutes = [pace * count / 60 for count in (ITERATIONS_MIN, default)]
        raise UnpairedError(
            f"'{name}' is fitted to every picture by itself, which takes at least {minutes[0]:.1f} "
            f"and in full {minutes[1]:.1f} minutes here; its share is {seconds / 60:.1f}"
        )
    return create(name, **settings, iterations=iterations)


def restore_page(
    page: np.ndarray, restorer: Restorer, *, device: str, precision: str, stride: int = 1
) -> np.ndarray:
    """Restore a conditioned page, H x W x C, float32; large ones by overlapped tiles.

    stride: restore the phases of that stride each by itself, against correlated noise.
    """
    height, width = page.shape[:2]
    phases = [_restore(phase, restorer, device, precision) for phase in split_phases(page, stride)]
    return join_phases(phases, height, width)


def _restore(page: np.ndarray, restorer: Restorer, device: str, precision: str) -> np.ndarray:
    chosen = choose_device(device)
    bf16 = choose_precision(precision, chosen) == "bf16"

    def restore(image: Tensor) -> Tensor:
        with torch.autocast(chosen.type, torch.bfloat16, enabled=bf16):
            return restorer.restore(Observation(image))

    image = torch.from_numpy(np.ascontiguousarray(page)).permute(2, 0, 1)[None].to(chosen)
    whole = restorer.margin_px is None
    restored = restore_tiled(
        restore,
        image,
        tile_px=max(page.shape[:2]) + restorer.multiple_px if whole else TILE_PX,
        margin_px=0 if whole else restorer.margin_px,
        multiple_px=restorer.multiple_px,
    )
    return restored[0].permute(1, 2, 0).float().cpu().numpy()
