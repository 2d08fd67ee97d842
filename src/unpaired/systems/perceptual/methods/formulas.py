"""Distances of two pictures by formula, and the voters themselves: what learned ones are held to.

None has anything to learn. Those of Zhang 2018, section 6.5, but for HDR-VDP, and PSNR besides.
MS-SSIM is not among them: its five scales need 176 pixels a side, the patches of BAPPS have 64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor, from_numpy

from unpaired.core.errors import check_choice
from unpaired.metrics.fsim import fsim
from unpaired.metrics.lab_l2 import lab_l2
from unpaired.metrics.lab_ssim import lab_ssim
from unpaired.metrics.psnr import psnr_db


def _of_lab(first: Tensor, second: Tensor) -> Tensor:
    return lab_l2(first, second).double()


def _of_each(dissimilarity: Callable[[np.ndarray, np.ndarray], float]):
    """Return the distance of batches by a formula for two uint8 H x W x C pictures."""

    def distance(first: Tensor, second: Tensor) -> Tensor:
        pairs = zip(_pictures(first), _pictures(second), strict=True)
        return from_numpy(np.array([dissimilarity(a, b) for a, b in pairs], np.float64))

    return distance


def _pictures(batch: Tensor) -> np.ndarray:
    return np.round(255 * batch.movedim(1, -1).cpu().numpy()).astype(np.uint8)


FORMULAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": _of_lab,
    "psnr": _of_each(lambda a, b: -psnr_db(a, b)),
    "ssim": lambda a, b: (1 - lab_ssim(a, b)) / 2,
    "fsimc": _of_each(lambda a, b: 1 - fsim(a, b)),
}


@dataclass(frozen=True, kw_only=True)
class PictureDistanceConfig:
    """formula: l2 or ssim (both in CIE Lab, as the authors score them), psnr or fsimc.

    A similarity is turned into a distance.
    """

    formula: str = "l2"

    def __post_init__(self) -> None:
        check_choice("picture_distance", "formula", self.formula, tuple(FORMULAS))


class PictureDistance:
    """A distance by formula."""

    Config: ClassVar[type] = PictureDistanceConfig
    sees: ClassVar[tuple[str, ...]] = ("reference", "first", "second")
    knows: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: PictureDistanceConfig) -> None:
        self.config = config

    def distances(self, reference: Tensor, *others: Tensor) -> list[Tensor]:
        """Return the distances, N each, of N x 3 x H x W in [0, 1] to others of that shape.

        Those of PSNR are its negative, in dB: -inf for identical pictures.
        """
        return [FORMULAS[self.config.formula](reference, other) for other in others]


@dataclass(frozen=True, kw_only=True)
class VotersConfig:
    """There is nothing to set."""


class Voters:
    """Those who judged a set, voting again: p^2 + (1 - p)^2 of a triplet with the vote share p.

    What no distance can be expected to exceed by much. They have no distance of their own.
    """

    Config: ClassVar[type] = VotersConfig
    sees: ClassVar[tuple[str, ...]] = ("judge",)
    knows: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: VotersConfig) -> None:
        self.config = config
