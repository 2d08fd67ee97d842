from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal

from unpaired.systems.denoising.methods.posterior import (
    JITTER,
    covariance_from_factor,
    diagonal_covariance,
    factor_entries,
    negative_log_likelihood,
    posterior_mean,
)

BATCH, HEIGHT, WIDTH = 2, 3, 5


def pixels(channels: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, channels, HEIGHT, WIDTH, generator=generator)


def covariances(channels: int, seed: int = 0) -> torch.Tensor:
    return covariance_from_factor(pixels(factor_entries(channels), seed), channels)


def per_pixel(tensor: torch.Tensor) -> torch.Tensor:
    """Channels last: B x H x W x C, or B x H x W x C x C."""
    return tensor.double().movedim((-2, -1), (1, 2))


def upper_triangular(entries: torch.Tensor, channels: int) -> torch.Tensor:
    matrix = torch.zeros(BATCH, HEIGHT, WIDTH, channels, channels, dtype=torch.float64)
    rows, columns = torch.triu_indices(channels, channels)
    matrix[..., rows, columns] = per_pixel(entries)
    return matrix


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_covariance_is_a_factor_times_its_transpose(channels):
    entries = pixels(factor_entries(channels))
    factor = upper_triangular(entries, channels)
    covariance = covariance_from_factor(entries, channels)
    assert covariance.dtype == torch.float64
    torch.testing.assert_close(per_pixel(covariance), factor @ factor.mT)


def test_diagonal_covariance():
    variances = pixels(3).square()
    covariance = per_pixel(diagonal_covariance(variances))
    assert torch.equal(covariance.diagonal(dim1=-2, dim2=-1), per_pixel(variances))
    assert (covariance != 0).sum() == variances.numel()
    assert diagonal_covariance(torch.rand(2, 3, 1, 1)).shape == (2, 3, 3, 1, 1)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_likelihood_is_the_multivariate_normals(channels):
    noisy, mean = pixels(channels, 1), pixels(channels, 2)
    covariance = covariances(channels) + 0.1 * torch.eye(channels)[..., None, None]
    loss = negative_log_likelihood(noisy, mean, covariance)
    normal = MultivariateNormal(per_pixel(mean), per_pixel(covariance))
    constant = channels / 2 * torch.tensor(2 * torch.pi, dtype=torch.float64).log()
    assert loss.shape == (BATCH, 1, HEIGHT, WIDTH)
    torch.testing.assert_close(loss[:, 0], -normal.log_prob(per_pixel(noisy)) - constant)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_gradients_of_the_likelihood_are_autograds_of_linalg(channels):
    arguments = [
        tensor.double().requires_grad_()
        for tensor in (pixels(channels, 1), pixels(factor_entries(channels)))
    ]
    noisy = pixels(channels, 2)
    noise = diagonal_covariance(torch.full((BATCH, channels, 1, 1), 0.01))

    mean, entries = arguments
    ours = negative_log_likelihood(noisy, mean, covariance_from_factor(entries, channels) + noise)
    factor = upper_triangular(entries, channels)
    covariance = factor @ factor.mT + per_pixel(noise)
    difference = per_pixel(noisy) - per_pixel(mean)
    solved = torch.linalg.solve(covariance, difference)
    reference = (torch.linalg.slogdet(covariance)[1] + (difference * solved).sum(-1)) / 2
    torch.testing.assert_close(
        torch.autograd.grad(ours.sum(), arguments), torch.autograd.grad(reference.sum(), arguments)
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("spatial", [True, False])
def test_posterior_mean_is_the_precision_weighted_mean(channels, spatial):
    """Written out with an inverse for each of the three matrices, as the authors do."""
    noisy, mean = pixels(channels, 1), pixels(channels, 2)
    clean, noise = 0.1 * covariances(channels, 3), 0.1 * covariances(channels, 4)
    if not spatial:
        noise = noise[..., :1, :1]
    jitter = JITTER * torch.eye(channels, dtype=torch.float64)
    clean_precision = torch.linalg.inv(per_pixel(clean) + jitter)
    noise_precision = torch.linalg.inv(per_pixel(noise) + jitter)
    weighted = (
        clean_precision @ per_pixel(mean)[..., None] + noise_precision @ per_pixel(noisy)[..., None]
    )
    expected = torch.linalg.inv(clean_precision + noise_precision + jitter) @ weighted
    result = posterior_mean(noisy, mean, clean, noise)
    assert result.dtype == torch.float32
    torch.testing.assert_close(
        result.movedim(1, -1), expected[..., 0].float(), rtol=1e-6, atol=3e-6
    )


def test_posterior_mean_between_its_limits():
    noisy, mean, clean = pixels(3, 1), pixels(3, 2), covariances(3, 3)

    def restored(noise_variance: float) -> torch.Tensor:
        noise = diagonal_covariance(torch.full((BATCH, 3, 1, 1), noise_variance))
        return posterior_mean(noisy, mean, clean, noise)

    # A pixel whose prior is as narrow as the jitter keeps no trace of what was observed.
    wide = torch.linalg.eigvalsh(per_pixel(clean))[..., 0] > 0.05
    assert wide.sum() > 5
    near_noisy = (restored(0.0) - noisy).abs().amax(1)
    assert near_noisy[wide].max() < 1e-3
    torch.testing.assert_close(restored(1e12), mean)
    certain = posterior_mean(
        noisy, mean, 0 * clean, diagonal_covariance(torch.ones(BATCH, 3, 1, 1))
    )
    torch.testing.assert_close(certain, mean, rtol=0, atol=1e-4)


def test_posterior_mean_minimizes_the_squared_error():
    """Draw x ~ N(m, S), y = x + n: no other mixture of y and m comes closer to x."""
    torch.manual_seed(0)
    count = 40_000
    scale = torch.tensor([[0.3, 0.2, 0.1], [0.0, 0.2, -0.1], [0.0, 0.0, 0.1]])
    prior = (scale @ scale.T).double()
    mean = torch.tensor([0.2, 0.5, 0.8]).double()
    clean = MultivariateNormal(mean, prior).sample((count,)).T.reshape(1, 3, 1, count)
    noise_std = 0.2
    noisy = clean + noise_std * torch.randn_like(clean)
    noise = diagonal_covariance(torch.full((1, 3, 1, 1), noise_std**2))
    means = mean.view(1, 3, 1, 1).expand_as(noisy)
    restored = posterior_mean(noisy, means, prior.view(1, 3, 3, 1, 1), noise)
    error = (restored - clean).square().mean().item()
    posterior = torch.linalg.inv(torch.linalg.inv(prior) + torch.eye(3) / noise_std**2)
    assert error == pytest.approx(posterior.trace().item() / 3, rel=0.02)


def test_autocast_changes_nothing():
    noisy, mean = pixels(3, 1), pixels(3, 2)
    clean, noise = covariances(3, 3), covariances(3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        inside = posterior_mean(noisy, mean, clean, noise)
    assert torch.equal(inside, posterior_mean(noisy, mean, clean, noise))
