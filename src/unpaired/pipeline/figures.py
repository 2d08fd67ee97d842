"""Pictures beside the numbers: crops of one test photograph, as in the paper's Figures 3 and 4."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from unpaired import catalog
from unpaired.core.files import save_figure
from unpaired.imaging.pixels import center_crop
from unpaired.pipeline.frames import read_scores
from unpaired.pipeline.models import Cell, TablePlan

CROP_PX = 128
PANEL_INCHES = 1.7
COLUMNS_MAX = 7


@dataclass(frozen=True)
class Panel:
    """One of the pictures that are compared, uint8 H x W x 3.

    No scores for the clean one, and none that its table has not.
    """

    picture: np.ndarray
    title: str
    psnr_db: float | None = None
    ssim: float | None = None

    @property
    def scores(self) -> str:
        if self.psnr_db is None:
            return ""
        return f"{self.psnr_db:.2f}" + ("" if self.ssim is None else f" / {self.ssim:.3f}")


def draw_comparison(plan: TablePlan, noise: str, root: Path, output: Path) -> None:
    """Write a PNG: noisy, each method, clean; PSNR and SSIM of the whole picture under each."""
    panels = comparison_panels(plan, noise, root)
    columns = min(len(panels), COLUMNS_MAX)
    rows = -(-len(panels) // columns)
    figure = Figure((columns * PANEL_INCHES, rows * (PANEL_INCHES + 0.35)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set(xticks=[], yticks=[], frame_on=False)
    for axis, panel in zip(axes, panels, strict=False):
        axis.imshow(center_crop(panel.picture, CROP_PX), interpolation="nearest")
        axis.set_xlabel(f"{panel.title}\n{panel.scores}", fontsize=7)
    save_figure(figure, output, dpi=150)


def comparison_panels(plan: TablePlan, noise: str, root: Path) -> list[Panel]:
    """Return noisy, each method, clean, as scored; none where nothing was scored.

    Shows the first image, first noise draw and first seed of the first test set that was scored.
    """
    cells = _scored_cells(plan, noise)
    if not cells:
        return []
    before, after = catalog.scorer(plan.table.task).ends
    panels = [_panel(cells[0], root, 0, before, "noisy_")]
    panels += [_panel(cell, root, 1, cell.row.name, "") for cell in cells]
    return [*panels, Panel(_third(_example(cells[0], root), 2), after)]


def _scored_cells(plan: TablePlan, noise: str) -> list[Cell]:
    """Return one cell per row, all of the first test set that has scores."""
    scored = [cell for cell in plan.cells if cell.noise == noise and cell.scores]
    return [cell for cell in scored if cell.testset == scored[0].testset]


def _example(cell: Cell, root: Path) -> np.ndarray:
    with Image.open(root / f"{cell.scores[0].stem}.png") as picture:
        return np.asarray(picture)


def _third(triptych: np.ndarray, position: int) -> np.ndarray:
    """Return noisy (0), restored (1) or clean (2) of an evaluation's example picture."""
    width = triptych.shape[1] // 3
    return triptych[:, position * width : (position + 1) * width]


def _panel(cell: Cell, root: Path, position: int, title: str, prefix: str) -> Panel:
    first = read_scores(root / f"{cell.scores[0].stem}.csv").iloc[0]
    keys = (f"{prefix}{metric}" for metric in ("psnr_db", "ssim"))
    scores = (float(first[key]) if key in first else None for key in keys)
    return Panel(_third(_example(cell, root), position), title, *scores)
