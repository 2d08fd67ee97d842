"""The error of a denoiser without clean pictures: uMSE and uPSNR, with bootstrap intervals.

Marcos-Morales et al., "Evaluating Unsupervised Denoising Requires Unsupervised Metrics" (ICML 2023,
section 3), in the form for single images: of every 2 x 2 cell the four pixels are dealt at random
to four sub-images. One is the input y of the denoiser f, the others are the references a, b, c:

    uMSE = mean( (a - f(y))^2 - (b - c)^2 / 2 ),    uPSNR = 10 log10(1 / uMSE) on [0, 1].

The first term is the error plus the noise of a, the second takes off that noise. The noise may
depend on the signal, but must be independent between pixels, of mean zero and not clipped:
`reasons_against` looks for the opposite.

Bias: the pixels of a cell differ in content too. Let v be the sample variance of a cell's four
clean pixels, averaged over cells, and r the mean derivative of f(y) by the pixel itself. Then uMSE
is the error against the clean picture of half the size (the means of the cells), plus
(2 r - 1) v / 4. Different content also acts like more noise in the input, which raises the error.
Both hit all denoisers much alike, so that ranks suffer less than values; of two, the one that leans
more on the pixel itself looks worse than it is, by v / 2 times the difference in r.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, stdtrit

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.metrics.noise_correlation import NoiseCorrelation

DEALS = 4  # Each restores a quarter of the pixels.
IMAGES_MIN = 5  # From here on the images are what the bootstrap draws, below it their blocks.
BLOCK_PX = 32
UNITS_MIN = 5
CONFIDENCE = 0.95
BOOTSTRAP_DRAWS = 10_000
BOOTSTRAP_CHUNK = 500
SATURATED_FROM = 0.01


def deal_cells(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deal the four pixels of every 2 x 2 cell to four sub-images, every order equally likely.

    image: H x W x C; a last odd row or column is left out, and all channels share one order.
    Returns 4 x H/2 x W/2 x C.
    """
    height, width, channels = (image.shape[0] // 2, image.shape[1] // 2, image.shape[2])
    cells = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2, channels)
    cells = cells.transpose(0, 2, 1, 3, 4).reshape(height, width, 4, channels)
    order = rng.random((height, width, 4)).argsort(axis=2)
    return np.moveaxis(np.take_along_axis(cells, order[..., None], axis=2), 2, 0)


