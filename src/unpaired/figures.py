"""Pictures beside the numbers: crops of one test photograph, as in the paper's Figures 3 and 4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from unpaired.plan import Cell, TablePlan
from unpaired.tables import read_scores

CROP_PX = 128
PANEL_INCHES = 1.7
COLUMNS_MAX = 7


def draw_comparison(plan: TablePlan, noise: str, root: Path, output: Path) -> None:
    """Write a PNG: noisy, each method, clean; PSNR and SSIM of the whole picture under each.

    Shows the first image, first noise draw and first seed of the first test set that was scored.
    """
    cells = _scored_cells(plan, noise)
    panels = [_noisy_panel(cells[0], root)]
    panels += [_panel(cell, root, 1, cell.row.name, "") for cell in cells]
    panels.append((_third(_example(cells[0], root), 2), "clean", ""))
    columns = min(len(panels), COLUMNS_MAX)
    rows = -(-len(panels) // columns)
    figure = Figure((columns * PANEL_INCHES, rows * (PANEL_INCHES + 0.35)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set(xticks=[], yticks=[], frame_on=False)
    for axis, (picture, title, scores) in zip(axes, panels, strict=False):
        axis.imshow(_centre(picture), interpolation="nearest")
        axis.set_xlabel(f"{title}\n{scores}", fontsize=7)
    figure.savefig(output, dpi=150, format="png")


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


def _panel(
    cell: Cell, root: Path, position: int, title: str, prefix: str
) -> tuple[np.ndarray, str, str]:
    first = read_scores(root / f"{cell.scores[0].stem}.csv")[0]
    scores = f"{float(first[f'{prefix}psnr_db']):.2f} / {float(first[f'{prefix}ssim']):.3f}"
    return _third(_example(cell, root), position), title, scores


def _noisy_panel(cell: Cell, root: Path) -> tuple[np.ndarray, str, str]:
    return _panel(cell, root, 0, "noisy", "noisy_")


def _centre(picture: np.ndarray) -> np.ndarray:
    top, left = (max(0, (side - CROP_PX) // 2) for side in picture.shape[:2])
    return picture[top : top + CROP_PX, left : left + CROP_PX]
