"""Every picture, page and channel on a scale of its own, with noise of one strength, and back.

Methods that learn from noisy pictures want values near [0, 1] whose noise is equally strong
everywhere. Pictures are not like that: one channel is dim and the next one bright, a star outshines
its background a thousand times, and the noise of counted photons grows with their number. So every
channel of every page goes through three steps, each of which can be undone:

1. Where the noise grows with the signal, the generalized Anscombe transform makes its variance one
   (its parameters are fitted to the channel). Going back takes the exact unbiased inverse.
2. Offset and scale: the 2 % and 98 % quantiles become 0 and 1. The brightest value never decides.
   Three channels share one scale unless their ranges differ by more than CHANNELS_ALIKE.
3. What lies far outside grows with the logarithm only. Beyond LIMIT_IN_NOISE times the noise a
   value has next to no noise: what is above that limit is kept aside, and added again at the end.

Where so few photons were counted that no transform makes their noise equal (Anscombe's needs some
per pixel), pixels are first averaged in squares, and the result is enlarged again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from scipy.optimize import nnls

from unpaired.systems.denoising.methods.anscombe import exact_unbiased_inverse

LOW_QUANTILE, HIGH_QUANTILE = 0.02, 0.98
WIDER_QUANTILES = (0.001, 0.0001, 0.0)  # for channels nearly all of whose values are the same
CHANNELS_ALIKE = 4.0
# Up to here values stay as they are, in units of the range; from here on they become logarithms.
LINEAR_FROM, LINEAR_TO = -1.0, 2.0
LIMIT_IN_NOISE = 64.0

BLOCK_PX = 8
BRIGHTNESS_BINS = 10
FLAT_SHARE = 0.3
BLOCKS_MIN = 60
CLIPPED_SHARE = 0.02
SAMPLED_MAX = 1_000_000
# A result in whole steps is too coarse where a page uses fewer of them than this.
STEPS_MIN = 16
# The noise's variance at the bright end over that at the dark end from which it counts as growing.
GROWTH_MIN = 2.5
# Below so many counts per pixel, squares of so many pixels a side are averaged. Drawn cells with
# Poisson noise, by BM3D: at a mean of 4 counts 29.7 dB without and 32.9 dB with squares of 2; at
# 0.6 counts 21.0, 27.1 and 26.5 dB with 1, 2 and 3; at 0.18 counts 23.2 and 24.4 dB with 2 and 3;
# at 0.04 counts 10.5, 16.9, 19.2, 19.9 and 19.4 dB with 1, 2, 3, 4 and 6.
SQUARES_BELOW_COUNTS = ((0.025, 6), (0.1, 4), (0.4, 3), (5.0, 2))


@dataclass(frozen=True)
class NoiseLaw:
    """The variance of a channel's noise, ``constant + slope * max(v, 0)``.

    v is the channel's value with its LOW_QUANTILE at 0 and its HIGH_QUANTILE at 1.
    """

    constant: float
    slope: float

    @property
    def grows(self) -> bool:
        """Whether the noise grows enough with the signal to be stabilized."""
        return self.slope > 0 and self.constant + self.slope >= GROWTH_MIN * self.constant

    @property
    def std(self) -> float:
        """The standard deviation in the middle of the range, in units of the range."""
        return math.sqrt(self.constant + self.slope / 2)


@dataclass(frozen=True)
class ChannelScale:
    """How one channel of one page is conditioned; see the top of this module.

    offset, extent: of the channel's values. law: of its noise, None where it need not be
    stabilized. low, width: of the stabilized values. limit: the largest and smallest value, in
    units of the width, that methods are shown.
    """

    offset: float
    extent: float
    law: NoiseLaw | None
    low: float
    width: float
    limit: float

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Return conditioned values, float32, nearly all of them in [0, 1]."""
        stable = self.stabilized((values - self.offset) / self.extent)
        units = (stable - self.low) / self.width
        if math.isfinite(self.limit):
            units = _compressed(np.clip(units, -self.limit, self.limit))
        return units.astype(np.float32)

    def back(self, conditioned: np.ndarray) -> np.ndarray:
        """Undo `forward` for values that are means, as a denoiser gives them; float64."""
        units = conditioned.astype(np.float64)
        if math.isfinite(self.limit):
            units = np.clip(_expanded(units), -self.limit, self.limit)
        stable = units * self.width + self.low
        return self._unstabilized(stable) * self.extent + self.offset

    def kept_aside(self, values: np.ndarray) -> np.ndarray:
        """Return what `forward` cuts off of values beyond the limit; 0 nearly everywhere."""
        if not math.isfinite(self.limit):
            return np.zeros(values.shape)
        lowest, highest = (
            self._plainly_back(sign * self.limit * self.width + self.low) for sign in (-1.0, 1.0)
        )
        unit = (values - self.offset) / self.extent
        return (unit - np.clip(unit, lowest, highest)) * self.extent

    def stabilized(self, unit: np.ndarray) -> np.ndarray:
        """Return values of unit noise, of values in units of the extent; without a law the same."""
        if self.law is None:
            return unit
        gain, constant = self.law.slope, self.law.constant
        return 2 / gain * np.sqrt(np.maximum(gain * unit + 0.375 * gain**2 + constant, 0))

    def _unstabilized(self, stable: np.ndarray) -> np.ndarray:
        if self.law is None:
            return stable
        gain = self.law.slope
        counts = exact_unbiased_inverse(torch.from_numpy(np.asarray(stable))).numpy()
        return gain * (counts - self.law.constant / gain**2)

    def _plainly_back(self, stable: float) -> float:
        """Undo the transform of a single value; a value below the transform's range is its end."""
        if self.law is None:
            return stable
        gain, constant = self.law.slope, self.law.constant
        return (gain * max(stable, 0) ** 2 / 4) - 0.375 * gain - constant / gain


