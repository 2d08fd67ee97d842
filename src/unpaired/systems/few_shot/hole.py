"""The measurement: a portrait without its face. Where the hole is depends on the picture.

The hole is never given to a method: what it sees is the picture with the hole filled, and no mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.randomness import numpy_generator
from unpaired.systems.few_shot.sources.celebamask_hq import PARTS

FILLS = ("zero", "mean", "noise")


def hole_of(labels: np.ndarray, parts: Sequence[str], name: str) -> np.ndarray:
    """Return where the parts are, H x W bool, of labels H x W x 1 (see `celebamask_hq.PARTS`).

    name: of the picture, for messages. Raises UnpairedError for an unknown part, a hole without a
    pixel, and one that leaves no pixel of the picture.
    """
    for part in parts:
        check_choice("a hole", "part", part, PARTS)
    hole = np.isin(labels[..., 0], [1 + PARTS.index(part) for part in parts])
    if not hole.any():
        raise UnpairedError(
            f"{name}: none of its masks is one of {', '.join(parts)}, so there is no hole; take "
            "the picture out, or other parts"
        )
    if hole.all():
        raise UnpairedError(
            f"{name}: {', '.join(parts)} cover the whole picture; take it out, or other parts"
        )
    return hole


def fill(image: np.ndarray, hole: np.ndarray, how: str, name: str) -> np.ndarray:
    """Return a copy of H x W x C in [0, 1] whose hole, H x W bool, hides what was there.

    how: "zero" (black), "mean" (of what stays visible, per channel) or "noise" (uniform, the same
    for the same ``name`` always).
    """
    check_choice("a hole", "fill", how, FILLS)
    filled = image.copy()
    if how == "zero":
        filled[hole] = 0
    elif how == "mean":
        filled[hole] = image[~hole].mean(axis=0)
    else:
        rng = numpy_generator("hole", name)
        filled[hole] = rng.random((int(hole.sum()), image.shape[-1]), np.float32)
    return filled


def with_hole(
    image: np.ndarray, labels: np.ndarray, how: Mapping[str, Any], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the measurement of a portrait, and its hole; how: values of a condition."""
    hole = hole_of(labels, how["parts"], name)
    return fill(image, hole, how["fill"], name), hole
