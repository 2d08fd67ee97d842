"""How far colors are from the true ones: the area under the error curve in ab (Zhang 2018, 2.3.1).

For every threshold t the curve is the share of pixels whose ab lie within a distance of t of the
true ones. The thesis states thresholds from 0 to 150; steps of 1, the trapezoidal rule and pixels
at full resolution are choices made here, since no official code exists. Nor is the order of
averaging stated: over all pixels of all pictures, or over pictures. Both are given.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.ab_bins import class_weights, hard_encode, weights_of

THRESHOLD_MAX = 150


@dataclass(frozen=True)
class CurveAreas:
    """Areas under the error curve, in [0, 1]: pixel-pooled, and the mean of the pictures' own."""

    pooled: float
    per_image: float


@dataclass
class ErrorCurve:
    """Collects errors picture by picture; what is kept is a curve and not the pixels.

    within: weight of pixels with an error of at most 0, 1 .. THRESHOLD_MAX; float64.
    """

    within: Tensor = field(default_factory=lambda: torch.zeros(THRESHOLD_MAX + 1).double())
    weight: float = 0.0
    areas: list[float] = field(default_factory=list)

    def add(self, ab: Tensor, truth: Tensor, weights: Tensor | None = None) -> None:
        """Add one picture: ab and truth 2 x H x W in Lab units, weights H x W or None for 1.

        Raises UnpairedError if sizes differ, and for colors that are not finite.
        """
        if ab.shape != truth.shape:
            raise UnpairedError(
                f"colors of {tuple(ab.shape)} against true ones of {tuple(truth.shape)}; "
                "they must have one size"
            )
        errors = (ab.double() - truth.double()).norm(dim=0)
        if not errors.isfinite().all():
            raise UnpairedError("the colors to be scored are not finite")
        weights = torch.ones_like(errors) if weights is None else weights.double()
        # An error of 2.3 is first within 3; whatever is above the last threshold within none.
        first = errors.ceil().clamp(max=THRESHOLD_MAX + 1).long().flatten()
        counts = torch.bincount(first, weights.flatten(), minlength=THRESHOLD_MAX + 2)
        within = counts.cumsum(0)[:-1].cpu()
        total = float(weights.sum())
        self.within += within
        self.weight += total
        self.areas.append(_area(within / total))

    def curve(self) -> Tensor:
        """Return the pooled curve: the share at every threshold, 151, float64.

        Raises UnpairedError if no picture was added.
        """
        if not self.areas:
            raise UnpairedError("an error curve needs pictures: none was scored")
        return self.within / self.weight

    def result(self) -> CurveAreas:
        """Return both areas; raises UnpairedError if no picture was added."""
        return CurveAreas(_area(self.curve()), sum(self.areas) / len(self.areas))


def rebalancing(truth: Tensor, prior: Tensor) -> Tensor:
    """Return every pixel's weight by the rarity of its true color (Equation 2.4, lambda 0).

    truth: ab, 2 x H x W. prior: 313 probabilities. Returns H x W, float64, for `ErrorCurve.add`.
    Raises UnpairedError if a true color is empty in the prior.
    """
    return weights_of(hard_encode(truth[None])[0], class_weights(prior, 0.0))


def _area(curve: Tensor) -> float:
    """Return the mean height of a curve, linear between its thresholds."""
    return float(torch.trapezoid(curve)) / THRESHOLD_MAX