def _compressed(units: np.ndarray) -> np.ndarray:
    above, below = np.maximum(units - LINEAR_TO, 0), np.maximum(LINEAR_FROM - units, 0)
    return np.clip(units, LINEAR_FROM, LINEAR_TO) + np.log1p(above) - np.log1p(below)


def _expanded(compressed: np.ndarray) -> np.ndarray:
    above, below = np.maximum(compressed - LINEAR_TO, 0), np.maximum(LINEAR_FROM - compressed, 0)
    return np.clip(compressed, LINEAR_FROM, LINEAR_TO) + np.expm1(above) - np.expm1(below)


def _scales(channels: list[np.ndarray]) -> list[ChannelScale]:
    """Return how to condition every channel, H x W, of one page; a constant one stays as it is."""
    ends = _common_ends([_robust_ends(channel) for channel in channels])
    laws = [noise_law(channel, *end) for channel, end in zip(channels, ends, strict=True)]
    if not all(law is not None and law.grows for law in laws):
        return [_plain_scale(*end, law) for end, law in zip(ends, laws, strict=True)]
    scales = [
        _stabilized_scale(channel, *end, law)
        for channel, end, law in zip(channels, ends, laws, strict=True)
    ]
    shared = _common_ends([(scale.low, scale.low + scale.width) for scale in scales])
    return [
        replace(scale, low=low, width=high - low, limit=_limit(1 / (high - low)))
        for scale, (low, high) in zip(scales, shared, strict=True)
    ]


