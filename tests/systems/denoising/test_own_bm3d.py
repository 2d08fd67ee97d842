"""BM3D on noise that is not the same in every direction of color."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.metrics.test_color_noise import noisy_with, scene, white  # noqa: F401
from unpaired.learning.method import Observation
from unpaired.metrics.psnr import psnr_db
from unpaired.systems.denoising.methods.bm3d import bm3d
from unpaired.systems.denoising.methods.cbm3d import CBM3D
from unpaired.systems.denoising.own_bm3d import create_own

PART = slice(0, 96)


def restored(restorer, noisy):
    image = torch.from_numpy(noisy.astype(np.float32)).permute(2, 0, 1)[None]
    return restorer.restore(Observation(image))[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    ("kind", "gain_db"),
    [("luminance", 9), ("colors", 9), ("of channels", 9), ("4:2:0", 9), ("4:2:0, quality 75", 6)],
)
def test_noise_of_every_kind_is_removed(scene, kind, gain_db):  # noqa: F811
    noisy = noisy_with(scene, kind)[PART, PART]
    clean = scene[PART, PART]
    before, after = (
        psnr_db(clean, picture, peak=1.0)
        for picture in (noisy, restored(create_own("cbm3d"), noisy))
    )
    assert after > before + gain_db


def test_on_equal_white_noise_it_is_the_paper_s(scene):  # noqa: F811
    noisy = (scene + white(1, 1, 1))[:64, :64]
    plain = restored(CBM3D(CBM3D.Config()), noisy)
    assert np.array_equal(restored(create_own("cbm3d"), noisy), plain)


def test_a_covariance_of_white_noise_changes_nothing():
    image = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 2, 32, 40))).float()
    covariance = torch.eye(64).expand(2, 64, 64)
    assert torch.allclose(bm3d(image, covariance), bm3d(image), atol=1e-3)
