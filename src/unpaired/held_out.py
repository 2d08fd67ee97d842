"""A part of every noisy picture is held out: methods learn from the rest and are judged on it."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from unpaired.errors import UnpairedError
from unpaired.metrics.coupled_bootstrap import noise_variance
from unpaired.packs import Record
from unpaired.pixel_shuffle import join_phases, split_phases
from unpaired.short_training import pages_of, phase_records, write_noisy_pack

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


def split(
    shapes: dict[Path, tuple[int, ...]],
    stride: int,
    training: Path,
    judging: Path,
    judged_px: int = JUDGED_PX_MAX,
) -> str:
    """Write a pack to learn from and one of about ``judged_px`` to judge by; say what is in each.

    shapes: pages x H x W x C of every picture. Raises UnpairedError if all are too small.
    """
    smallest = JUDGED_SIDE_MIN_PX * stride
    pages = {
        f"{path}:{page}": (height, width)
        for path, (count, height, width, _) in shapes.items()
        for page in range(count)
    }
    fitting = [
        name
        for name, (height, width) in pages.items()
        if held_out_rows(height) >= smallest and width >= smallest
    ]
    if not fitting:
        raise UnpairedError(
            f"no picture has {2 * smallest} rows and {smallest} columns, so none can lose a part "
            "to be judged by; use larger pictures"
        )
    count = min(max(judged_px // JUDGED_PAGE_PX, JUDGED_PAGES_MIN), JUDGED_PAGES_MAX)
    judged = set(fitting[:: -(-len(fitting) // count)])
    learned = (
        (_storable(name), page[: len(page) - held_out_rows(len(page))])
        for name, page in pages_of(shapes)
    )
    write_noisy_pack(training, phase_records(learned, stride))
    held_out = (
        _judged_record(
            _storable(name),
            page[len(page) - held_out_rows(len(page)) :],
            stride,
            judged_px // len(judged),
        )
        for name, page in pages_of(shapes)
        if name in judged
    )
    pack = write_noisy_pack(judging, held_out)
    learned_px = sum(width * (height - held_out_rows(height)) for height, width in pages.values())
    held_out_px = sum(pack.shape(index)[0] * pack.shape(index)[1] for index in pack)
    told = f"{learned_px:,} pixels to learn from, {held_out_px:,} of the bottom rows to judge by"
    if any(height < 2 * HELD_OUT_ROWS_MIN for height, _ in pages.values()):
        told += f" (half of pictures lower than {2 * HELD_OUT_ROWS_MIN} rows)"
    return told


def _storable(name: str) -> str:
    """Return a file's name with the bytes that are not UTF-8 written out, as a pack can hold it."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _judged_record(name: str, held_out: np.ndarray, stride: int, pixels: int) -> Record:
    """Cut the middle of what is held out to at most ``pixels``, and add the noise's variance."""
    height, width = held_out.shape[:2]
    rows = min(height, max(JUDGED_SIDE_MIN_PX * stride, math.isqrt(pixels)))
    columns = min(width, max(JUDGED_SIDE_MIN_PX * stride, pixels // rows))
    rows, columns = rows // stride * stride, columns // stride * stride
    top, left = (height - rows) // 2, (width - columns) // 2
    page = held_out[top : top + rows, left : left + columns]
    variances = [noise_variance(phase).astype(np.float32) for phase in split_phases(page, stride)]
    return Record(name, {"image": page, "variance": join_phases(variances, rows, columns)}, name)
