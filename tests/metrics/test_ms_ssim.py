from __future__ import annotations

import numpy as np
import piq
import pytest
import torch
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure as torchmetrics_ms_ssim,
)

from unpaired.core.errors import UnpairedError
from unpaired.imaging.pixels import to_uint8
from unpaired.metrics.ms_ssim import ms_ssim


@pytest.fixture
def pair(photographs):
    clean = to_uint8(photographs[1][:224, :272])
    noise = np.random.default_rng(0).normal(0, 30, clean.shape)
    return clean, np.clip(np.round(clean + noise), 0, 255).astype(np.uint8)


def test_equals_piq(pair):
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].double() for image in pair]
    reference = piq.multi_scale_ssim(*tensors, data_range=255.0).item()
    assert ms_ssim(*pair) == pytest.approx(reference, abs=1e-6)


def test_equals_torchmetrics_but_for_its_borders(pair):
    """It pads, cuts the padding, and pools channels before the powers: one channel compares."""
    one = [image[..., 1:2] for image in pair]
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].double() for image in one]
    reference = torchmetrics_ms_ssim(*tensors, data_range=255.0, normalize="relu").item()
    assert ms_ssim(*one) == pytest.approx(reference, abs=1e-4)


def test_properties(pair):
    clean, noisy = pair
    assert ms_ssim(clean, clean) == pytest.approx(1)
    assert ms_ssim(clean, noisy) == pytest.approx(ms_ssim(noisy, clean))
    assert ms_ssim(clean, 255 - clean) < ms_ssim(clean, noisy) < 0.99
    assert np.isfinite(ms_ssim(clean, 255 - clean))


def test_bad_input_is_refused(pair):
    with pytest.raises(UnpairedError, match="at least 176 pixels"):
        ms_ssim(*(image[:175] for image in pair))
    with pytest.raises(UnpairedError, match="must be uint8"):
        ms_ssim(pair[0] / 255, pair[1])
