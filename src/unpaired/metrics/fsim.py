"""FSIM and FSIMc (Zhang, Zhang, Mou and Zhang, IEEE TIP 2011), on Kovesi's phase congruency.

Phase congruency is high where the Fourier components of a picture are in phase, whatever its
contrast: at edges, lines and corners. Constants are those of the authors' published program.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft
from scipy.ndimage import correlate

from unpaired.core.errors import UnpairedError
from unpaired.metrics.psnr import check_pair

SCALES, ORIENTATIONS = 4, 4
SMALLEST_WAVELENGTH_PX = 6
WAVELENGTH_RATIO = 2
LOG_GABOR_SHAPE = 0.55  # deviation of the transfer function over the center frequency
ANGULAR_INTERVAL = 1.2  # between orientations, in deviations of the angular Gaussian
NOISE_DEVIATIONS = 2.0  # above the mean noise energy: the threshold
NOISE_OVERESTIMATE = 1.7  # of the threshold, empirical (Kovesi)
LOW_PASS_CUTOFF, LOW_PASS_ORDER = 0.45, 15
ENERGY_EPS = 1e-4
T_PHASE, T_GRADIENT, T_CHROMA = 0.85, 160.0, 200.0
CHROMA_POWER = 0.03
NORMAL_SIDE_PX = 256  # of the shorter side, where a picture has more
SMALLEST_SIDE_PX = 16
SCHARR = np.array([[3, 0, -3], [10, 0, -10], [3, 0, -3]]) / 16
YIQ_FROM_RGB = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def fsim(reference: np.ndarray, image: np.ndarray, *, chromatic: bool = True) -> float:
    """Return FSIMc, or FSIM of the luminance alone, in [0, 1] for two uint8 H x W x C images.

    Gray images have no chroma, so both are the same. Larger pictures are first averaged over square
    blocks until the shorter side is near 256 pixels. Raises UnpairedError for other types, shapes
    that differ, other numbers of channels than 1 and 3, and sides below 16 pixels.
    """
    check_pair(reference, image, None)
    if reference.shape[-1] not in (1, 3) or min(reference.shape[:2]) < SMALLEST_SIDE_PX:
        raise UnpairedError(
            f"FSIM needs 1 or 3 channels and sides of at least {SMALLEST_SIDE_PX} pixels, "
            f"not {reference.shape}"
        )
    planes = [_planes(picture) for picture in (reference, image)]
    luminances = [picture[0] for picture in planes]
    phases = [phase_congruency(luminance) for luminance in luminances]
    gradients = [_gradient(luminance) for luminance in luminances]
    similarity = _similarity(*phases, T_PHASE) * _similarity(*gradients, T_GRADIENT)
    if chromatic and len(planes[0]) == 3:
        chroma = _similarity(planes[0][1], planes[1][1], T_CHROMA)
        chroma *= _similarity(planes[0][2], planes[1][2], T_CHROMA)
        # The real part of a negative number's power, as in the authors' program.
        similarity = similarity * np.real(chroma.astype(complex) ** CHROMA_POWER)
    weight = np.maximum(*phases)
    if weight.sum() == 0:
        return 1.0 if np.array_equal(reference, image) else float(similarity.mean())
    return float(np.sum(similarity * weight) / weight.sum())


def phase_congruency(luminance: np.ndarray) -> np.ndarray:
    """Return phase congruency, in [0, 1], of an H x W picture in units of 1/255.

    Kovesi, "Image features from phase congruency", Videre 1999: the energy of complex log-Gabor
    responses that are in phase, less what noise would have, over the sum of their amplitudes; the
    responses of all orientations together.
    """
    filters, noise_gain = _filters(luminance.shape)
    spectrum = fft.fft2(luminance)
    energy_total = np.zeros(luminance.shape)
    amplitude_total = np.zeros(luminance.shape)
    for transfer, gain in zip(filters, noise_gain, strict=True):
        responses = fft.ifft2(spectrum * transfer)
        amplitudes = np.abs(responses)
        mean = responses.sum(axis=0)
        mean /= np.abs(mean) + ENERGY_EPS
        # The real part lies along the mean phase, the imaginary part across it.
        aligned = responses * mean.conj()
        energy = (aligned.real - np.abs(aligned.imag)).sum(axis=0)
        # Noise energy is exponentially distributed: its mean is its median over log 2.
        noise_power = np.median(amplitudes[0] ** 2) / np.log(2)
        rayleigh = np.sqrt(noise_power * gain / 2)
        threshold = rayleigh * (np.sqrt(np.pi / 2) + NOISE_DEVIATIONS * np.sqrt(2 - np.pi / 2))
        energy_total += np.maximum(energy - threshold / NOISE_OVERESTIMATE, 0)
        amplitude_total += amplitudes.sum(axis=0)
    tiny = np.finfo(np.float64).tiny
    return energy_total / np.maximum(amplitude_total, tiny)


@lru_cache(maxsize=8)
def _filters(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return transfer functions, orientations x scales x H x W, and each orientation's noise gain.

    The gain is the expected square of the summed response to noise over the mean square of the
    response at the smallest scale.
    """
    y, x = np.meshgrid(*(_frequencies(length) for length in shape), indexing="ij")
    radius = np.hypot(x, y)
    angle = np.arctan2(-y, x)
    low_pass = 1 / (1 + (radius / LOW_PASS_CUTOFF) ** (2 * LOW_PASS_ORDER))
    radius[0, 0] = 1  # the logarithm of the mean's frequency is not needed
    radial = []
    for scale in range(SCALES):
        wavelength = SMALLEST_WAVELENGTH_PX * WAVELENGTH_RATIO**scale
        gabor = np.exp(-(np.log(radius * wavelength) ** 2) / (2 * np.log(LOG_GABOR_SHAPE) ** 2))
        gabor[0, 0] = 0
        radial.append(gabor * low_pass)
    spread = np.pi / ORIENTATIONS / ANGULAR_INTERVAL
    angular = []
    for orientation in range(ORIENTATIONS):
        turned = angle - orientation * np.pi / ORIENTATIONS
        distance = np.abs(np.arctan2(np.sin(turned), np.cos(turned)))
        angular.append(np.exp(-(distance**2) / (2 * spread**2)))
    filters = np.stack(angular)[:, None] * np.stack(radial)
    kernels = fft.ifft2(filters).real * np.sqrt(radius.size)
    # Of the sum over scales squared: the squares once and every product of two scales twice.
    squares = (kernels**2).sum(axis=(1, 2, 3))
    products = ((kernels.sum(axis=1) ** 2).sum(axis=(1, 2)) - squares) / 2
    smallest = (filters[:, 0] ** 2).sum(axis=(1, 2))
    return filters, (2 * squares + 4 * products) / smallest


