"""MCWNNM: its closed form, what the weights are for, and a picture whose channels differ."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.systems.denoising.methods.pictures import photograph, psnr_db
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.method import Observation
from unpaired.systems.denoising.methods.mcwnnm import low_rank, shrunk

SMALL = {"patches": 40, "iterations": 5}
STDS = torch.tensor([40.0, 10.0, 25.0]) / 255


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_singular_values_are_shrunk_by_the_closed_form():
    matrices = torch.randn(3, 12, 7, generator=generator(), dtype=torch.float64)
    constant = torch.tensor([[0.5], [1.0], [100.0]], dtype=torch.float64)
    found = shrunk(matrices, constant)
    for own, c, result in zip(matrices.numpy(), constant[:, 0].numpy(), found.numpy(), strict=True):
        left, values, right = np.linalg.svd(own, full_matrices=False)
        inside = values**2 - 4 * c
        kept = np.where(inside >= 0, (values + np.sqrt(np.maximum(inside, 0))) / 2, 0)
        np.testing.assert_allclose(result, left * kept @ right, atol=1e-10)
    assert not found[2].any()


def test_shrinking_is_the_limit_of_weights_that_follow_the_singular_values():
    """s - c / s', repeated with s' from the step before, ends there (Gu et al. 2014)."""
    value, c = 3.0, 1.5
    followed = value
    for _ in range(200):
        followed = value - c / followed
    matrix = torch.tensor([[[value, 0.0], [0.0, 0.0]]], dtype=torch.float64)
    found = shrunk(matrix, torch.tensor([[c]], dtype=torch.float64))
    assert found[0, 0, 0].item() == pytest.approx(followed, rel=1e-9)


def noisy_matrices() -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices of rank 2, and with noise of another size in each third of the rows."""
    left = torch.randn(20, 108, 2, generator=generator())
    right = torch.randn(20, 2, 60, generator=generator())
    clean = 0.1 * left @ right
    noise = torch.randn(clean.shape, generator=generator())
    return clean, clean + noise * STDS.repeat_interleave(36)[None, :, None]


def error_of(stds: torch.Tensor) -> float:
    clean, noisy = noisy_matrices()
    found = low_rank(noisy, stds.expand(20, 3), penalty=6.0, iterations=60)
    return (found - clean).square().mean().sqrt().item()


def test_weights_of_channels_beat_one_deviation_for_all():
    clean, noisy = noisy_matrices()
    given = (noisy - clean).square().mean().sqrt().item()
    assert error_of(STDS) < 0.35 * given
    assert error_of(STDS) < 0.9 * error_of(STDS.square().mean().sqrt().expand(3))


def test_what_has_low_rank_and_hardly_any_noise_stays():
    clean, _ = noisy_matrices()
    found = low_rank(clean, torch.full((20, 3), 1e-4), penalty=6.0, iterations=60)
    torch.testing.assert_close(found, clean, atol=1e-3, rtol=0)


def test_it_gains_where_channels_are_unequally_noisy():
    clean = photograph(0, 150, 64)
    noise = torch.randn(clean.shape, generator=generator()) * STDS.view(1, 3, 1, 1)
    restored = create("mcwnnm", **SMALL, rounds=1).restore(Observation(clean + noise))
    assert psnr_db(restored, clean) > psnr_db(clean + noise, clean) + 6


@pytest.mark.parametrize("shape", [(1, 1, 9, 12), (1, 3, 41, 30), (1, 4, 20, 26)])
def test_any_size_and_channels(shape):
    noisy = torch.rand(shape, generator=generator())
    restored = create("mcwnnm", **SMALL).restore(Observation(noisy))
    assert restored.shape == shape
    assert restored.dtype == torch.float32
    assert torch.isfinite(restored).all()


def test_a_flat_picture_comes_back():
    flat = torch.full((1, 3, 24, 24), 0.3)
    torch.testing.assert_close(create("mcwnnm", **SMALL).restore(Observation(flat)), flat)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_px": 7}, "step_px of 'mcwnnm' must be patch_px at most"),
        ({"rounds": 8}, "patches of 'mcwnnm' must be more than 70 for 8 rounds"),
        ({"iterations": 0}, "iterations of method 'mcwnnm' must be 1 at least"),
    ],
)
def test_settings_that_cannot_be_are_one_line(settings, message):
    with pytest.raises(UnpairedError, match=message):
        create("mcwnnm", **settings)


def test_a_picture_too_small_to_estimate_its_noise_is_refused():
    with pytest.raises(UnpairedError, match="cannot estimate the noise"):
        create("mcwnnm").restore(Observation(torch.rand(1, 3, 6, 6)))
