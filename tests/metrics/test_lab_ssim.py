from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.metrics.lab_ssim import lab_ssim


def pair(photographs) -> list[np.ndarray]:
    """Return patches N x 64 x 60 x 3 and noisy ones, of 8 bits."""
    clean = np.stack([picture[:64, 30:90] for picture in photographs])
    noise = numpy_generator("noise").standard_normal(clean.shape)
    return [
        np.round(255 * patches.clip(0, 1)).astype(np.uint8)
        for patches in (clean, clean + 0.1 * noise)
    ]


def tensors(pictures: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(picture).movedim(-1, 1) / 255 for picture in pictures]


def test_equals_scikit_images_on_its_lab(photographs):
    """As the authors call it: range 100, and its own defaults."""
    first, second = pair(photographs)
    expected = [
        structural_similarity(rgb2lab(a), rgb2lab(b), data_range=100, channel_axis=2)
        for a, b in zip(first, second, strict=True)
    ]
    found = lab_ssim(*tensors([first, second]))
    assert found.numpy() == pytest.approx(np.array(expected), abs=1e-6)
    assert found.min() < 0.9


def test_equal_pictures_have_one_and_gray_ones_are_repeated(photographs):
    first, second = tensors(pair(photographs))
    assert lab_ssim(first, first).numpy() == pytest.approx(1)
    gray, other = first[:, :1], second[:, :1]
    expected = lab_ssim(gray.repeat(1, 3, 1, 1), other.repeat(1, 3, 1, 1))
    assert torch.equal(lab_ssim(gray, other), expected)
    assert torch.equal(lab_ssim(first, second), lab_ssim(second, first))


def test_of_constant_gray_only_the_luminance_counts():
    """Lab of white and black: L of 100 and 0, which leaves c1 / (100^2 + c1) of one channel."""
    white, black = torch.ones(1, 1, 7, 7), torch.zeros(1, 1, 7, 7)
    least = 1 / (100**2 + 1)
    assert lab_ssim(white, black).item() == pytest.approx((least + 2) / 3, abs=1e-5)


def test_what_is_too_small_or_of_another_range_is_refused():
    with pytest.raises(UnpairedError, match="at least 7 pixels a side, not 6 x 9"):
        lab_ssim(torch.zeros(1, 3, 9, 6), torch.zeros(1, 3, 9, 6))
    with pytest.raises(UnpairedError, match="divide by 255"):
        lab_ssim(torch.full((1, 3, 9, 9), 200.0), torch.zeros(1, 3, 9, 9))
