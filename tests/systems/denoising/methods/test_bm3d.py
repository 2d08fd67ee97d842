from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from deepinv.models import BM3D
from torch import Tensor

from tests.systems.denoising.methods.pictures import photograph, psnr_db, with_noise
from unpaired.systems.denoising.methods import bm3d as module
from unpaired.systems.denoising.methods.bm3d import (
    BIORTHOGONAL_1_5,
    HAAR,
    bm3d,
    cosine_matrix,
    wavelet_matrix,
)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def denoise(image: Tensor, noise_std: float) -> Tensor:
    return bm3d(image / noise_std) * noise_std


def nearly_equal(actual: Tensor, expected: Tensor) -> bool:
    """Say if the mean difference is below a thousandth of the noise.

    A last digit decides whether a coefficient at the threshold stays, and which of two patches that
    are equally far away comes first.
    """
    return bool((actual - expected).abs().mean() < 1e-3)


@pytest.fixture(scope="module")
def scene() -> Tensor:
    """Two channels of a photograph, 40 x 52, with unit noise at a contrast of 10."""
    return photograph(100, 100, 64)[:, :2, :40, :52] * 10 + noise(1, 2, 40, 52)


@pytest.mark.parametrize("noise_std", [10 / 255, 40 / 255])
def test_no_worse_than_an_independent_implementation(noise_std):
    clean = photograph(30, 150, 64).mean(dim=1, keepdim=True)
    image = with_noise(clean, noise_std)
    theirs = BM3D(
        use_legacy=False,
        spatial_ht_transform="dct",
        spatial_wiener_transform="dct",
        group_ht_transform="dct",
        group_wiener_transform="dct",
        chunk_size=64,
    )(image, noise_std)
    assert psnr_db(denoise(image, noise_std), clean) > psnr_db(theirs, clean) - 0.05


def test_a_gray_photograph_gains():
    clean = torch.from_numpy(skimage.data.camera()[::2, ::2].copy())[None, None] / 255
    image = with_noise(clean, 25 / 255)
    assert psnr_db(denoise(image, 25 / 255), clean) > psnr_db(image, clean) + 7.5


def test_noise_alone_is_removed():
    assert bm3d(noise(1, 1, 64, 64)).std() < 0.15


def test_the_same_every_time(scene):
    assert torch.equal(bm3d(scene), bm3d(scene))


def test_a_constant_added_is_added_to_the_result(scene):
    offsets = torch.tensor([-40.0, 25.0]).view(1, 2, 1, 1)
    assert nearly_equal(bm3d(scene + offsets), bm3d(scene) + offsets)


def test_the_mean_stays(scene):
    torch.testing.assert_close(bm3d(scene).mean(), scene.mean(), atol=0.02, rtol=0)


@pytest.mark.parametrize("value", [0.0, 1.0, -70.0, 3000.0])
def test_a_constant_image_comes_back(value):
    image = torch.full((1, 2, 23, 19), value)
    torch.testing.assert_close(bm3d(image), image, atol=1e-6, rtol=1e-6)


def test_sign_of_the_image_does_not_matter(scene):
    assert nearly_equal(bm3d(-scene), -bm3d(scene))


def test_rows_and_columns_are_treated_alike(scene):
    assert nearly_equal(bm3d(scene.mT).mT, bm3d(scene))


def test_the_first_channel_is_filtered_as_if_alone(scene):
    assert nearly_equal(bm3d(scene)[:, :1], bm3d(scene[:, :1]))


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (8, 31), (10, 9), (40, 11)])
def test_any_size_from_one_patch_on(size):
    image = noise(1, 3, *size)
    result = bm3d(image)
    assert result.shape == image.shape
    assert torch.isfinite(result).all()
    assert result.square().mean() < image.square().mean()


def test_tiles_and_blocks_leave_no_trace(scene, monkeypatch):
    expected = bm3d(scene)
    monkeypatch.setattr(module, "TILE", 5)
    monkeypatch.setattr(module, "BLOCK", 2)
    assert nearly_equal(bm3d(scene), expected)


def test_a_wide_image_needs_no_more_memory_than_a_square_one(monkeypatch):
    rows = []

    class Spy(module._Tile):
        def __init__(self, *inputs):
            super().__init__(*inputs)
            rows.append(len(self.sums))

    monkeypatch.setattr(module, "_Tile", Spy)
    monkeypatch.setattr(module, "TILE", 16)
    bm3d(noise(1, 1, 16, 400))
    assert max(rows) <= (15 * module.STEP + 2 * module.RADIUS + 1) ** 2
    assert len(rows) == 2 * 9


@pytest.mark.parametrize("name", ["BIORTHOGONAL_1_5", "HAAR"])
def test_the_wavelets_reach_the_filter(scene, monkeypatch, name):
    expected = bm3d(scene)
    monkeypatch.setattr(module, name, {"BIORTHOGONAL_1_5": HAAR, "HAAR": (1, 2, 2, 1)}[name])
    assert (bm3d(scene) - expected).abs().mean() > 5e-3


@pytest.mark.parametrize("size", [1, 2, 8, 16, 32])
def test_haar_is_orthonormal_with_the_mean_first(size):
    matrix = wavelet_matrix(size, HAAR)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(size))
    torch.testing.assert_close(matrix[0], torch.full((size,), size**-0.5))


def test_cosines_are_orthonormal_with_the_mean_first():
    matrix = cosine_matrix(8)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(8))
    torch.testing.assert_close(matrix[0], torch.full((8,), 8**-0.5))


def test_biorthogonal_differences_see_no_constant():
    matrix = wavelet_matrix(8, BIORTHOGONAL_1_5)
    torch.testing.assert_close(matrix.norm(dim=1), torch.ones(8))
    torch.testing.assert_close(matrix[1:].sum(dim=1), torch.zeros(7), atol=1e-6, rtol=0)
    torch.testing.assert_close(matrix[0], torch.full((8,), 8**-0.5))


def test_the_filters_are_the_published_ones():
    # PyWavelets' printed low-pass analysis filter of bior1.5, to five digits.
    printed = [0.01657, -0.01657, -0.12153, 0.12153, 0.70711]
    taps = np.array(BIORTHOGONAL_1_5) * 2**0.5 / 256
    np.testing.assert_allclose(taps, printed + printed[::-1], atol=1e-5)
