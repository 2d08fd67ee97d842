from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from deepinv.models import PatchCovarianceNoiseEstimator

from unpaired.core.errors import UnpairedError
from unpaired.metrics.noise_level import estimate_noise_std


def crop(name: str, side: int = 192) -> np.ndarray:
    return getattr(skimage.data, name)()[40 : 40 + side, 100 : 100 + side].astype(np.float64)


def noisy(clean: np.ndarray, noise_std: float, seed: int = 0) -> np.ndarray:
    return clean + noise_std * np.random.default_rng(seed).standard_normal(clean.shape)


@pytest.mark.parametrize("name", ["astronaut", "chelsea"])
@pytest.mark.parametrize(("noise_std", "tolerance"), [(5, 0.1), (25, 0.02), (50, 0.02)])
def test_finds_the_noise_of_a_color_photograph(name, noise_std, tolerance):
    estimate = estimate_noise_std(noisy(crop(name), noise_std))
    assert estimate == pytest.approx(noise_std, rel=tolerance)


@pytest.mark.parametrize(("noise_std", "tolerance"), [(25, 0.06), (50, 0.04)])
def test_finds_the_noise_of_a_gray_photograph(noise_std, tolerance):
    gray = crop("astronaut").mean(axis=-1)
    assert estimate_noise_std(noisy(gray, noise_std)) == pytest.approx(noise_std, rel=tolerance)


def test_pure_noise_is_found_to_a_hundredth():
    noise = noisy(np.zeros((128, 160, 3)), 0.1)
    assert estimate_noise_std(noise) == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("noise_std", [5, 25, 50])
@pytest.mark.parametrize("name", ["astronaut", "coffee"])
def test_agrees_with_an_independent_implementation(name, noise_std):
    image = noisy(crop(name), noise_std) / 255
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = PatchCovarianceNoiseEstimator.estimate_noise(tensor, patch_size=8, stride=3)
    assert estimate_noise_std(image, stride=3) == pytest.approx(expected.item(), rel=1e-3)


def test_two_dimensions_mean_one_channel():
    image = noisy(crop("chelsea", 96)[..., 0], 20)
    assert estimate_noise_std(image) == pytest.approx(estimate_noise_std(image[..., None]))


def test_scales_with_the_image_and_ignores_its_offset():
    image = noisy(crop("chelsea", 96), 20)
    estimate = estimate_noise_std(image)
    assert estimate_noise_std(image / 255 + 1000) == pytest.approx(estimate / 255, rel=1e-6)


def test_photographs_with_the_stronger_noise_read_higher():
    clean = crop("coffee", 128)
    estimates = [estimate_noise_std(noisy(clean, noise_std)) for noise_std in (2, 5, 10, 20, 40)]
    assert estimates == sorted(estimates)


def test_a_constant_image_has_no_noise():
    assert estimate_noise_std(np.full((40, 40, 3), 0.3)) == pytest.approx(0, abs=1e-9)


def test_fewer_patches_than_dimensions_still_show_noise():
    # 81 patches of 192 numbers: the plain covariance is singular and would read 0.
    noise = noisy(np.zeros((16, 16, 3)), 1.0)
    assert 0.5 < estimate_noise_std(noise) < 1.1


def test_an_unbalanced_spectrum_still_gives_a_number():
    # A ramp with three pixels of noise: every eigenvalue differs by orders of magnitude.
    image = np.outer(np.arange(24.0), np.arange(24.0))
    image[:3, 0] += [1e-3, -1e-2, 1e-4]
    assert 0 <= estimate_noise_std(image) < 1


@pytest.mark.parametrize("shape", [(7, 64), (64, 7, 3), (8, 8), (8, 8, 3)])
def test_too_small_an_image_is_refused(shape):
    with pytest.raises(UnpairedError, match="more than one patch of 8 x 8"):
        estimate_noise_std(np.zeros(shape))


def test_nine_by_eight_is_enough():
    assert estimate_noise_std(noisy(np.zeros((9, 8, 3)), 1.0)) > 0
