"""Crops of enlarged pictures, as in Figure 5 of LUD-VAE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from unpaired.core.files import save_figure
from unpaired.data.packs import Pack
from unpaired.networks.rrdb import SCALE, enlarged
from unpaired.systems.super_resolution.enlarging import enlarge
from unpaired.systems.super_resolution.scoring import as_picture, as_tensor

PICTURES, CROP_PX = 3, 32  # Of the small pictures.
DPI = 150
PANEL_INCHES = 1.5


def draw_crops(output: Path, products: Mapping[str, Any], test: Pack, device: torch.device) -> None:
    """Write a PNG: a row for each of the first test pictures, a column for each product.

    The crop is the middle of the picture; before the products stands bicubic interpolation, behind
    them the truth.
    """
    titles = ["bicubic", *products, "truth"]
    pictures = range(min(PICTURES, len(test)))
    size = (PANEL_INCHES * len(titles), 1.1 * PANEL_INCHES * len(pictures))
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(len(pictures), len(titles), squeeze=False)
    for own, index in zip(axes, pictures, strict=True):
        small = as_tensor(test.read_unit(index, "noisy"), device)
        made = [enlarged(small), *(enlarge(product, small) for product in products.values())]
        shown = [*map(as_picture, made), test.read(index, "clean")]
        for axis, title, picture in zip(own, titles, shown, strict=True):
            axis.imshow(_middle(picture), interpolation="nearest")
            axis.set(xticks=[], yticks=[], frame_on=False)
            if index == 0:
                axis.set_title(title, fontsize=7)
    save_figure(figure, output, DPI)


def _middle(picture: np.ndarray) -> np.ndarray:
    side = SCALE * CROP_PX
    top, left = (max(0, (length - side) // 2) for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]
