from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tests.networks.checks import assert_bf16_output_is_finer_than_8_bits
from unpaired.networks.lud_vae_public import PublicLUDVAENet


def make(width=4) -> PublicLUDVAENet:
    torch.manual_seed(0)
    network = PublicLUDVAENet(3, width=width)
    for parameter in network.parameters():  # Away from the start, where the priors are N(0, I).
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return network


def noise_of(network, image) -> list[torch.Tensor]:
    batch, _, height, width = image.shape
    return [torch.randn(batch, c, height // px, width // px) for c, px in network.latents]


def label(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1)


def written_out(network, content, image, noise, values):
    """The authors' forward pass, level by level; returns the image and the summed divergence."""
    acts, seen = [], []
    for encoder, outputs, head in (
        (network.content_encoder, acts, content),
        (network.noise_encoder, seen, image),
    ):
        outputs.append(encoder.blocks[0](encoder.head(head)))
        outputs.append(encoder.blocks[1](outputs[-1]))
        outputs.append(encoder.blocks[2](outputs[-1]))

    def normal(head, features):
        return Normal(head.mean(features), head.log_std(features).exp())

    deep, *inner = network.levels
    q = normal(deep.posterior_head, seen[2])
    divergence = kl_divergence(q, Normal(torch.zeros_like(q.mean), 1.0))
    sample = q.mean + q.stddev * noise[0]
    d = deep.add_noise(torch.cat([acts[2], sample * values], 1))
    for level, act, n, drawn in zip(inner, acts[1::-1], seen[1::-1], noise[1:], strict=True):
        d = level.block(d)
        d = level.add_content(torch.cat([d, act], 1))
        q = normal(level.posterior_head, level.add_seen(torch.cat([d, n], 1)))
        p = normal(level.prior_head, d)
        divergence = divergence + kl_divergence(q, p)
        d = level.add_noise(torch.cat([d, (q.mean + q.stddev * drawn) * values], 1))
    return network.last(network.last_block(d)), (divergence * values).sum()


def test_parameters_of_the_public_code():
    block = 4 * (9 * 128 * 128 + 128)
    one, two = 128 * 128 + 128, 256 * 128 + 128
    heads = 2 * (3 * 128 + 128)
    inner = block + 3 * two + 4 * one
    total = heads + 6 * block + 2 * one + two + 2 * inner + block + 128 * 3 + 3
    network = PublicLUDVAENet(3)
    assert sum(p.numel() for p in network.parameters()) == total == 5_709_827


def test_reconstruction_and_divergence_written_out():
    network = make()
    content, image = torch.rand(3, 3, 9, 7), torch.rand(3, 3, 9, 7)
    noise, values = noise_of(network, image), label(0, 1, 1)
    found, divergence = network.reconstruct(content, image, noise, values)
    expected, expected_divergence = written_out(network, content, image, noise, values)
    assert torch.allclose(found, expected, atol=1e-5)
    assert divergence.item() == pytest.approx(expected_divergence.item(), rel=1e-4)


def test_a_clean_image_is_decoded_from_its_content_alone():
    network = make()
    content, image = torch.rand(1, 3, 9, 7), torch.rand(1, 3, 9, 7)
    noise = noise_of(network, image)
    found, divergence = network.reconstruct(content, image, noise, label(0))
    other, _ = network.reconstruct(content, 1 - image, noise, label(0))
    assert divergence == 0
    assert torch.equal(found, other)
    assert torch.equal(found, network.clean(content))


def test_t_multiplies_mean_and_deviation_of_every_latent():
    network, t = make(), 2.5
    content = torch.rand(1, 3, 9, 7)
    noise = noise_of(network, content)
    given = []
    for level, drawn in zip(network.levels, noise, strict=True):
        prior, add = level.prior, level.add_noise.forward

        def recording(joined, prior=prior, add=add, drawn=drawn):
            features, latents = joined.chunk(2, dim=1)
            mean, log_std = prior(features)
            given.append((latents, t * (mean + log_std.exp() * drawn)))
            return add(joined)

        level.add_noise.forward = recording
    network.degrade(content, noise, t)
    assert len(given) == 3
    assert all(torch.allclose(*pair, atol=1e-5) for pair in given)
    assert torch.allclose(given[0][0], t * noise[0])


def test_features_keep_their_size_and_posteriors_start_nearly_certain():
    torch.manual_seed(0)
    network = PublicLUDVAENet(3, width=64)
    image = torch.rand(1, 3, 24, 24)
    for outputs in (network.content_encoder(image), network.noise_encoder(image)):
        assert all(0.3 < features.std() < 3 for features in outputs)
    features = torch.rand(1, 64, 4, 4)
    for level in network.levels:
        assert level.posterior(features, features).log_std.exp().max() < 0.05
        prior = level.prior(features)
        assert (prior.mean.abs().max(), prior.log_std.abs().max()) == (0, 0)


def test_margin_is_the_reach_and_no_more():
    network = make(width=3).double()
    for parameter in network.parameters():
        parameter.data.abs_()  # No ReLU closes, nothing cancels.
    image = torch.rand(1, 3, 57, 57, dtype=torch.float64, requires_grad=True)
    network.clean(image)[0, 0, 28, 28].backward()
    seen = image.grad[0].abs().amax((0, 1)).nonzero().ravel()
    assert (28 - seen.min().item(), seen.max().item() - 28) == (24, 24) == (network.margin_px,) * 2


def test_bf16_output_is_finer_than_8_bits():
    torch.manual_seed(0)
    network = PublicLUDVAENet(3, width=16)
    network.forward = network.clean
    assert_bf16_output_is_finer_than_8_bits(network)
