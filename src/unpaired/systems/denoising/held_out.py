"""A part of every noisy picture is held out: methods learn from the rest and are judged on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unpaired.core.errors import UnpairedError, counted
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.metrics.coupled_bootstrap import NoiseLike, noise_like
from unpaired.systems.denoising.own_pages import Pages, evenly
from unpaired.systems.denoising.pixel_shuffle import join_phases, split_phases
from unpaired.systems.denoising.short_training import phase_records, write_noisy_pack

HELD_OUT_PARTS = 5  # one of so many
HELD_OUT_ROWS_MIN = 64
JUDGED_SIDE_MIN_PX = 32  # per phase; the sub-images of uPSNR are half as large
JUDGED_PAGES_MIN, JUDGED_PAGES_MAX = 5, 24
JUDGED_PAGE_PX = 128**2  # Rather fewer pages than smaller ones.
# Of all pages together: what a slow method can be judged on in a tenth of the time for all.
JUDGED_PX_PER_MINUTE = 30_000
JUDGED_PX_MIN, JUDGED_PX_MAX = 40_000, 600_000


def judged_px_within(minutes: float) -> int:
    """Return how many pixels methods can be judged on in a comparison of so many minutes."""
    return int(min(max(JUDGED_PX_PER_MINUTE * minutes, JUDGED_PX_MIN), JUDGED_PX_MAX))


def held_out_rows(height: int) -> int:
    """Return how many rows at the bottom are held out of a picture of so many rows."""
    return min(max(height // HELD_OUT_PARTS, HELD_OUT_ROWS_MIN), height // 2)


@dataclass(frozen=True)
class Judged:
    """A part of a page that methods are judged by, H x W x C conditioned, and noise like its own.

    Its sides are multiples of the stride. The noise is that of the phases, put together.
    """

    values: np.ndarray
    noise: NoiseLike

    def phases(self, stride: int) -> Iterator[tuple[np.ndarray, NoiseLike]]:
        """Yield the phases that are judged, with their noise."""
        wholes = (self.values, *self.noise)
        for values, *noise in zip(*(split_phases(whole, stride) for whole in wholes), strict=True):
            yield values, NoiseLike(*noise)


def judged_part(values: np.ndarray, pixels: int, stride: int, page: int) -> Judged | None:
    """Cut about ``pixels`` out of the middle of what is held out of a page; None if too small.

    page: its number, which decides what noise is drawn.
    """
    held_out = values[len(values) - held_out_rows(len(values)) :]
    height, width = held_out.shape[:2]
    smallest = JUDGED_SIDE_MIN_PX * stride
    if min(height, width) < smallest:
        return None
    rows = min(height, max(smallest, math.isqrt(pixels)))
    columns = min(width, max(smallest, pixels // rows))
    rows, columns = rows // stride * stride, columns // stride * stride
    top, left = (height - rows) // 2, (width - columns) // 2
    part = held_out[top : top + rows, left : left + columns]
    noises = [
        noise_like(phase, page, number) for number, phase in enumerate(split_phases(part, stride))
    ]
    joined = (join_phases(kind, rows, columns) for kind in zip(*noises, strict=True))
    return Judged(part, NoiseLike(*(whole.astype(np.float32) for whole in joined)))


def judged_in(pack: Pack) -> Iterator[Judged]:
    """Yield the parts of a pack that `split` has written to judge by."""
    for index in pack:
        noise = NoiseLike(pack.read(index, "variance"), pack.read(index, "added"))
        yield Judged(pack.read(index), noise)


def noise_power(judged: Iterable[Judged]) -> float:
    """Return the mean variance of the noise: the mean squared error of the noisy parts."""
    return float(np.mean([part.noise.variance.mean() for part in judged]))


def to_learn_from(values: np.ndarray) -> np.ndarray:
    """Return a page without the rows that are held out."""
    return values[: len(values) - held_out_rows(len(values))]


def split(
    pages: Pages, stride: int, training: Path, judging: Path, judged_px: int = JUDGED_PX_MAX
) -> str:
    """Write a pack to learn from and one of about ``judged_px`` to judge by; say what is in each.

    Raises UnpairedError if all pages are too small.
    """
    count = min(max(judged_px // JUDGED_PAGE_PX, JUDGED_PAGES_MIN), JUDGED_PAGES_MAX)
    chosen = evenly(len(pages.names), count)
    share = judged_px // len(chosen)
    parts = {
        pages.names[index]: judged_part(pages.read(index).values, share, stride, number)
        for number, index in enumerate(chosen)
    }
    held_out = [
        Record(name, {"image": part.values, **part.noise._asdict()}, name)
        for name, part in parts.items()
        if part is not None
    ]
    if not held_out:
        smallest = JUDGED_SIDE_MIN_PX * stride
        raise UnpairedError(
            f"no picture has {2 * smallest} rows and {smallest} columns, so none can lose a part "
            "to be judged by; use larger pictures"
        )
    learned = ((name, to_learn_from(pages.read(k).values)) for k, name in enumerate(pages.names))
    write_noisy_pack(training, phase_records(learned, stride))
    pack = write_noisy_pack(judging, held_out)
    learned_px = sum(width * (height - held_out_rows(height)) for height, width, _ in pages.shapes)
    held_out_px = sum(pack.shape(index)[0] * pack.shape(index)[1] for index in pack)
    told = (
        f"{learned_px:,} pixels to learn from; to judge by, {held_out_px:,} at the bottom of "
        f"{counted(len(pack), 'picture')}"
    )
    if any(height < 2 * HELD_OUT_ROWS_MIN for height, *_ in pages.shapes):
        told += f" (half of pictures lower than {2 * HELD_OUT_ROWS_MIN} rows)"
    return told
