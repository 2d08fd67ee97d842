from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from unpaired.networks.latents import Gaussian


def test_divergence_is_that_of_normal_distributions():
    torch.manual_seed(0)
    mean, log_std, prior_mean, prior_log_std = torch.randn(4, 2, 3, 5, 5, dtype=torch.float64)
    expected = kl_divergence(Normal(mean, log_std.exp()), Normal(prior_mean, prior_log_std.exp()))
    found = Gaussian(mean, log_std).divergence(Gaussian(prior_mean, prior_log_std))
    assert torch.allclose(found, expected)


def test_divergence_from_the_standard_normal_in_closed_form():
    posterior = Gaussian(torch.tensor([0.0, 3.0]), torch.tensor([0.0, 1.0]))
    found = posterior.divergence(Gaussian.standard(posterior.mean))
    assert found[0] == 0
    assert found[1].item() == pytest.approx((9 + torch.e**2 - 1) / 2 - 1)


def test_samples_have_the_mean_and_the_deviation():
    noise = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    sample = Gaussian(torch.full_like(noise, 2.0), torch.full_like(noise, -1.0)).sample(noise)
    assert sample.mean().item() == pytest.approx(2, abs=0.01)
    assert sample.std().item() == pytest.approx(torch.e**-1, rel=0.01)
