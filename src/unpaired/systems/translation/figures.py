"""Drawings: samples as in Figures 4.5 and 4.7 of the thesis, and realism against diversity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from unpaired.core.files import save_figure
from unpaired.data.packs import Pack
from unpaired.systems.translation.labels import label
from unpaired.systems.translation.scoring import picture_of, sampled

DPI = 150
INPUTS, SAMPLES = 2, 6
PANEL_INCHES = 0.62
CPU = torch.device("cpu")
# What is drawn of realism: key of the scores -> what the axis is called; the first that is there.
REALISM = {
    "style_rmse": "RMSE to the nearest style (less is more real)",
    "fd_random": "Fréchet distance, random AlexNet (less is more real)",
}


@dataclass(frozen=True)
class Place:
    """Where a row lies in the scatter; pooled: of its scores."""

    row: str
    diversity: float
    pooled: Mapping[str, float]


def draw_samples(output: Path, products: Mapping[str, Any], pack: Pack) -> None:
    """Write a PNG: for each of the first inputs a row of samples of every product.

    Products get the same noise as in their scores.
    """
    inputs = range(min(INPUTS, len(pack)))
    size = ((2 + SAMPLES + 3) * PANEL_INCHES, len(inputs) * len(products) * PANEL_INCHES + 0.3)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(len(inputs) * len(products), 2 + SAMPLES, squeeze=False)
    for axis in axes.ravel():
        axis.set(xticks=[], yticks=[], frame_on=False)
    for index in inputs:
        for number, (name, product) in enumerate(products.items()):
            with torch.inference_mode():
                found = sampled(product, pack, index, SAMPLES, CPU)
            row = axes[index * len(products) + number]
            row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
            outputs = [picture_of(one[None]) for one in found.outputs]
            shown = {2 + place: picture for place, picture in enumerate(outputs)}
            if not number:
                shown |= {0: picture_of(found.given), 1: picture_of(found.truth)}
            for place, picture in shown.items():
                row[place].imshow(picture, interpolation="nearest")
    for place, title in enumerate(("input", "truth")):
        axes[0, place].set_title(title, fontsize=7)
    save_figure(figure, output, DPI)


def draw_scatter(output: Path, places: Sequence[Place]) -> None:
    """Write a PNG: how real the rows' samples are, against how varied."""
    known = next(key for key in REALISM if all(key in place.pooled for place in places))
    figure = Figure((5, 3.6), dpi=DPI, layout="constrained")
    axis = figure.subplots()
    points = [(place.diversity, place.pooled[known]) for place in places]
    for point in points:
        axis.plot(*point, "o")
    axis.set_xlabel("diversity (random AlexNet)")
    axis.set_ylabel(REALISM[known])
    axis.invert_yaxis()
    axis.margins(np.array(0.2), np.array(0.1))
    label(axis, points, [place.row for place in places])
    save_figure(figure, output, DPI)
