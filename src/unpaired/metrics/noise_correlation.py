"""Is the noise of neighboring pixels correlated? Told from one noisy image, without the clean one.

Methods that learn from noisy images alone take the noise of neighboring pixels to be independent.
Demosaicking, enlarging and in-camera denoising make it correlated, and then such methods keep part
of it.

How: overlapped patches of 16 x 16 pixels lose their smooth part, the fifteen lowest DCT components.
What is left is noise, edges and texture. Its autocovariance is measured in the flattest patches and
their median is taken, which leaves out most edges and texture. Removing the smooth part changes the
autocovariance of the noise by a known linear map, which is then undone under the assumption that
noise farther apart than two pixels is uncorrelated.

Which patches are flat is judged by their neighbors, whose noise is another: choosing a patch for
its own small variance would favor those whose noise happens to be weak at low frequencies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

# A correlation from here on is reported. For white noise of standard deviation 10/255 or more on
# photos the estimate stays below, mostly below 0.05, and reaches 0.2 only on texture without any
# flat area; noise after bilinear demosaicking has 0.58.
CORRELATED_FROM = 0.2

_PATCH_PX = 16
_STEP_PX = _PATCH_PX // 2
_SMOOTH_ORDERS = 5  # DCT components (u, v) with u + v below this are removed
REACH_PX = 2
LAGS = [
    (dy, dx)
    for dy in range(REACH_PX + 1)
    for dx in range(-REACH_PX, REACH_PX + 1)
    if (dy, dx) >= (0, 0)
]
# Up to 6 x 6 windows of 256 x 256 pixels stand for an image, which bounds time and memory.
_WINDOW_PX = 256
_WINDOWS_PER_AXIS = 6
_FLAT_FRACTION = 0.07
_MIN_PATCHES = 8
_SATURATED_FRACTION = 0.02


@dataclass(frozen=True)
class NoiseCorrelation:
    """Correlation coefficients of the noise in [-1, 1], means over channels.

    horizontal, vertical: of direct neighbors. diagonal: of diagonal neighbors, mean of both
    directions. horizontal_2, vertical_2: of pixels two apart. noise_std: standard deviation of the
    noise in the flat parts, in the units of the image, root mean square over channels. n_patches:
    patches used, of all channels; 0 if the image has none that serves, and then all figures are
    NaN.
    """

    horizontal: float
    vertical: float
    diagonal: float
    horizontal_2: float
    vertical_2: float
    noise_std: float
    n_patches: int

    @property
    def strongest(self) -> float:
        """The coefficient of largest size among direct and diagonal neighbors."""
        return max(self.horizontal, self.vertical, self.diagonal, key=abs)

    @property
    def is_correlated(self) -> bool:
        """Whether the strongest coefficient reaches CORRELATED_FROM in size."""
        return abs(self.strongest) >= CORRELATED_FROM

    @property
    def warning(self) -> str | None:
        """One line for the user if the noise is correlated."""
        if not self.is_correlated:
            return None
        return (
            f"the noise of neighboring pixels is correlated (coefficient {self.strongest:.2f}, "
            f"tolerable below {CORRELATED_FROM}); methods that assume independent noise will leave "
            "part of it: use raw or unscaled pictures where you have them"
        )


def noise_correlation(image: np.ndarray) -> NoiseCorrelation:
    """Estimate the correlation between neighboring pixels' noise from one noisy image.

    image: H x W or H x W x C of any finite values and range; noise may depend on the signal.
    Patches clipped at the ends of the range, or without any noise, are skipped.

    On 24 Kodak photos the larger error of the direct and diagonal coefficients is 0.01 (median) and
    0.07 (worst) for white noise of standard deviation 25/255, and 0.03 (median) and 0.14 (worst)
    after a binomial blur of that noise, which leaves a standard deviation of 9/255. Texture without
    flat areas counts as noise; so does all fine texture of an image nearly free of noise. The
    filter and its correction are this project's own; choosing flat patches for noise estimation is
    classic (e.g. Liu, Tanaka and Okutomi, IEEE TIP 2013).
    """
    channels = image[..., None] if image.ndim == 2 else image
    estimates = [_of_channel(channels[..., index]) for index in range(channels.shape[-1])]
    estimates = [estimate for estimate in estimates if estimate is not None]
    if not estimates:
        return NoiseCorrelation(*[math.nan] * 6, n_patches=0)
    covariances = dict(zip(LAGS, np.mean([c / c[0] for c, _ in estimates], axis=0), strict=True))
    return NoiseCorrelation(
        horizontal=float(covariances[0, 1]),
        vertical=float(covariances[1, 0]),
        diagonal=float(covariances[1, 1] + covariances[1, -1]) / 2,
        horizontal_2=float(covariances[0, 2]),
        vertical_2=float(covariances[2, 0]),
        noise_std=float(np.sqrt(np.mean([c[0] for c, _ in estimates]))),
        n_patches=sum(count for _, count in estimates),
    )


def noise_covariances(image: np.ndarray) -> np.ndarray | None:
    """Estimate the covariances of the noise between channels, of neighboring pixels as well.

    image: H x W x C. Returns lags x C x C, of pixels (dy, dx) = LAGS apart, in the image's units
    squared; all channels are measured in the same flat patches. None if too few serve.
    """
    if min(image.shape[:2]) < _PATCH_PX:
        return None
    smooth, correction = _filters()
    channels = [_patches(channel) for channel in np.moveaxis(image, -1, 0)]
    # One channel at a time: all patches of all channels would take a gigabyte.
    parts = [_Parts.of(patches, smooth) for patches in channels]
    variance = sum(part.variance for part in parts)
    at_ends = np.max([part.at_ends for part in parts], axis=0)
    usable = (at_ends < _SATURATED_FRACTION) & (variance > 0)
    if usable.sum() < _MIN_PATCHES:
        return None
    structure = variance + 0.1 * sum(part.smooth_power for part in parts)
    brightness = sum(part.brightness for part in parts)
    flat = _flattest(structure / _noise_floor(variance, brightness, usable), usable)
    if flat.sum() < _MIN_PATCHES:
        return None
    residual = np.stack([_without_smooth(patches[flat], smooth)[0] for patches in channels])
    products = np.stack([_cross_covariances(residual, *lag) for lag in LAGS])
    return np.linalg.solve(correction, products.reshape(len(LAGS), -1)).reshape(products.shape)


class _Parts(NamedTuple):
    """What every patch of a channel tells: a figure each, windows x rows x columns."""

    variance: np.ndarray
    smooth_power: np.ndarray
    brightness: np.ndarray
    at_ends: np.ndarray

    @classmethod
    def of(cls, patches: np.ndarray, smooth: np.ndarray) -> _Parts:
        residual, coefficients = _without_smooth(patches, smooth)
        return cls(
            (residual**2).mean((-2, -1)),
            (coefficients[..., 1:] ** 2).mean(-1),
            coefficients[..., 0],
            ((patches == patches.min()) | (patches == patches.max())).mean((-2, -1)),
        )


def _without_smooth(patches: np.ndarray, smooth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the residual of patches, ... x 16 x 16, and their smooth coefficients."""
    flattened = patches.reshape(*patches.shape[:-2], -1).astype(np.float64)
    coefficients = flattened @ smooth.T
    return (flattened - coefficients @ smooth).reshape(patches.shape), coefficients