def _frequencies(length: int) -> np.ndarray:
    """Return cycles per pixel with 0 first; for odd lengths up to 1/2 itself, as Kovesi does."""
    if length % 2:
        return fft.ifftshift(np.arange(-(length - 1) / 2, (length - 1) / 2 + 1) / (length - 1))
    return fft.ifftshift(np.arange(-length / 2, length / 2) / length)


def _planes(picture: np.ndarray) -> list[np.ndarray]:
    """Return Y, I and Q, or gray alone, averaged over blocks if the picture is large."""
    block = max(1, round(min(picture.shape[:2]) / NORMAL_SIDE_PX))
    height, width = (side // block for side in picture.shape[:2])
    channels = picture.shape[2]
    cut = picture[: height * block, : width * block].astype(np.float64)
    blocks = cut.reshape(height, block, width, block, channels).mean(axis=(1, 3))
    if channels == 1:
        return [blocks[..., 0]]
    return list(np.moveaxis(blocks @ YIQ_FROM_RGB.T, -1, 0))


def _gradient(luminance: np.ndarray) -> np.ndarray:
    """Return the size of the Scharr gradient; outside the picture there is 0."""
    return np.hypot(
        correlate(luminance, SCHARR, mode="constant"),
        correlate(luminance, SCHARR.T, mode="constant"),
    )


def _similarity(first: np.ndarray, second: np.ndarray, constant: float) -> np.ndarray:
    return (2 * first * second + constant) / (first**2 + second**2 + constant)