def _common_ends(ends: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Widen the ranges of channels to the one that holds all, unless they are too different."""
    extents = [high - low for low, high in ends]
    if min(extents) <= 0 or max(extents) > CHANNELS_ALIKE * min(extents):
        return ends
    return [(min(low for low, _ in ends), max(high for _, high in ends))] * len(ends)


def _plain_scale(low: float, high: float, law: NoiseLaw | None) -> ChannelScale:
    extent = high - low if high > low else 1.0
    return ChannelScale(low, extent, None, 0.0, 1.0, _limit(law.std if law else 0.0))


def _stabilized_scale(channel: np.ndarray, low: float, high: float, law: NoiseLaw) -> ChannelScale:
    scale = ChannelScale(low, high - low, law, 0.0, 1.0, LINEAR_TO)
    first, last = _robust_ends(scale.stabilized((_sampled(channel) - low) / (high - low)))
    return replace(scale, low=first, width=last - first)


def _limit(noise_std: float) -> float:
    return max(LINEAR_TO, LIMIT_IN_NOISE * noise_std)


def _robust_ends(values: np.ndarray) -> tuple[float, float]:
    """Return the quantiles between which nearly all values lie; equal for a constant channel."""
    values = _sampled(values)
    low, high = np.quantile(values, [LOW_QUANTILE, HIGH_QUANTILE])
    for tail in WIDER_QUANTILES:
        if high > low:
            break
        low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _sampled(values: np.ndarray) -> np.ndarray:
    """Return at most about SAMPLED_MAX of the values, evenly spread."""
    return values.ravel()[:: -(-values.size // SAMPLED_MAX)]


def noise_law(channel: np.ndarray, low: float, high: float) -> NoiseLaw | None:
    """Fit how the noise of a channel, H x W, depends on its value; None if it cannot be told.

    The noise's power is that of the mixed second difference, to which smooth content adds hardly
    anything, in blocks of BLOCK_PX. Of all blocks of similar brightness those with the flattest
    neighbors count: choosing a block by its own power would favor weak noise. Blocks with clipped
    values are left out where enough others remain. Of white noise alone.
    """
    rows, columns = (side // BLOCK_PX for side in (channel.shape[0] - 1, channel.shape[1] - 1))
    if high <= low or rows < 3 or columns < 3 or rows * columns < BLOCKS_MIN:
        return None
    unit = (channel - low) / (high - low)
    mixed = np.diff(np.diff(unit, axis=0), axis=1) / 2
    clipped = (channel == channel.min()) | (channel == channel.max())
    powers, levels, clipped_shares = (
        _block_means(values, rows, columns) for values in (mixed**2, unit, clipped)
    )
    around = np.pad(powers, 1, constant_values=np.inf)
    neighbors = [around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]]
    flatness = np.sort(neighbors, axis=0)[:2].mean(axis=0).ravel()
    powers, levels = powers.ravel(), levels.ravel()
    usable = np.flatnonzero(clipped_shares.ravel() <= CLIPPED_SHARE)
    if len(usable) < BLOCKS_MIN:
        usable = np.arange(len(powers))
    bins = np.array_split(usable[levels[usable].argsort(kind="stable")], BRIGHTNESS_BINS)
    flat = [
        alike[flatness[alike].argsort(kind="stable")[: max(3, round(FLAT_SHARE * len(alike)))]]
        for alike in bins
    ]
    power = np.array([np.mean(powers[blocks]) for blocks in flat])
    level = np.array([np.mean(levels[blocks]) for blocks in flat]).clip(0)
    if not (power > 0).all():
        power = np.maximum(power, power.max() * 1e-3)
        if not power.all():
            return None
    # Divided by the power: errors of an estimated variance are in proportion to it.
    (constant, slope), _ = nnls(np.stack([1 / power, level / power], axis=1), np.ones(len(flat)))
    return NoiseLaw(float(constant), float(slope))


def _block_means(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    blocks = values[: rows * BLOCK_PX, : columns * BLOCK_PX]
    return blocks.reshape(rows, BLOCK_PX, columns, BLOCK_PX).mean(axis=(1, 3))


@dataclass(frozen=True)
class Conditioned:
    """A page as methods see it, and the way back.

    page: H x W x C, in its own units. values: h x w x C, float32, the same conditioned; smaller
    than the page where ``square_px`` pixels a side were averaged. scales: one per channel.
    """

    page: np.ndarray
    values: np.ndarray
    scales: tuple[ChannelScale, ...]
    square_px: int = 1

    @property
    def is_stabilized(self) -> bool:
        """Whether the noise grew with the signal and was made equal everywhere."""
        return any(scale.law is not None for scale in self.scales)

    @property
    def shares_scale(self) -> bool:
        """Whether all channels were scaled alike, so that they can be looked at as colors."""
        return len({(scale.offset, scale.extent) for scale in self.scales}) == 1

    def back(self, restored: np.ndarray) -> np.ndarray:
        """Return restored values, h x w x C conditioned, in the page's own units; float64."""
        squares = _averaged(self.page, self.square_px)
        channels = [
            scale.back(restored[..., index]) + scale.kept_aside(squares[..., index])
            for index, scale in enumerate(self.scales)
        ]
        enlarged = [_enlarged(channel, self.square_px, self.page.shape) for channel in channels]
        return np.stack(enlarged, axis=-1)


def condition(page: np.ndarray) -> Conditioned:
    """Condition a page, H x W x C of any units and finite values, fitted to the page itself."""
    channels = _channels(page)
    scales = _scales(channels)
    square_px = max(
        _square_px(channel, scale) for channel, scale in zip(channels, scales, strict=True)
    )
    if square_px > 1:
        channels = _channels(_averaged(page, square_px))
        scales = _scales(channels)
    return Conditioned(page, _forward(channels, scales), tuple(scales), square_px)


def uses_few_steps(page: Conditioned, step: float) -> bool:
    """Say whether a gray page uses so few steps of ``step`` that its mean values fall between."""
    is_constant = page.page.min() == page.page.max()
    few = page.scales[0].extent < STEPS_MIN * step
    return page.page.shape[-1] == 1 and few and not is_constant


def nominal(page: np.ndarray, offset: float, extent: float) -> Conditioned:
    """Scale a page for a model that learned pictures of a nominal range, and do nothing else."""
    scale = ChannelScale(offset, extent, None, 0.0, 1.0, math.inf)
    scales = [scale] * page.shape[-1]
    values = (page - np.float32(offset)) / np.float32(extent)
    return Conditioned(page, values.astype(np.float32), tuple(scales), 1)


def _channels(page: np.ndarray) -> list[np.ndarray]:
    return [page[..., index].astype(np.float64) for index in range(page.shape[-1])]


def _forward(channels: list[np.ndarray], scales: list[ChannelScale]) -> np.ndarray:
    pairs = zip(channels, scales, strict=True)
    return np.stack([scale.forward(channel) for channel, scale in pairs], axis=-1)


def _square_px(channel: np.ndarray, scale: ChannelScale) -> int:
    """Return how many pixels a side to average: 1 unless hardly any photons were counted."""
    if scale.law is None:
        return 1
    unit = (_sampled(channel) - scale.offset) / scale.extent
    # What counts is the variance in units of a photon squared: photons, plus the reading noise.
    variance = scale.law.constant + scale.law.slope * np.maximum(unit, 0).mean()
    counts = variance / scale.law.slope**2
    return next((px for below, px in SQUARES_BELOW_COUNTS if counts < below), 1)


def _averaged(page: np.ndarray, square_px: int) -> np.ndarray:
    """Average squares of pixels; sides that are no multiple are extended by reflection."""
    if square_px == 1:
        return page
    extra = [(0, -side % square_px) for side in page.shape[:2]]
    padded = np.pad(page, (*extra, (0, 0)), mode="reflect")
    rows, columns = (side // square_px for side in padded.shape[:2])
    return padded.reshape(rows, square_px, columns, square_px, -1).mean(axis=(1, 3))


def _enlarged(channel: np.ndarray, square_px: int, shape: tuple[int, ...]) -> np.ndarray:
    """Undo `_averaged` for smooth content, by cubic splines through the squares' centers."""
    if square_px == 1:
        return channel
    centers = [(np.arange(side) + 0.5) / square_px - 0.5 for side in shape[:2]]
    grid = np.meshgrid(*centers, indexing="ij")
    return map_coordinates(channel, grid, order=3, mode="nearest")