def _cross_covariances(residual: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """Return the mean products of C x patches x 16 x 16 residuals at a lag, C x C, symmetric."""
    size = _PATCH_PX
    first = residual[..., : size - dy, max(0, -dx) : size - max(0, dx)]
    second = residual[..., dy:, max(0, dx) : size - max(0, -dx)]
    one_way = np.einsum("cnyx,dnyx->cd", first, second) / first[0].size
    return (one_way + one_way.T) / 2


def _of_channel(channel: np.ndarray) -> tuple[np.ndarray, int] | None:
    """Return the noise's autocovariance at LAGS and the number of patches; None if too few."""
    if min(channel.shape) < _PATCH_PX:
        return None
    patches = _patches(channel)
    low, high = channel.min(), channel.max()
    at_ends = ((patches == low) | (patches == high)).mean((-2, -1))
    smooth, correction = _filters()
    residual, coefficients = _without_smooth(patches, smooth)
    covariances = _autocovariances(residual)
    variance = covariances[..., 0]
    usable = (at_ends < _SATURATED_FRACTION) & (variance > 1e-12 * float(high - low) ** 2)
    if usable.sum() < _MIN_PATCHES:
        return None
    # Smooth structure counts a little: where it is strong there is often texture as well.
    structure = variance + 0.1 * (coefficients[..., 1:] ** 2).mean(-1)
    floor = _noise_floor(variance, coefficients[..., 0], usable)
    flat = _flattest(structure / floor, usable)
    if flat.sum() < _MIN_PATCHES:
        return None
    typical = np.median(covariances[flat] / variance[flat, None], axis=0)
    return np.linalg.solve(correction, typical) * np.median(variance[flat]), int(flat.sum())


def _patches(channel: np.ndarray) -> np.ndarray:
    """Return windows x rows x columns x 16 x 16, patches half overlapped within a window."""
    sides = [min(length, _WINDOW_PX) for length in channel.shape]
    starts = [
        np.linspace(0, length - side, min(_WINDOWS_PER_AXIS, math.ceil(length / side))).astype(int)
        for length, side in zip(channel.shape, sides, strict=True)
    ]
    windows = np.stack(
        [channel[y : y + sides[0], x : x + sides[1]] for y in starts[0] for x in starts[1]]
    )
    view = np.lib.stride_tricks.sliding_window_view(windows, (_PATCH_PX, _PATCH_PX), axis=(1, 2))
    return view[:, ::_STEP_PX, ::_STEP_PX]


@cache
def _filters() -> tuple[np.ndarray, np.ndarray]:
    """Return the smooth components and the map from the noise's autocovariance to the residual's.

    Smooth components are rows, orthonormal, the constant first. For noise with covariance matrix
    sum_l R_l T_l, where T_l links pixels that are l apart, the residual Q n of a patch has the
    covariance sum_l R_l Q T_l Q; entry (k, l) of the map is the mean of Q T_l Q over pairs k apart.
    """
    position = np.arange(_PATCH_PX)
    waves = np.cos(np.pi * position[:, None] * (position + 0.5) / _PATCH_PX)
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    smooth = np.array(
        [
            np.outer(waves[u], waves[v]).ravel()
            for u in range(_SMOOTH_ORDERS)
            for v in range(_SMOOTH_ORDERS - u)
        ]
    )
    removal = np.eye(_PATCH_PX**2) - smooth.T @ smooth
    rows, columns = np.divmod(np.arange(_PATCH_PX**2), _PATCH_PX)
    below, right = rows - rows[:, None], columns - columns[:, None]
    pairs = [(below == dy) & (right == dx) for dy, dx in LAGS]
    residuals = [removal @ (pair | pair.T) @ removal for pair in pairs]
    correction = np.array([[residual[pair].mean() for residual in residuals] for pair in pairs])
    return smooth, correction


def _autocovariances(residual: np.ndarray) -> np.ndarray:
    """Return the mean product of residuals at each of LAGS, along a new last axis."""
    size = _PATCH_PX
    products = []
    for dy, dx in LAGS:
        first = residual[..., : size - dy, max(0, -dx) : size - max(0, dx)]
        second = residual[..., dy:, max(0, dx) : size - max(0, -dx)]
        products.append((first * second).mean((-2, -1)))
    return np.stack(products, axis=-1)


def _noise_floor(variance: np.ndarray, level: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Return what the flattest patches of similar brightness have, since noise may depend on it."""
    quarter = np.searchsorted(np.quantile(level[usable], [0.25, 0.5, 0.75]), level, side="right")
    floor = np.ones(variance.shape)
    for index in range(4):
        alike = usable & (quarter == index)
        if alike.any():
            floor[alike] = np.quantile(variance[alike], 0.05)
    return floor


def _flattest(structure: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Choose patches whose two flattest neighbors are flat, and which hold no edge themselves."""
    structure = np.where(usable, structure, np.inf)
    around = np.pad(structure, ((0, 0), (2, 2), (2, 2)), constant_values=np.inf)
    # Two steps away, so that they share no pixel.
    neighbors = [
        around[:, :-4, 2:-2],
        around[:, 4:, 2:-2],
        around[:, 2:-2, :-4],
        around[:, 2:-2, 4:],
    ]
    flatness = np.sort(neighbors, axis=0)[:2].mean(0)
    flatness[~usable] = np.inf
    count = max(2 * _MIN_PATCHES, int(_FLAT_FRACTION * usable.sum()))
    limit = np.sort(flatness, axis=None)[min(count, flatness.size) - 1]
    chosen = np.isfinite(flatness) & (flatness <= limit)
    if not chosen.any():
        return chosen
    return chosen & (structure < 1.5 * np.quantile(structure[chosen], 0.25))
