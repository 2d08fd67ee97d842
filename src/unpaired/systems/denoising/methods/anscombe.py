"""Anscombe: Poisson noise made Gaussian of unit variance, removed by BM3D, and transformed back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.learning.method import Observation, PerImageRestorer
from unpaired.systems.denoising.methods.cbm3d import bm3d_at_unit_noise


def anscombe_transform(counts: Tensor) -> Tensor:
    """Return 2 sqrt(v + 3/8) of Poisson counts v: nearly Gaussian, variance 1 (Anscombe 1948)."""
    return 2 * (counts + 3 / 8).sqrt()


def exact_unbiased_inverse(transformed: Tensor) -> Tensor:
    """Return the mean count whose transformed Poisson samples have the mean ``transformed``.

    A closed-form approximation, good to 0.02 counts. The square that inverts the transform itself
    is too small by about 1/4 of a count, because a denoiser gives the mean of the roots and not the
    root of the mean. Source: Mäkitalo and Foi, "A Closed-Form Approximation of the Exact Unbiased
    Inverse of the Anscombe Variance-Stabilizing Transformation", IEEE TIP 2011.

    transformed: any shape; what lies below the transform of zero counts is taken as zero counts.
    """
    d = transformed.clamp_min(2 * math.sqrt(3 / 8))
    root = math.sqrt(3 / 2)
    return d**2 / 4 + root / (4 * d) - 11 / (8 * d**2) + 5 * root / (8 * d**3) - 1 / 8


class Anscombe(PerImageRestorer):
    """Restorer for Poisson noise of known level: the observation is Poisson(level x) / level."""

    @dataclass(frozen=True)
    class Config:
        """There is nothing to set."""

    knows: ClassVar[tuple[str, ...]] = ("level",)

    def restore(self, observation: Observation) -> Tensor:
        """Return the denoised image, 1 x C x H x W, H and W at least 8.

        Raises UnpairedError without a positive level (photon count at 1.0), and for an image with
        negative values, which no Poisson noise has.
        """
        level = observation.level
        if level is None or not level > 0:
            raise UnpairedError(
                f"method 'anscombe' needs a positive level, the photon count at 1.0; got {level}; "
                "use 'cbm3d' where it is not known"
            )
        if observation.image.min() < 0:
            raise UnpairedError(
                "method 'anscombe' is for Poisson noise, but the image has negative values; "
                "use 'cbm3d' for Gaussian noise"
            )
        transformed = anscombe_transform(observation.image * level)
        return exact_unbiased_inverse(bm3d_at_unit_noise(transformed)) / level
