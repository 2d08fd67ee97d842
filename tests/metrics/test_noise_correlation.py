from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.data
import skimage.io
from scipy import ndimage

from tests.conftest import shared_data
from unpaired.metrics.noise_correlation import (
    CORRELATED_FROM,
    NoiseCorrelation,
    noise_correlation,
)

PHOTOS = ["astronaut", "chelsea", "coffee"]
BINOMIAL = np.array([0.25, 0.5, 0.25])
KERNELS = {
    "binomial": np.outer(BINOMIAL, BINOMIAL),
    "horizontal": BINOMIAL[None],
    "vertical": BINOMIAL[:, None],
    "box": np.full((2, 2), 0.25),
    "sharpened": np.array([[0, -0.25, 0], [-0.25, 2, -0.25], [0, -0.25, 0]]),
}


def photo(name: str) -> np.ndarray:
    return getattr(skimage.data, name)() / 255


def white(shape, std: float = 25 / 255) -> np.ndarray:
    return np.random.default_rng(7).normal(0, std, shape)


def filtered(noise: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return ndimage.convolve(noise, kernel[..., None], mode="wrap")


def coefficients(result: NoiseCorrelation) -> np.ndarray:
    return np.array([result.horizontal, result.vertical, result.diagonal])


def true_coefficients(kernel: np.ndarray) -> np.ndarray:
    """What a kernel does to white noise: its autocorrelation at the direct neighbors."""
    padded = np.pad(kernel, 2)
    shifts = [(0, 1), (1, 0), (1, 1), (1, -1)]
    horizontal, vertical, down, up = (
        (padded * np.roll(padded, shift, (0, 1))).sum() / (kernel**2).sum() for shift in shifts
    )
    return np.array([horizontal, vertical, (down + up) / 2])


def demosaicked(image: np.ndarray) -> np.ndarray:
    """Sample an RGGB mosaic and interpolate it linearly."""
    cross = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
    square = np.outer([1, 2, 1], [1, 2, 1]) / 4
    planes = []
    for channel, kernel, sites in [
        (0, square, [(0, 0)]),
        (1, cross, [(0, 1), (1, 0)]),
        (2, square, [(1, 1)]),
    ]:
        mosaic = np.zeros(image.shape[:2])
        for y, x in sites:
            mosaic[y::2, x::2] = image[y::2, x::2, channel]
        planes.append(ndimage.convolve(mosaic, kernel, mode="mirror"))
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("std_255", [10, 25, 50])
@pytest.mark.parametrize("name", PHOTOS)
def test_white_noise_is_not_correlated(name, std_255):
    clean = photo(name)
    result = noise_correlation(clean + white(clean.shape, std_255 / 255))
    assert np.abs(coefficients(result)).max() < 0.05
    assert abs(result.horizontal_2) < 0.05
    assert abs(result.vertical_2) < 0.05
    assert result.noise_std == pytest.approx(std_255 / 255, rel=0.1)
    assert not result.is_correlated
    assert result.warning is None


@pytest.mark.parametrize("name", PHOTOS)
def test_photon_noise_is_not_correlated(name):
    noisy = np.random.default_rng(7).poisson(photo(name) * 30) / 30
    assert np.abs(coefficients(noise_correlation(noisy))).max() < 0.1


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
@pytest.mark.parametrize("name", PHOTOS)
def test_correlation_made_by_a_filter_is_found(name, kernel):
    clean = photo(name)
    noise = filtered(white(clean.shape), kernel)
    result = noise_correlation(clean + noise)
    np.testing.assert_allclose(coefficients(result), true_coefficients(kernel), atol=0.1)
    assert result.noise_std == pytest.approx(noise.std(), rel=0.15)


@pytest.mark.parametrize("name", PHOTOS)
def test_demosaicked_noise_is_found_and_told(name):
    clean = photo(name)
    flat = demosaicked(white((512, 512, 3)))
    product = {
        (dy, dx): (flat * np.roll(flat, (dy, dx), (0, 1))).mean((0, 1)) / (flat**2).mean((0, 1))
        for dy, dx in [(0, 1), (1, 0), (1, 1)]
    }
    expected = [product[lag].mean() for lag in [(0, 1), (1, 0), (1, 1)]]
    result = noise_correlation(demosaicked(clean + white(clean.shape)))
    np.testing.assert_allclose(coefficients(result), expected, atol=0.05)
    assert result.is_correlated
    assert f"{result.strongest:.2f}" in result.warning
    assert "\n" not in result.warning


def test_without_content_the_estimate_is_nearly_exact():
    ramp = np.broadcast_to(np.linspace(0, 1, 512), (512, 512))[..., None]
    for kernel in KERNELS.values():
        result = noise_correlation(ramp + filtered(white((512, 512, 1)), kernel))
        np.testing.assert_allclose(coefficients(result), true_coefficients(kernel), atol=0.03)


def test_gray_equals_one_channel_and_equal_channels():
    gray = photo("astronaut")[..., 1] + white((512, 512))
    one = noise_correlation(gray)
    assert coefficients(noise_correlation(gray[..., None])) == pytest.approx(coefficients(one))
    three = noise_correlation(np.stack([gray] * 3, axis=-1))
    assert coefficients(three) == pytest.approx(coefficients(one))
    assert three.noise_std == pytest.approx(one.noise_std)
    assert three.n_patches == 3 * one.n_patches


def test_the_range_does_not_matter():
    noisy = photo("chelsea")[..., 0] + white((300, 451))
    result, scaled = noise_correlation(noisy), noise_correlation(noisy * 4000 - 1024)
    assert coefficients(scaled) == pytest.approx(coefficients(result), abs=1e-6)
    assert scaled.noise_std == pytest.approx(4000 * result.noise_std)


def test_transposing_swaps_the_directions():
    noisy = photo("coffee")[..., 0] + filtered(white((400, 600, 1)), BINOMIAL[None])[..., 0]
    result, turned = noise_correlation(noisy), noise_correlation(noisy.T)
    assert turned.vertical == pytest.approx(result.horizontal, abs=0.03)
    assert turned.horizontal == pytest.approx(result.vertical, abs=0.03)


def test_clipped_and_rounded_noise():
    clean = photo("astronaut")
    noisy = np.round(255 * np.clip(clean + white(clean.shape), 0, 1)) / 255
    assert np.abs(coefficients(noise_correlation(noisy))).max() < 0.05


def test_saturated_and_empty_areas_are_skipped():
    clean = photo("astronaut")
    noisy = np.clip(clean + white(clean.shape), 0, 1)
    noisy[:, :200] = 1  # blown out
    noisy[300:, 200:] = 0.5  # a mask without any noise
    result = noise_correlation(noisy)
    assert np.abs(coefficients(result)).max() < 0.05
    assert result.noise_std == pytest.approx(25 / 255, rel=0.1)


@pytest.mark.parametrize(
    "image", [np.zeros((100, 100)), np.ones((15, 400, 3)), white((5, 7)), white((16, 16, 3))]
)
def test_images_that_tell_nothing_give_nan_and_no_warning(image):
    result = noise_correlation(image)
    assert result.n_patches == 0
    assert math.isnan(result.horizontal)
    assert math.isnan(result.noise_std)
    assert not result.is_correlated
    assert result.warning is None


def test_a_small_image_still_tells():
    assert noise_correlation(filtered(white((64, 80, 3)), KERNELS["box"])).is_correlated
    assert not noise_correlation(white((64, 80, 3))).is_correlated


def test_a_large_image_is_sampled():
    result = noise_correlation(white((3000, 2000)).astype(np.float32))
    assert np.abs(coefficients(result)).max() < 0.02
    assert result.n_patches < 6 * 6 * 31 * 31


def test_kodak_photos():
    paths = sorted(shared_data("kodak").glob("*.png"))[::4]
    clean = [skimage.io.imread(path) / 255 for path in paths]
    noisy = [image + white(image.shape) for image in clean]
    errors = [np.abs(coefficients(noise_correlation(image))).max() for image in noisy]
    assert len(errors) == 6
    assert np.max(errors) < 0.1 < CORRELATED_FROM
    assert np.median(errors) < 0.02
