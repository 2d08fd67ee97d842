"""Pictures of a report, as data that stands in the page itself."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from unpaired.imaging.pixels import center_crop
from unpaired.pipeline.figures import comparison_panels
from unpaired.pipeline.models import TablePlan

SIDE_PX = 256
BYTES_MAX = 18 * 2**20  # Of all pictures of a page, which stays below 25 MiB.
BYTES_PER_PX_MAX = 4  # Three channels that nothing compresses, as Base64.


@dataclass(frozen=True)
class Picture:
    """A picture with its title; ``scores`` are PSNR (dB) / SSIM, empty for the clean one."""

    title: str
    scores: str
    source: str


@dataclass(frozen=True)
class PictureRow:
    """Noisy, each method, clean, at one place; ``best`` is the method of the highest PSNR."""

    pictures: list[Picture]
    best: str


def choose_side_px(plans: Iterable[TablePlan]) -> int:
    """Return the side of the pictures with which a page of these tables stays small enough."""
    count = sum(
        len({cell.row.name for cell in plan.cells if cell.noise == noise}) + 2
        for plan in plans
        for noise in plan.noises
    )
    return min(SIDE_PX, math.isqrt(BYTES_MAX // (BYTES_PER_PX_MAX * max(1, count))))


def picture_row(plan: TablePlan, noise: str, root: Path, side_px: int) -> PictureRow | None:
    """Return the pictures of one noise; None where nothing was scored."""
    panels = comparison_panels(plan, noise, root)
    if not panels:
        return None
    pictures = [
        Picture(panel.title, panel.scores, as_data(center_crop(panel.picture, side_px)))
        for panel in panels
    ]
    best = max(panels[1:-1], key=lambda panel: panel.psnr_db or -math.inf)
    return PictureRow(pictures, best.title)


def as_data(picture: np.ndarray) -> str:
    """Return a uint8 picture as a ``data:`` address, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True, exact=True)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
