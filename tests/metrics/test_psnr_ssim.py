"""PSNR and SSIM against closed forms and independent libraries."""

from __future__ import annotations

import numpy as np
import piq
import pytest
import torch
from skimage.metrics import structural_similarity

from unpaired.core.errors import UnpairedError
from unpaired.imaging.pixels import to_uint8
from unpaired.metrics.psnr import psnr_db
from unpaired.metrics.ssim import ssim


@pytest.fixture
def pair(photographs):
    clean = to_uint8(photographs[1][:200, :301])
    noise = np.random.default_rng(0).normal(0, 20, clean.shape)
    return clean, np.clip(np.round(clean + noise), 0, 255).astype(np.uint8)


def test_psnr_closed_form():
    zeros = np.zeros((8, 8, 3), np.uint8)
    assert psnr_db(zeros, zeros + 255) == pytest.approx(0)
    assert psnr_db(zeros, zeros + 10) == pytest.approx(20 * np.log10(25.5))
    assert psnr_db(zeros, zeros) == float("inf")


def test_psnr_pools_the_channels_before_the_logarithm():
    zeros = np.zeros((8, 8, 3), np.uint8)
    one_channel = zeros.copy()
    one_channel[..., 0] = 30
    assert psnr_db(zeros, one_channel) == pytest.approx(10 * np.log10(255**2 / 300))


def test_ssim_equals_scikit_image(pair):
    reference = np.mean(
        [
            structural_similarity(
                pair[0][..., c],
                pair[1][..., c],
                data_range=255,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for c in range(3)
        ]
    )
    assert ssim(*pair) == pytest.approx(reference, abs=1e-6)


def test_ssim_equals_piq(pair):
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].double() for image in pair]
    reference = piq.ssim(*tensors, data_range=255.0, downsample=False).item()
    assert ssim(*pair) == pytest.approx(reference, abs=1e-6)


def test_ssim_properties(pair):
    clean, noisy = pair
    assert ssim(clean, clean) == pytest.approx(1)
    assert ssim(clean, noisy) == pytest.approx(ssim(noisy, clean))
    assert ssim(clean, noisy) < 0.9


@pytest.mark.parametrize("metric", [psnr_db, ssim])
def test_wrong_range_and_shape_are_refused(metric, pair):
    with pytest.raises(UnpairedError, match="must be uint8"):
        metric(pair[0].astype(np.float32) / 255, pair[1])
    with pytest.raises(UnpairedError, match="shapes differ"):
        metric(pair[0], pair[1][1:])


def test_ssim_needs_its_window():
    small = np.zeros((10, 20, 3), np.uint8)
    with pytest.raises(UnpairedError, match="at least 11 pixels"):
        ssim(small, small)


def test_floating_point_images_are_scored_on_their_own_range(pair):
    clean, noisy = (image / 255 for image in pair)
    assert psnr_db(clean, noisy, peak=1.0) == pytest.approx(psnr_db(*pair))
    assert ssim(clean, noisy, peak=1.0) == pytest.approx(ssim(*pair))
    # Rounding to 8 bits has this error, and hides what is smaller.
    almost = clean + 0.2 / 255
    assert psnr_db(clean, almost, peak=1.0) == pytest.approx(20 * np.log10(255 / 0.2))
    with pytest.raises(UnpairedError, match="must be float"):
        psnr_db(*pair, peak=1.0)
