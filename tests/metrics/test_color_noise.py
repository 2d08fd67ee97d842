"""Noise in single directions of color, against noise that is known."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter

from unpaired.metrics.color_noise import OPPONENT, color_noise
from unpaired.metrics.coupled_bootstrap import NOISE_RATIO, coupled_error_map, noise_like

SIDE = 160
STD = 0.08


@pytest.fixture(scope="module")
def scene():
    """Soft colored blobs in [0.2, 0.8], nothing at the ends of the range."""
    blobs = gaussian_filter(np.random.default_rng(1).random((SIDE, SIDE, 3)), (9, 9, 0))
    return 0.2 + 0.6 * (blobs - blobs.min()) / np.ptp(blobs)


def as_jpeg(picture, subsampling, quality=92):
    file = io.BytesIO()
    samples = Image.fromarray(np.round(255 * picture.clip(0, 1)).astype(np.uint8))
    samples.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file)) / 255


def white(*gains):
    """Return noise with a level of its own in luminance and in two color differences."""
    noise = np.random.default_rng(2).standard_normal((SIDE, SIDE, 3))
    return STD * noise * gains @ OPPONENT


def noisy_with(scene, kind):
    return {
        "luminance": lambda: scene + white(1.7, 0, 0),
        "colors": lambda: scene + white(0, 1, 1),
        "of channels": lambda: scene + (white(1, 1, 1) @ OPPONENT.T) * (0.3, 0.6, 1.3),
        "4:2:0": lambda: as_jpeg(scene + white(1, 1, 1), 2),
        "4:2:0, quality 75": lambda: as_jpeg(scene + white(1, 1, 1), 2, 75),
    }[kind]()


@pytest.mark.parametrize("kind", ["luminance", "colors", "of channels", "4:2:0"])
def test_the_noise_of_every_direction(scene, kind):
    noisy = noisy_with(scene, kind)
    true = np.cov((noisy - scene).reshape(-1, 3).T)
    found = color_noise(noisy)
    assert np.sqrt(found.variances) == pytest.approx(np.sqrt(np.diag(true)), rel=0.15)
    drawn = np.cov(found.draw(noisy.shape, "x").reshape(-1, 3).T)
    assert np.abs(drawn - true).max() < 0.3 * np.diag(true).max()
    of_drawn, of_true = (
        np.sqrt(np.diag(OPPONENT @ noise @ OPPONENT.T).clip(0)) for noise in (drawn, true)
    )
    assert of_drawn == pytest.approx(of_true, rel=0.2, abs=0.005)


def test_jpeg_makes_neighbors_share_noise_of_colors_alone(scene):
    found = color_noise(noisy_with(scene, "4:2:0"))
    correlations = [
        found.autocovariances(color)[1] / found.autocovariances(color)[0] for color in OPPONENT
    ]
    assert correlations[0] == pytest.approx(0, abs=0.02)
    assert min(correlations[1:]) > 0.5


@pytest.mark.parametrize("std", [0.0, 0.02, 0.08])
def test_noise_that_is_equal_everywhere_is_left_to_others(scene, std):
    """On smooth pictures and on fine texture, which is no noise of the luminance."""
    noise = std / STD * white(1, 1, 1)
    assert color_noise(scene + noise) is None
    texture = 0.15 * gaussian_filter(
        np.random.default_rng(3).standard_normal((SIDE, SIDE, 1)), (1, 1, 0)
    )
    assert color_noise(scene + texture / texture.std() * 0.08 + noise) is None


def test_full_color_jpeg_counts_as_equal(scene):
    assert color_noise(as_jpeg(scene + white(1, 1, 1), 0)) is None


@pytest.mark.parametrize("shape", [(8, 8, 3), (12, 200, 3), (40, 40, 1), (30, 30, 3)])
def test_small_constant_and_gray_pictures(shape):
    assert color_noise(np.full(shape, 0.5)) is None
    color_noise(np.random.default_rng(0).random(shape))


@pytest.mark.parametrize(
    ("kind", "within"),
    [("luminance", 0.1), ("colors", 0.1), ("4:2:0", 0.3), ("4:2:0, quality 75", 0.4)],
)
def test_the_estimated_error_is_that_of_such_noise(scene, kind, within):
    """A blur is judged rightly; with white noise of one level it had hardly any error."""
    noisy = noisy_with(scene, kind)
    stronger = scene + NOISE_RATIO * (noisy - scene)

    def blur(image):
        return uniform_filter(image, (3, 3, 1))

    for restore in (blur, lambda image: image):
        estimate = coupled_error_map(noisy, restore, noise_like(noisy, "x")).mean()
        assert estimate == pytest.approx(np.mean((restore(stronger) - scene) ** 2), rel=within)
