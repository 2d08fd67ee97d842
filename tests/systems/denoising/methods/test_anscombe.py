from __future__ import annotations

import pytest
import torch
from scipy.stats import poisson
from torch import Tensor

from tests.systems.denoising.methods.pictures import photograph, psnr_db
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.method import Observation
from unpaired.systems.denoising.methods.anscombe import anscombe_transform, exact_unbiased_inverse

LEVELS = (5.0, 10.0, 30.0, 50.0)


def expectation_of_transform(means: Tensor) -> Tensor:
    """Return E[f(v)] of Poisson counts v, summed over their distribution."""
    counts = torch.arange(300, dtype=torch.float64)
    weights = torch.from_numpy(poisson.pmf(counts.numpy(), means.numpy()[:, None]))
    return weights @ anscombe_transform(counts)


def observe(clean: Tensor, level: float) -> Observation:
    generator = torch.Generator().manual_seed(0)
    return Observation(torch.poisson(clean * level, generator=generator) / level, level)


@pytest.fixture(scope="module")
def clean() -> Tensor:
    return photograph(100, 100, 128)


@pytest.mark.parametrize("level", LEVELS)
def test_inverse_of_the_expected_transform_is_the_mean(level):
    means = level * torch.linspace(0, 1, 51, dtype=torch.float64)
    error = exact_unbiased_inverse(expectation_of_transform(means)) - means
    assert error.abs().max() < 0.02


@pytest.mark.parametrize("level", LEVELS)
def test_inverse_is_unbiased_over_draws(level):
    means = level * torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    counts = torch.poisson(means.expand(200_000, 3), generator=generator)
    error = exact_unbiased_inverse(anscombe_transform(counts).mean(dim=0)) - means
    # Four standard errors of a mean count, and the 0.02 of the closed form.
    assert (error.abs() < 4 * (means / 200_000).sqrt() + 0.02).all()


@pytest.mark.parametrize("level", LEVELS)
def test_algebraic_inverse_would_lose_a_quarter_of_a_count(level):
    means = torch.tensor([level], dtype=torch.float64)
    algebraic = expectation_of_transform(means) ** 2 / 4 - 3 / 8
    assert (algebraic - means).item() == pytest.approx(-0.25, abs=0.01)


@pytest.mark.parametrize("level", [5.0, 30.0])
def test_transform_makes_the_variance_one(level):
    counts = torch.poisson(torch.full((200_000,), level), torch.Generator().manual_seed(0))
    assert anscombe_transform(counts).var().item() == pytest.approx(1, abs=0.06)


def test_inverse_is_zero_at_and_below_the_transform_of_no_counts():
    least = anscombe_transform(torch.tensor(0.0, dtype=torch.float64))
    below = torch.stack([least, least / 2, torch.zeros_like(least), -least])
    torch.testing.assert_close(exact_unbiased_inverse(below), torch.zeros_like(below))


def test_inverse_grows_with_its_argument():
    transformed = anscombe_transform(torch.linspace(0, 60, 2000, dtype=torch.float64))
    assert (exact_unbiased_inverse(transformed).diff() > 0).all()


def test_knows_the_level_only():
    method = create("anscombe")
    assert method.knows == ("level",)
    assert method.sees == ()


def test_color_gains_without_a_shift(clean):
    observation = observe(clean, 30.0)
    restored = create("anscombe").restore(observation)
    assert restored.shape == clean.shape
    assert restored.dtype == torch.float32
    assert psnr_db(restored, clean) > psnr_db(observation.image, clean) + 11.5
    # The algebraic inverse would be darker by 0.25 / 30 = 0.0083 on average.
    assert (restored - observation.image).mean().abs() < 0.002


@pytest.mark.parametrize("level", [5.0, 50.0])
def test_one_channel_gains_at_every_level(clean, level):
    luminance = clean.mean(dim=1, keepdim=True)
    observation = observe(luminance, level)
    restored = create("anscombe").restore(observation)
    assert psnr_db(restored, luminance) > psnr_db(observation.image, luminance) + 9


def test_an_image_without_a_photon_stays_black():
    restored = create("anscombe").restore(Observation(torch.zeros(1, 3, 16, 16), 30.0))
    torch.testing.assert_close(restored, torch.zeros(1, 3, 16, 16), atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", [None, 0.0, -1.0, float("nan")])
def test_a_missing_level_is_refused(level):
    with pytest.raises(UnpairedError, match="positive level"):
        create("anscombe").restore(Observation(torch.zeros(1, 3, 16, 16), level))


def test_negative_values_are_refused():
    with pytest.raises(UnpairedError, match="negative values"):
        create("anscombe").restore(Observation(torch.full((1, 1, 16, 16), -0.1), 30.0))