def error_terms(restored: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Return (a - f(y))^2 - (b - c)^2 / 2, averaged over which of the references is a.

    restored: f(y), h x w x C. references: 3 x h x w x C. Returns h x w x C, float64.
    """
    restored, references = restored.astype(np.float64), references.astype(np.float64)
    terms = [
        (references[i] - restored) ** 2 - (references[i - 1] - references[i - 2]) ** 2 / 2
        for i in range(3)
    ]
    return np.mean(terms, axis=0)


def error_map(
    noisy: np.ndarray,
    restore: Callable[[np.ndarray], np.ndarray],
    *key: object,
    deals: int = DEALS,
) -> np.ndarray:
    """Return the terms of the uMSE of ``restore`` per cell, averaged over deals and channels.

    noisy: H x W x C. restore: h x w x C -> same shape. key: decides the deals, so denoisers that
    are to be compared must be given the same one. Returns H/2 x W/2; its mean is the uMSE.
    Raises UnpairedError if a restored picture is not finite.
    """
    total = 0.0
    for number in range(deals):
        first, *references = deal_cells(noisy, numpy_generator("deal", *key, number))
        restored = restore(first)
        if not np.isfinite(restored).all():
            raise UnpairedError("the restored picture is not finite")
        total = total + error_terms(restored, np.stack(references)).mean(axis=-1)
    return total / deals


@dataclass(frozen=True)
class UnitErrors:
    """Sums of error terms over units that are independent of each other.

    sums, pixels: one entry per unit. kind: what a unit is; images from IMAGES_MIN images on, else
    blocks of about BLOCK_PX x BLOCK_PX cells.
    """

    sums: np.ndarray
    pixels: np.ndarray
    kind: Literal["images", "blocks"]

    @property
    def umse(self) -> float:
        """Mean over all pixels; at or below zero where the error is too small to be measured."""
        return float(self.sums.sum() / self.pixels.sum())


def unit_errors(maps: Sequence[np.ndarray]) -> UnitErrors:
    """Gather the maps that `error_map` returns, one per image, into units for the bootstrap."""
    if len(maps) >= IMAGES_MIN:
        units, kind = list(maps), "images"
    else:
        units, kind = [block for image in maps for block in _blocks(image)], "blocks"
    sums = np.array([unit.sum() for unit in units])
    return UnitErrors(sums, np.array([unit.size for unit in units]), kind)


def _blocks(image: np.ndarray) -> list[np.ndarray]:
    rows, columns = (max(1, round(side / BLOCK_PX)) for side in image.shape)
    strips = np.array_split(image, rows, axis=0)
    return [block for strip in strips for block in np.array_split(strip, columns, axis=1)]


def bootstrap_umse(candidates: Sequence[UnitErrors]) -> np.ndarray:
    """Draw the units again with replacement; return BOOTSTRAP_DRAWS x candidates of uMSE.

    All candidates must be scored on the same pictures: a draw takes the same units of each, so
    differences between columns are paired.
    """
    pixels = candidates[0].pixels
    sums = np.stack([candidate.sums for candidate in candidates], axis=1)
    rng = numpy_generator("bootstrap", len(pixels))
    drawn = []
    for _ in range(BOOTSTRAP_DRAWS // BOOTSTRAP_CHUNK):
        counts = rng.multinomial(
            len(pixels), np.full(len(pixels), 1 / len(pixels)), size=BOOTSTRAP_CHUNK
        )
        drawn.append(counts @ sums / (counts @ pixels)[:, None])
    return np.concatenate(drawn)


def interval(draws: np.ndarray, n_units: int) -> tuple[float, float]:
    """Return the CONFIDENCE interval of a bootstrapped figure; NaN for fewer than UNITS_MIN units.

    The percentiles are moved outwards as far as Student's interval with the unbiased variance is
    wider than the normal one (Hesterberg, The American Statistician 2015, "expanded percentile"):
    plain percentiles of a handful of units are too narrow. Of normal units, five are covered in
    92 % and thirty in 95 % of all cases, by plain percentiles in 83 % and 93 %.
    """
    if n_units < UNITS_MIN:
        return math.nan, math.nan
    quantile = stdtrit(n_units - 1, (1 + CONFIDENCE) / 2)
    tail = ndtr(-quantile * math.sqrt(n_units / (n_units - 1)))
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def upsnr_db(umse: float) -> float:
    """Return 10 log10(1 / uMSE) on the range [0, 1]; infinite for a uMSE of zero or less."""
    if math.isnan(umse):
        return math.nan
    return -10 * math.log10(umse) if umse > 0 else math.inf


def upsnr_text(value_db: float, *, decimals: int = 2, unit: str = "") -> str:
    """Return a uPSNR for people, with one of zero uMSE or less in words."""
    if math.isnan(value_db):
        return "unknown"
    if math.isinf(value_db):
        return "above what can be measured"
    return f"{value_db:.{decimals}f}{unit}"


def saturated_share(image: np.ndarray) -> float:
    """Return the share of values at the ends of the picture's own range, H x W x C, per channel."""
    low, high = (extreme(image, axis=(0, 1)) for extreme in (np.min, np.max))
    return float(np.mean((image == low) | (image == high)))


def reasons_against(correlation: NoiseCorrelation | None, saturated: float) -> list[str]:
    """Say, a line each, why the uMSE of such pictures cannot be trusted; empty if nothing does.

    correlation: None if it could not be measured. saturated: what `saturated_share` returns.
    """
    reasons = []
    if correlation is not None and correlation.is_correlated:
        reasons.append(
            "the noise of neighboring pixels is correlated (coefficient "
            f"{correlation.strongest:.2f}): uPSNR then favors methods that leave it in the picture"
        )
    if saturated > SATURATED_FROM:
        reasons.append(
            f"{100 * saturated:.1f} % of the values lie at the ends of the range, where clipped "
            "noise has another mean than zero: uPSNR cannot tell that shift from the picture"
        )
    return reasons
