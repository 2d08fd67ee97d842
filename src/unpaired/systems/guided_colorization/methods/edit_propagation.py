"""Colorization using optimization (Levin, Lischinski, Weiss 2004): colors spread from points.

A pixel's color is the mean of its neighbors' colors, weighted by how alike their lightness is
(their Equation 2); pixels with a hint keep it. That is one sparse linear system per picture.
Nothing is learned, and without any hint there is no color.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.lab import LIGHTNESS_MAX
from unpaired.systems.guided_colorization.methods.guided import of_each

NEIGHBORS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


@dataclass(frozen=True)
class EditPropagationConfig:
    """variance_factor: on the variance of lightness around a pixel. weight_min: a pixel's likest
    neighbor has this weight at least. variance_min: of lightness in [0, 1]. The defaults are those
    of the authors' code.
    """

    variance_factor: float = 0.6
    weight_min: float = 0.01
    variance_min: float = 2e-6


class EditPropagation:
    """Works at the picture's own size, on the processor."""

    Config: ClassVar[type] = EditPropagationConfig
    sees: ClassVar[tuple[str, ...]] = ("lightness", "hints")
    knows: ClassVar[tuple[str, ...]] = ()
    takes: ClassVar[tuple[str, ...]] = ("points",)
    picture_px: ClassVar[int | None] = None

    def __init__(self, config: EditPropagationConfig = EditPropagationConfig()) -> None:
        self.config = config

    def colorize(
        self,
        lightness: Tensor,
        *key: object,
        ab: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Return ab, B x 2 x H x W, for lightness B x 1 x H x W in [0, 100].

        ab, mask: hints, of one picture or of each; without any the result is zero.
        Raises UnpairedError if only one of them is given.
        """
        if (ab is None) != (mask is None):
            raise UnpairedError("hints and their mask belong together: give both, or none")
        if ab is None:
            return torch.zeros_like(lightness).expand(-1, 2, -1, -1)
        count, cpu = len(lightness), torch.device("cpu")
        batch = (lightness.cpu(), of_each(ab, count, cpu), of_each(mask, count, cpu))
        spread = [
            self._spread(*(one.double().numpy() for one in single))
            for single in zip(*batch, strict=True)
        ]
        result = torch.from_numpy(np.stack(spread)).to(lightness.dtype)
        return result.to(lightness.device)

    def _spread(self, lightness: np.ndarray, ab: np.ndarray, mask: np.ndarray) -> np.ndarray:
        known = mask[0] > 0
        if known.all() or not known.any():
            return ab * known
        weights = affinities(lightness[0] / LIGHTNESS_MAX, self.config)
        free, fixed = (np.flatnonzero(one) for one in (~known, known))
        of_free = weights[free]
        system = sparse.identity(len(free), format="csc") - of_free[:, free].tocsc()
        colors = ab.reshape(2, -1).T.copy()
        colors[free] = splu(system.tocsc()).solve(of_free[:, fixed] @ colors[fixed])
        return colors.T.reshape(ab.shape)


def affinities(
    lightness: np.ndarray, config: EditPropagationConfig = EditPropagationConfig()
) -> sparse.csr_matrix:
    """Return how much each of the pixels of H x W in [0, 1] is like its neighbors: HW x HW.

    Rows sum to 1. A weight is exp(-(difference)^2 / variance); the variance is that of the 3 x 3
    window, smaller at the border, times a factor, and never so small that all weights vanish.
    """
    height, width = lightness.shape
    around = np.full((len(NEIGHBORS), height, width), np.nan)
    padded = np.pad(lightness, 1, constant_values=np.nan)
    for layer, (down, right) in zip(around, NEIGHBORS, strict=True):
        layer[:] = padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]
    squares = (around - lightness) ** 2
    variance = np.nanvar(np.concatenate([around, lightness[None]]), axis=0)
    least = -np.nanmin(squares, axis=0) / np.log(config.weight_min)
    scale = np.maximum(np.maximum(config.variance_factor * variance, least), config.variance_min)
    weights = np.where(np.isnan(squares), 0, np.exp(-squares / scale))
    weights /= weights.sum(0)
    numbers = np.arange(height * width).reshape(height, width)
    rows, columns, values = [], [], []
    for layer, (down, right) in zip(weights, NEIGHBORS, strict=True):
        y, x = np.nonzero(layer)
        rows.append(numbers[y, x])
        columns.append(numbers[y + down, x + right])
        values.append(layer[y, x])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=(height * width,) * 2)
