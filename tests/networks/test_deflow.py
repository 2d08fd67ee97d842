from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from unpaired.core.errors import UnpairedError
from unpaired.imaging.reduction import reduced as reduced_as_matlab
from unpaired.networks.deflow import CorrelatedShift, DeFlowNet, FlowLevel, FlowStep, reduced
from unpaired.networks.flow import (
    Actnorm,
    AffineInjector,
    ConditionalCoupling,
    InvertibleConvolution,
)

SMALL = {
    "steps": 2,
    "width": 8,
    "reduction": 4,
    "encoder_width": 4,
    "encoder_blocks": 2,
    "encoder_growth": 2,
}


def moved(module, std=0.1):
    """The module with every parameter off its start: couplings start as the identity."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += std * torch.randn(parameter.shape, generator=generator)
    return module


def made(kind, *sizes, **about):
    torch.manual_seed(0)
    return moved(kind(*sizes, **about))


LAYERS = {
    "actnorm": (Actnorm, (6,), False),
    "convolution": (InvertibleConvolution, (6,), False),
    "injector": (AffineInjector, (6, 3, 4), True),
    "coupling": (ConditionalCoupling, (6, 3, 4), True),
    "coupling of odd channels": (ConditionalCoupling, (5, 3, 4), True),
    "step": (FlowStep, (6, 3, 4), True),
    "transition": (FlowStep, (6, 0, 4), True),
}


def log_det_of_jacobian(function, x):
    jacobian = torch.autograd.functional.jacobian(function, x).view(x.numel(), -1)
    return torch.linalg.slogdet(jacobian).logabsdet


@pytest.mark.parametrize("name", LAYERS)
def test_a_layers_log_determinant_and_inverse(name):
    kind, sizes, is_steered = LAYERS[name]
    layer = made(kind, *sizes).double()
    channels = sizes[0]
    x = torch.randn(3, channels, 2, 3, dtype=torch.float64)
    condition = torch.randn(3, 3, 2, 3, dtype=torch.float64)
    steered = [condition] if is_steered else []
    y, added = layer(x, *steered)
    assert added.shape == (3,)
    assert torch.allclose(layer.inverse(y, *steered), x, atol=1e-9)
    for number in range(3):
        own = [one[number : number + 1] for one in steered]
        expected = log_det_of_jacobian(lambda z, own=own: layer(z, *own)[0], x[number : number + 1])
        assert added[number].item() == pytest.approx(expected.item(), abs=1e-8)
        assert abs(expected) > 1e-3


def test_the_convolution_starts_as_a_rotation():
    torch.manual_seed(0)
    layer = InvertibleConvolution(12)
    x = torch.randn(2, 12, 4, 4)
    y, added = layer(x)
    assert torch.allclose(y.norm(dim=1), x.norm(dim=1), atol=1e-4)
    assert added.abs().max() < 1e-3
    assert not torch.allclose(y, x, atol=0.1)


def test_couplings_start_as_the_identity():
    torch.manual_seed(0)
    x, condition = torch.randn(2, 6, 4, 4), torch.randn(2, 3, 4, 4)
    for kind in (AffineInjector, ConditionalCoupling):
        y, added = kind(6, 3, 4)(x, condition)
        assert torch.equal(y, x)
        assert not added.any()


def test_a_coupling_does_not_touch_the_half_that_steers():
    layer = made(ConditionalCoupling, 6, 3, 4)
    x = torch.randn(1, 6, 4, 4)
    y, _ = layer(x, torch.randn(1, 3, 4, 4))
    assert torch.equal(y[:, :3], x[:, :3])
    assert (y[:, 3:] != x[:, 3:]).all()


def encoded(net, batch, side=16):
    picture = torch.rand(batch, 3, side, side, dtype=next(net.parameters()).dtype)
    small = side // net.reduction
    return picture, net.condition(picture, 0.03 * torch.randn(batch, 3, small, small).to(picture))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("reduction", [1, 4, 16])
def test_the_whole_flow_is_inverted_in_single_precision(batch, reduction):
    torch.manual_seed(0)
    net = moved(DeFlowNet(**(SMALL | {"reduction": reduction, "steps": 8})), std=0.01).eval()
    for level in net.flow_levels:
        for step in level.steps:
            moved(step.steered)
    with torch.no_grad():
        picture, conditions = encoded(net, batch, side=32)
        # As in a training, actnorms keep what comes of random couplings within bounds.
        net.start(picture, conditions)
        latents, _ = net(picture, conditions)
        back = net.inverse(latents, conditions)
    assert (back - picture).abs().max() < 1e-4
    shapes = [tuple(own.shape[1:]) for own in latents]
    assert shapes == [(c, 32 // px, 32 // px) for c, px in net.latents]
    assert sum(own.numel() for own in latents) == picture.numel()


def test_the_log_determinant_of_the_whole():
    net = made(DeFlowNet, **(SMALL | {"levels": 2})).double()
    with torch.no_grad():
        picture, conditions = encoded(net, 2, side=4)
        _, found = net(picture, conditions)
    for number in range(2):
        own = [condition[number : number + 1] for condition in conditions]

        def joined(x, own=own):
            return torch.cat([level.flatten() for level in net(x, own)[0]])

        expected = log_det_of_jacobian(joined, picture[number : number + 1])
        assert found[number].item() == pytest.approx(expected.item(), abs=1e-7)


def test_the_start_gives_every_actnorm_outputs_of_mean_0_and_variance_1():
    torch.manual_seed(0)
    net = DeFlowNet(**SMALL)
    seen = []
    for module in net.modules():
        if isinstance(module, Actnorm):
            module.register_forward_hook(lambda layer, given, output: seen.append(output[0]))
    with torch.no_grad():
        picture, conditions = encoded(net, 4)
        net.start(0.2 + 0.1 * picture, conditions)
        seen.clear()
        net(0.2 + 0.1 * picture, conditions)
    assert len(seen) == 3 * (2 + 2)
    for output in seen:
        assert output.mean((0, 2, 3)).abs().max() < 1e-4
        assert (output.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-3


def test_the_shifts_likelihood_is_the_normal_distributions():
    shift = made(CorrelatedShift, 4)
    latents = torch.randn(2, 4, 3, 5)
    factor = shift.factor.detach().tril()
    covariance = torch.eye(4) + factor @ factor.T
    expected = MultivariateNormal(shift.mean.detach(), covariance)
    by_place = expected.log_prob(latents.movedim(1, -1)).sum((1, 2))
    assert torch.allclose(shift.log_likelihood(latents), by_place, rtol=1e-5)


def test_samples_of_the_shift_have_its_mean_and_covariance():
    shift = moved(CorrelatedShift(3), std=1.0)
    noise = torch.randn(1, 3, 300, 300, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        drawn = shift.sample(noise)[0].flatten(1)
        covariance = shift.covariance() - torch.eye(3)
    assert torch.allclose(drawn.mean(1), shift.mean, atol=0.03)
    assert torch.allclose(torch.cov(drawn), covariance, atol=0.06)
    assert covariance.fill_diagonal_(0).abs().max() > 0.1


def test_the_mean_of_clean_latents_is_the_regression_of_clean_on_noisy_ones():
    shift = moved(CorrelatedShift(3), std=1.0)
    generator = torch.Generator().manual_seed(3)
    clean, noise = (torch.randn(1, 3, 300, 300, generator=generator) for _ in range(2))
    with torch.no_grad():
        noisy = clean + shift.sample(noise)
        found = shift.without(noisy)
    known = torch.cat([noisy[0].flatten(1), torch.ones(1, 90_000)])
    fitted = torch.linalg.lstsq(known.T, clean[0].flatten(1).T).solution
    assert torch.allclose((known.T @ fitted).T, found[0].flatten(1), atol=0.05)


def test_the_shift_gets_a_gradient_at_its_start():
    shift = CorrelatedShift(3)
    shift.log_likelihood(2 * torch.randn(2, 3, 8, 8)).sum().backward()
    assert (shift.factor.grad.diagonal() > 0).all()


def test_standard_likelihood_of_zero_is_the_closed_form():
    net = DeFlowNet(**SMALL)
    latents = [torch.zeros(2, c, 16 // px, 16 // px) for c, px in net.latents]
    found = net.log_likelihoods(latents, is_noisy=False)
    assert found.tolist() == pytest.approx([-3 * 256 / 2 * math.log(2 * math.pi)] * 2)


def test_the_condition_is_reduced_as_by_matlab_but_for_the_border():
    generator = torch.Generator().manual_seed(4)
    picture = torch.randint(256, (1, 3, 64, 64), generator=generator).float()
    expected = reduced_as_matlab(picture[0].permute(1, 2, 0).byte().numpy(), 4)
    found = reduced(picture, 4)[0].permute(1, 2, 0)
    inner = slice(2, -2)
    difference = (found - torch.from_numpy(expected).float())[inner, inner].abs().max()
    assert difference <= 0.51  # One is rounded.


def test_a_change_beyond_the_margin_changes_nothing():
    net = made(DeFlowNet, **(SMALL | {"levels": 1, "steps": 1, "reduction": 1})).eval()
    side = 2 * net.margin_px + 8
    picture = torch.rand(1, 3, 8, side)
    other = picture.clone()
    other[..., net.margin_px + 8 :] = torch.rand(1, 3, 8, side - net.margin_px - 8)

    def shifted(x):
        conditions = net.condition(x, torch.zeros_like(x))
        latents, _ = net(x, conditions)
        return net.inverse([own + 1 for own in latents], conditions)

    with torch.no_grad():
        first, second = shifted(picture), shifted(other)
    assert torch.allclose(first[..., :8], second[..., :8], atol=1e-5)
    assert not torch.allclose(first[..., -8:], second[..., -8:], atol=1e-2)


def test_levels_split_off_a_half_and_the_last_one_nothing():
    torch.manual_seed(0)
    x, condition = torch.rand(2, 3, 4, 4), torch.rand(2, 2, 2, 2)
    rest, latents, _ = FlowLevel(12, 2, 1, 4, splits=True)(x, condition)
    assert (rest.shape[1], latents.shape[1]) == (6, 6)
    rest, latents, _ = FlowLevel(12, 2, 1, 4, splits=False)(x, condition)
    assert (rest.shape[1], latents.shape[1]) == (0, 12)


def test_parameters_by_default():
    """The paper prints 62.94 million; the layers that are described have 6 % fewer."""
    assert sum(parameter.numel() for parameter in DeFlowNet().parameters()) == 59_111_342


@pytest.mark.parametrize("wrong", [{"reduction": 3}, {"levels": 0}, {"encoder_blocks": 0}])
def test_sizes_that_make_no_flow_are_refused(wrong):
    with pytest.raises(UnpairedError, match="deflow"):
        DeFlowNet(**(SMALL | wrong))
