"""A simulated observer: a model of early vision that votes on triplets as people did for BAPPS.

It stands in where human judgments cannot be had, and is not a human: what it votes is a function
of the constants below. All come from the literature, but for the noise of its decisions, which is
fitted to how often people disagree.

1. Viewing: 32 pixels per degree, which is a screen of 0.25 mm pixels from 46 cm. A patch of 64
   pixels spans two degrees, the fovea.
2. Opponent channels: CIELAB, whose cube root models the compression of light by receptors. Its
   differences are in units of what people just notice: 2.3 (Mahy et al. 1994).
3. Channels of spatial frequency and orientation: log-Gabor filters (Field 1987) at 1, 2, 4 and 8
   cycles per degree, 1.4 octaves and 45 degrees wide at half height (medians in cortex: De Valois
   et al. 1982a, b), on the periodic component of the patch (Moisan 2011), which has no edges where
   it wraps around. Below them, a low-pass.
4. Contrast sensitivity: that of Mannos & Sakrison (1974) for lightness, fitted to rankings of
   distorted images; for red-green and blue-yellow the low-pass shapes that Mullen (1985) measured,
   as fitted by Johnson & Fairchild (2003). Each is 1 at its peak.
5. Complex cells: the energy of a quadrature pair (Adelson & Bergen 1985) does not depend on phase,
   and is pooled over a Gaussian half a degree across at half height, as wide as receptive fields
   beside the fovea (half of an eccentricity of one degree: Freeman & Simoncelli 2011). Small shifts
   and warps hardly change it. There is no further search over shifts.
6. Masking: contrast c in units of threshold becomes c^2.4 / (1 + mean c^2), the mean over
   orientations (Legge & Foley 1980 for the exponents, Watson & Solomon 1997 for the pool).
   Lightness and colors do not mask each other. A difference of the low-pass goes through the
   same curve.
7. Pooling: a Minkowski norm of exponent 3.5 (Watson 1979) of the differences of responses, a sum
   over channels and a mean over places.
8. Decision: every patch gets its distance plus Gaussian noise, the smaller one wins (Thurstone
   1927, case V). In a same-different task, a distance plus that noise of a pair below a criterion
   is called "same".

Left out: eye movements, temporal order, attention and semantics, masking between channels of
different frequency, and the loss of color contrast below about half a cycle per degree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft, ndimage, optimize
from scipy.special import ndtr, ndtri
from skimage.color import rgb2lab

from unpaired.core.errors import UnpairedError

PIXELS_PER_DEGREE = 32
LAB_JND = 2.3
BANDS_CPD = (8.0, 4.0, 2.0, 1.0)
LOW_PASS_CPD = 0.5  # an octave below the lowest band
ORIENTATIONS = 4
BANDWIDTH_OCTAVES, BANDWIDTH_DEGREES = 1.4, 45.0  # full widths at half height
POOLING_DEGREES = 0.5  # full width at half height
EXCITATION, INHIBITION = 2.4, 2.0
MINKOWSKI = 3.5

# Standard deviation of the noise of one distance. Fitted (`fit_noise`) to one number: that people
# are 80.8 % consistent on the traditional triplets of BAPPS (Table 6.5, 5 votes), with the first
# 300 traditional training triplets of the stand-in. No metric had a part in it.
DECISION_NOISE = 0.88
# People called identical patches "same" this often (Zhang 2018, section 6.2.2).
SAME_SHARE_OF_IDENTICAL = 0.704

CHUNK = 16  # Pictures at a time: their filter responses take 25 MB.

_STD_PER_WIDTH = 1 / np.sqrt(8 * np.log(2))  # of a Gaussian, from its full width at half height


@dataclass(frozen=True)
class Observer:
    """Votes by a distance with noise. noise: standard deviation, in units of the distance.

    distance: of N reference and N distorted patches, N x H x W x 3 each, uint8 or float in [0, 1].
    """

    distance: Callable[[np.ndarray, np.ndarray], np.ndarray]
    noise: float

    def preference(
        self, reference: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> np.ndarray:
        """Return for N triplets the probability that ``second`` is voted the nearer one."""
        return preference(
            self.distance(reference, first), self.distance(reference, second), self.noise
        )

    def vote_share(
        self,
        reference: np.ndarray,
        first: np.ndarray,
        second: np.ndarray,
        votes: int,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return for N triplets the share of ``votes`` that went to ``second``."""
        return rng.binomial(votes, self.preference(reference, first, second)) / votes

    def sameness(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return for N pairs the probability that the two patches are called "same".

        The criterion follows from how often identical ones are.
        """
        criterion = ndtri(SAME_SHARE_OF_IDENTICAL)
        distance = self.distance(first, second)
        if self.noise == 0:
            return np.where(distance > 0, 0.0, SAME_SHARE_OF_IDENTICAL)
        return ndtr(criterion - distance / (np.sqrt(2) * self.noise))

    def same_share(
        self, first: np.ndarray, second: np.ndarray, votes: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Return for N pairs the share of ``votes`` that called them the same."""
        return rng.binomial(votes, self.sameness(first, second)) / votes


def preference(first: np.ndarray, second: np.ndarray, noise: float) -> np.ndarray:
    """Return the probability that the second of two distances is taken for the smaller one."""
    difference = np.asarray(first) - np.asarray(second)
    if noise == 0:
        return (np.sign(difference) + 1) / 2
    return ndtr(difference / (np.sqrt(2) * noise))


def expected_consistency(preferred: np.ndarray, votes: int) -> float:
    """Return what p^2 + (1 - p)^2 is on average when p is the share of so many votes.

    preferred: the probabilities behind the votes. A share of few votes is off by chance, which
    makes people look more consistent than they are.
    """
    return float(np.mean(1 - 2 * preferred * (1 - preferred) * (1 - 1 / votes)))


def fit_noise(first: np.ndarray, second: np.ndarray, consistency: float, votes: int) -> float:
    """Return the decision noise with which votes on pairs of distances are so consistent.

    Raises UnpairedError if no noise does that.
    """

    def excess(log_noise: float) -> float:
        chances = preference(first, second, np.exp(log_noise))
        return expected_consistency(chances, votes) - consistency

    scale = np.log(np.abs(first - second).mean())
    if excess(scale - 12) < 0 or excess(scale + 12) > 0:
        raise UnpairedError(f"no decision noise gives a consistency of {consistency}; lower it")
    return float(np.exp(optimize.brentq(excess, scale - 12, scale + 12)))


def l2_distance(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the root mean square CIELAB difference of N pairs: what the control observer sees."""
    difference = _lab(reference) - _lab(image)
    return np.sqrt(np.mean(difference.astype(float) ** 2, (1, 2, 3)))


def visual_distance(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return how different N pairs look to the simulated observer; see the top of this module.

    reference, image: N x H x W x 3, uint8 or float in [0, 1]. Symmetric, 0 for equal ones.
    Raises UnpairedError for other shapes or ranges.
    """
    if reference.shape != image.shape:
        raise UnpairedError(
            f"patches of the shapes {reference.shape} and {image.shape} cannot be compared"
        )
    chunks = [slice(start, start + CHUNK) for start in range(0, len(reference), CHUNK)]
    return np.concatenate([_visual_distance(reference[c], image[c]) for c in chunks])


def _visual_distance(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
    (bands, low), (other_bands, other_low) = perceive(reference), perceive(image)
    differences = np.abs(bands - other_bands) ** MINKOWSKI
    change = np.abs(low - other_low)
    differences_low = (change**EXCITATION / (1 + change**INHIBITION)) ** MINKOWSKI
    pooled = differences.mean((-2, -1)).sum((1, 2, 3)) + differences_low.mean((-2, -1)).sum(1)
    return pooled.astype(float) ** (1 / MINKOWSKI)


def perceive(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the responses of complex cells and the low-pass of N pictures.

    Responses: N x 3 opponent channels x bands x orientations x rows x columns, after masking; low-
    pass: N x 3 x rows x columns, in units of threshold. There is a row for every fourth pixel.
    """
    lab = np.moveaxis(_lab(image), -1, 1).astype(np.float32)
    height, width = lab.shape[-2:]
    spectrum = fft.fft2(_periodic(lab))
    rows, columns = _pooling(height), _pooling(width)
    weights = 2 / LAB_JND * _band_sensitivities()
    contrasts = np.empty((*lab.shape[:2], *weights.shape[1:], len(rows), len(columns)), np.float32)
    for band, filters in enumerate(_filters(height, width)):
        pairs = fft.ifft2(spectrum[:, :, None] * filters)
        energy = pairs.real**2 + pairs.imag**2
        contrasts[:, :, band] = np.sqrt(rows @ energy @ columns.T)
    contrasts *= weights[..., None, None]
    mask = np.mean(contrasts**INHIBITION, 3, keepdims=True)
    low_weights = np.array([s(LOW_PASS_CPD) for s in SENSITIVITIES], np.float32) / LAB_JND
    std_px = _STD_PER_WIDTH * PIXELS_PER_DEGREE / LOW_PASS_CPD / 2
    low = ndimage.gaussian_filter(lab, (0, 0, std_px, std_px), mode="reflect")[..., 2::4, 2::4]
    return contrasts**EXCITATION / (1 + mask), low * low_weights[:, None, None]


def luminance_sensitivity(cpd: float) -> float:
    """Return Mannos & Sakrison's contrast sensitivity at a frequency, 1 at its peak of 8 cpd."""
    return _mannos_sakrison(cpd) / _mannos_sakrison(8.0)


def _mannos_sakrison(cpd: float) -> float:
    return 2.6 * (0.0192 + 0.114 * cpd) * np.exp(-((0.114 * cpd) ** 1.1))


def red_green_sensitivity(cpd: float) -> float:
    """Return Johnson & Fairchild's red-green sensitivity at a frequency, 1 at 0."""
    parts = 109.1413 * np.exp(-0.00038 * cpd**3.42436), 93.59711 * np.exp(-0.00367 * cpd**2.16771)
    return sum(parts) / (109.1413 + 93.59711)


def blue_yellow_sensitivity(cpd: float) -> float:
    """Return Johnson & Fairchild's blue-yellow sensitivity at a frequency, 1 at 0."""
    parts = 7.0328 * np.exp(-0.000004 * cpd**4.2582), 40.6910 * np.exp(-0.1039 * cpd**1.6487)
    return sum(parts) / (7.0328 + 40.6910)


SENSITIVITIES = (luminance_sensitivity, red_green_sensitivity, blue_yellow_sensitivity)


def _band_sensitivities() -> np.ndarray:
    """Return sensitivities, 3 channels x bands x 1 for the orientations."""
    values = [[sensitivity(cpd) for cpd in BANDS_CPD] for sensitivity in SENSITIVITIES]
    return np.repeat(np.array(values, np.float32)[..., None], ORIENTATIONS, -1)


def _lab(image: np.ndarray) -> np.ndarray:
    if image.ndim != 4 or image.shape[-1] != 3:
        raise UnpairedError(f"pictures of the shape {image.shape}, not N x H x W x 3")
    if image.dtype != np.uint8 and not (image.min() >= 0 and image.max() <= 1):
        raise UnpairedError(
            f"pictures from {image.min():g} to {image.max():g}, not in [0, 1]; scale them"
        )
    return rgb2lab(image if image.dtype == np.uint8 else image.astype(np.float32))


def _periodic(image: np.ndarray) -> np.ndarray:
    """Return the periodic component (Moisan 2011) of images ... x H x W: no jump at the borders."""
    jumps = np.zeros_like(image)
    jumps[..., 0, :] += image[..., 0, :] - image[..., -1, :]
    jumps[..., -1, :] -= image[..., 0, :] - image[..., -1, :]
    jumps[..., :, 0] += image[..., :, 0] - image[..., :, -1]
    jumps[..., :, -1] -= image[..., :, 0] - image[..., :, -1]
    rows, columns = (2 * np.cos(2 * np.pi * fft.fftfreq(side)) for side in image.shape[-2:])
    laplacian = rows[:, None] + columns - 4
    laplacian[0, 0] = 1  # The jumps have no mean.
    smooth = fft.ifft2(fft.fft2(jumps) / laplacian).real
    return (image + smooth).astype(np.float32)


@lru_cache(maxsize=4)
def _filters(height: int, width: int) -> np.ndarray:
    """Return log-Gabor filters of half of the plane, bands x orientations x H x W.

    The inverse transform gives the quadrature pair as one complex number, of the amplitude of a
    grating at the center of the filter.
    """
    y, x = fft.fftfreq(height)[:, None], fft.fftfreq(width)
    cpd = np.hypot(y, x) * PIXELS_PER_DEGREE
    octaves = np.log2(np.where(cpd > 0, cpd, np.inf) / np.array(BANDS_CPD)[:, None, None])
    radial = np.exp(-((octaves / (_STD_PER_WIDTH * BANDWIDTH_OCTAVES)) ** 2) / 2)
    preferred = np.arange(ORIENTATIONS) * 180 / ORIENTATIONS
    angle = np.degrees(np.arctan2(y, x)) - preferred[:, None, None]
    angle = (angle + 180) % 360 - 180
    angular = np.exp(-((angle / (_STD_PER_WIDTH * BANDWIDTH_DEGREES)) ** 2) / 2)
    return (2 * radial[:, None] * angular).astype(np.float32)


@lru_cache(maxsize=4)
def _pooling(side_px: int) -> np.ndarray:
    """Return the Gaussian weights, rows x ``side_px``, of windows at every fourth pixel."""
    std_px = _STD_PER_WIDTH * POOLING_DEGREES * PIXELS_PER_DEGREE
    distances = np.arange(side_px) - np.arange(1.5, side_px, 4)[:, None]
    weights = np.exp(-((distances / std_px) ** 2) / 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


SIMULATED = Observer(visual_distance, DECISION_NOISE)
L2_CONTROL = Observer(l2_distance, 0.0)
