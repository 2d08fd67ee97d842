"""Whether a classifier sees the same in recolored photographs (Zhang 2018, section 2.3.1).

The thesis counts how many of 10,000 pictures of ImageNet a VGG-16 names right. The photographs that
are always at hand have no labels: here squares of them count, and whether the classifier names a
square as it does in true colors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unpaired.core.files import write_rows
from unpaired.data.packs import Pack
from unpaired.imaging.pixels import to_uint8
from unpaired.systems.colorization.classification import (
    PERCENT,
    Classifier,
    predicted_class,
    recolored,
)
from unpaired.systems.colorization.methods.colorization import Colorizer

SQUARE_PX = 224
STEP_PX = 56


def squares_of(picture: np.ndarray) -> list[np.ndarray]:
    """Return all squares of SQUARE_PX that begin at multiples of STEP_PX, of H x W x 3."""
    height, width = picture.shape[:2]
    return [
        picture[top : top + SQUARE_PX, left : left + SQUARE_PX]
        for top in range(0, height - SQUARE_PX + 1, STEP_PX)
        for left in range(0, width - SQUARE_PX + 1, STEP_PX)
    ]


def same_class(
    classifier: Classifier, pack: Pack, products: Mapping[str, Colorizer], device: torch.device
) -> tuple[dict[str, float], int]:
    """Return the percentage of squares of the same class as in true colors, and of how many.

    Whole photographs are colored, and cut then.
    """
    same: dict[str, list[bool]] = {name: [] for name in products}
    for number, name in enumerate(pack.columns["name"]):
        true = to_uint8(pack.read_unit(number, "image"))
        expected = _classes(classifier, true, device)
        for row, product in products.items():
            colored = recolored(product, true, name, device)
            found = _classes(classifier, colored, device)
            same[row] += [one == other for one, other in zip(found, expected, strict=True)]
    percent = {row: PERCENT * float(np.mean(hits)) for row, hits in same.items()}
    return percent, len(next(iter(same.values())))


def _classes(classifier: Classifier, picture: np.ndarray, device: torch.device) -> Sequence[int]:
    return [predicted_class(classifier, square, device) for square in squares_of(picture)]


def write_comparison(
    path: Path,
    percent: Mapping[str, float],
    squares: int,
    classifier: str,
    printed: Mapping[str, float | None],
) -> None:
    """Write a row per coloring: ours, and what the thesis prints of VGG-16 on ImageNet."""
    rows: list[dict[str, Any]] = [
        {
            "coloring": row,
            "same_class_as_in_true_colors_percent": f"{value:.1f}",
            "squares": squares,
            "classifier": classifier,
            "paper_vgg16_top1_on_imagenet_percent": printed.get(row),
        }
        for row, value in percent.items()
    ]
    write_rows(path, rows)
