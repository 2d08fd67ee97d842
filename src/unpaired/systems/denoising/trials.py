"""One method learns from noisy pictures and is judged on others, in a process of its own."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch

from unpaired.core.devices import choose_device
from unpaired.data.packs import Pack
from unpaired.imaging.liveliness import liveliest
from unpaired.learning.method import Restorer
from unpaired.learning.weights import save_model
from unpaired.metrics.coupled_bootstrap import coupled_error_map
from unpaired.metrics.unsupervised_error import error_map, upsnr_db
from unpaired.systems.denoising.held_out import judged_in, noise_power
from unpaired.systems.denoising.offers import is_per_image
from unpaired.systems.denoising.short_training import create_within, restore_page, train_within

# How often a judged pixel is restored: a pair for the coupled bootstrap, four quarters for uPSNR,
# and the crops.
RESTORED_PER_JUDGED = 3.2
CROPS = 3
CROP_PX = 160
# Of a method's time. The rest is for judging; a method that is fitted to images learns meanwhile.
LEARNING_SHARE, FITTING_SHARE = 0.75, 0.9


@dataclass(frozen=True)
class Job:
    """What a method's process is told. until: when it should be through, of `time.monotonic`.

    training: pack to learn from. judging: pack of noisy pages, whose sides are multiples of the
    stride, and noise like theirs, as `held_out.split` writes it. model: where to save the weights.
    """

    method: str
    until: float
    training: Path
    judging: Path
    model: Path
    stride: int
    device: str
    precision: str


@dataclass(frozen=True)
class Outcome:
    """What a method achieved by one of its read-outs.

    errors: of the coupled bootstrap, a map per page. crops: restored, one per place shown. model:
    its weights, and learned_crops: how many it has learned from; None for a method that learns
    nothing in advance.
    """

    method: str
    read_out: str | None
    errors: list[np.ndarray]
    upsnr_db: float
    crops: list[np.ndarray]
    training_seconds: float
    seconds_per_megapixel: float
    peak_memory_mib: int
    model: Path | None
    learned_crops: int | None

    @property
    def name(self) -> str:
        return f"{self.method}:{self.read_out}" if self.read_out else self.method


def run_method(job: Job) -> list[Outcome]:
    """Train one method and judge each of its read-outs."""
    pack = Pack(job.judging)
    seconds, crops = 0.0, None
    left = max(0.0, job.until - time.monotonic())
    if is_per_image(job.method):
        pixels = RESTORED_PER_JUDGED * sum(np.prod(pack.shape(index)[:2]) for index in pack)
        channels = pack.shape(0)[2]
        share = FITTING_SHARE * left
        where = {"device": job.device, "precision": job.precision}
        restorer = create_within(job.method, share, int(pixels), channels, **where)
    else:
        restorer, seconds, crops = train_within(
            job.method,
            Pack(job.training),
            LEARNING_SHARE * left,
            device=job.device,
            precision=job.precision,
        )
        save_model(job.model, job.method, restorer, {"stride": job.stride, "conditioned": True})
    outcomes = []
    for read_out in getattr(restorer, "read_outs", ()) or (None,):
        if read_out:
            restorer.choose_read_out(read_out)
        outcomes.append(_judge(job, restorer, read_out, pack, seconds, crops))
    return outcomes


def _judge(
    job: Job,
    restorer: Restorer,
    read_out: str | None,
    pack: Pack,
    training_seconds: float,
    learned_crops: int | None,
) -> Outcome:
    settings = {"device": job.device, "precision": job.precision}
    spent, restored_px = 0.0, 0

    def restore(image: np.ndarray) -> np.ndarray:
        nonlocal spent, restored_px
        start = time.perf_counter()
        restored = restore_page(image, restorer, **settings)
        spent += time.perf_counter() - start
        restored_px += image.shape[0] * image.shape[1]
        return restored

    errors, cells = [], []
    for index, part in enumerate(judged_in(pack)):
        maps = [
            (coupled_error_map(phase, restore, noise), error_map(phase, restore, index, number))
            for number, (phase, noise) in enumerate(part.phases(job.stride))
        ]
        # All phases show the same things, so they are one sample together.
        for kept, of_phases in zip((errors, cells), zip(*maps, strict=True), strict=True):
            kept.append(np.mean(of_phases, axis=0))
    crops = [
        restore_page(crop, restorer, stride=job.stride, **settings) for crop in noisy_crops(pack)
    ]
    return Outcome(
        method=job.method,
        read_out=read_out,
        errors=errors,
        upsnr_db=upsnr_db(sum(page.sum() for page in cells) / sum(page.size for page in cells)),
        crops=crops,
        training_seconds=training_seconds,
        seconds_per_megapixel=spent / restored_px * 1e6,
        peak_memory_mib=peak_memory_mib(choose_device(job.device)),
        model=None if is_per_image(job.method) else job.model,
        learned_crops=learned_crops,
    )


def noisy_psnr_db(judging: Path) -> float:
    """Return the PSNR of the noisy pictures themselves, by the variance of their noise."""
    return upsnr_db(noise_power(judged_in(Pack(judging))))


def shown_pages(pack: Pack) -> list[int]:
    """Return the numbers of up to CROPS pages, evenly chosen, of which a part is shown."""
    return np.linspace(0, len(pack) - 1, min(CROPS, len(pack))).round().astype(int).tolist()


def noisy_crops(pack: Pack) -> list[np.ndarray]:
    """Return, of the pages that are shown, the part of CROP_PX with the most going on in it."""
    pages = [pack.read(index) for index in shown_pages(pack)]
    return [page[liveliest(page, CROP_PX, CROP_PX)] for page in pages]


def peak_memory_mib(device: torch.device) -> int:
    """Return the most memory that this process had: the GPU's on a GPU, else its resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    status = Path("/proc/self/status")
    if status.exists():
        # Linux counts the parent's memory into getrusage's figure for a child.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) // 2**10
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset // 2**20
    import resource  # Windows has none.

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
