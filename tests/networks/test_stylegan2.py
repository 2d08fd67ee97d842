"""StyleGAN2's generator against its formulas written out, and what can be run of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import signal
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.networks.stylegan2 import (
    BLUR,
    Generator,
    Mapping,
    ModulatedConvolution,
    blurred,
    enlarged,
)

SMALL = {"latent": 6, "mapping_layers": 2, "width_base": 64, "width_max": 8}


def generator(side_px: int = 16, **changes) -> Generator:
    torch.manual_seed(0)
    made = Generator(side_px, **(SMALL | changes))
    for block in made.blocks:
        for layer in block.layers:
            torch.nn.init.constant_(layer.noise_strength, 0.3)
    return made


def inputs(made: Generator, count: int = 2, seed: int = 1):
    drawn = torch.Generator().manual_seed(seed)
    latents = torch.randn(count, made.latents, made.latent, generator=drawn)
    noises = [torch.randn(count, 1, side, side, generator=drawn) for side in made.noise_sides]
    return latents, noises


def by_weights_of_each_picture(layer, features, latent):
    """Equations 1 and 3 with the weights of every picture by themselves, and SciPy's sums."""
    outputs, channels, side, _ = layer.weight.shape
    scale = 1 / (channels * side**2) ** 0.5
    found = []
    for picture, w in zip(features, latent, strict=True):
        style = layer.style.weight @ w / len(w) ** 0.5 + layer.style.bias
        weights = layer.weight * scale * style[None, :, None, None]
        if layer.demodulate:
            lengths = (weights.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
            weights = weights / lengths
        rows = [_sum(picture, weights[number], layer.up) for number in range(outputs)]
        found.append(np.stack(rows))
    return torch.from_numpy(np.stack(found)).float()


def _sum(picture, weights, up):
    pairs = zip(picture.detach().numpy(), weights.detach().numpy(), strict=True)
    if not up:
        return sum(signal.correlate2d(one, kernel, mode="same") for one, kernel in pairs)
    total = 0
    for one, kernel in pairs:
        apart = np.zeros((2 * one.shape[0] - 1, 2 * one.shape[1] - 1))
        apart[::2, ::2] = one
        total = total + signal.convolve2d(apart, kernel, mode="full")
    line = np.array(BLUR) / sum(BLUR)
    return 4 * signal.convolve2d(np.pad(total, 1), np.outer(line, line), mode="valid")


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [True, False])
def test_a_modulated_convolution_is_one_with_weights_of_every_picture(up, demodulate):
    torch.manual_seed(0)
    layer = ModulatedConvolution(3, 4, 3, 5, up=up, demodulate=demodulate)
    features, latent = torch.randn(2, 3, 5, 6), torch.randn(2, 5)
    expected = by_weights_of_each_picture(layer, features, latent)
    assert expected.shape == ((2, 4, 10, 12) if up else (2, 4, 5, 6))
    torch.testing.assert_close(layer(features, latent), expected, atol=1e-5, rtol=1e-5)


def test_demodulation_makes_outputs_of_unit_deviation_whatever_the_style():
    torch.manual_seed(0)
    layer = ModulatedConvolution(64, 32, 3, 8)
    features, latent = torch.randn(4, 64, 24, 24), 3 * torch.randn(4, 8)
    found = layer(features, latent)[..., 1:-1, 1:-1]
    assert found.std(dim=(2, 3)).mean().item() == pytest.approx(1, abs=0.02)
    with torch.no_grad():
        layer.style.weight.mul_(7)
        layer.style.bias.mul_(7)
    louder = layer(features, latent)[..., 1:-1, 1:-1]
    torch.testing.assert_close(louder, found, atol=1e-4, rtol=1e-4)


def test_doubling_is_that_of_scipy():
    picture = torch.randn(2, 3, 5, 4)
    found = enlarged(picture)
    assert found.shape == (2, 3, 10, 8)
    line = 2 * np.array(BLUR) / sum(BLUR)
    expected = picture.numpy()
    for axis in (2, 3):
        expected = signal.upfirdn(line, expected, up=2, axis=axis)
        expected = np.take(expected, np.arange(1, 1 + 2 * picture.shape[axis]), axis=axis)
    torch.testing.assert_close(found, torch.from_numpy(expected).float(), atol=1e-5, rtol=1e-5)
    even = enlarged(torch.ones(1, 1, 6, 6))[..., 2:-2, 2:-2]
    torch.testing.assert_close(even, torch.ones_like(even))
    assert blurred(torch.ones(1, 2, 5, 5), (1, 2)).shape == (1, 2, 5, 5)


def test_the_mapping_network_is_its_formula_and_knows_directions_alone():
    torch.manual_seed(0)
    mapping, latents = Mapping(6, 3), torch.randn(4, 6)
    found = latents / latents.square().mean(dim=1, keepdim=True).sqrt()
    for layer in mapping:
        torch.nn.init.normal_(layer.bias)
        matrix = layer.weight * 0.01 / 6**0.5
        found = 2**0.5 * functional.leaky_relu(found @ matrix.T + 0.01 * layer.bias, 0.2)
    torch.testing.assert_close(mapping(latents), found)
    torch.testing.assert_close(mapping(5 * latents), found)
    # Of equalized learning rates: outputs are as large as inputs, for all their small steps.
    wide = Mapping(256, 8)(torch.randn(64, 256))
    assert wide.square().mean().item() == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize(
    ("side_px", "numbers", "latents"),
    [(256, 30_034_338, 14), (512, 30_276_583, 16), (1024, 30_370_060, 18)],
)
def test_configuration_f_has_the_published_size(side_px, numbers, latents):
    with torch.device("meta"):
        made = Generator(side_px)
    assert sum(one.numel() for one in made.parameters()) == numbers
    assert made.latents == latents
    assert len(made.noise_sides) == latents - 1
    assert made.noise_sides[:4] == [4, 8, 8, 16]
    assert made.blocks[-1].layers[0].bias.numel() == 32768 // side_px


def test_pictures_are_decided_by_latents_and_noise():
    made = generator()
    latents, noises = inputs(made)
    picture = made(latents, noises)
    assert picture.shape == (2, 3, 16, 16)
    assert torch.equal(picture, made(latents, noises))
    assert not torch.allclose(picture, made(latents, [-one for one in noises]), atol=1e-3)
    alone = made(latents[1:], [one[1:] for one in noises])
    torch.testing.assert_close(alone, picture[1:])
    for block in made.blocks:
        for layer in block.layers:
            torch.nn.init.zeros_(layer.noise_strength)
    quiet = made(latents, noises)
    torch.testing.assert_close(quiet, made(latents, [5 * one for one in noises]))


@pytest.mark.parametrize("first", [1, 2])
def test_what_is_inside_leads_to_the_same_picture(first):
    made = generator()
    latents, noises = inputs(made)
    inside = made.run(latents, noises, last=first - 1)
    assert inside.features.shape[-1] == inside.picture.shape[-1] == 4 * 2 ** (first - 1)
    torch.testing.assert_close(
        made(latents, noises, first=first, inside=inside), made(latents, noises)
    )
    # Latents and noises that earlier blocks have taken mean nothing any more.
    other, others = latents.clone(), [one.clone() for one in noises]
    other[:, : made.first_latent(first)] += 1
    for one in others[: made.noises_up_to(first - 1)]:
        one += 1
    torch.testing.assert_close(
        made(other, others, first=first, inside=inside), made(latents, noises)
    )


def test_every_latent_every_noise_and_all_features_have_the_right_gradient():
    made = generator(8, latent=3, width_base=16, width_max=2).double()
    latents, noises = inputs(made, count=1)
    latents, noises = latents.double(), [one.double() for one in noises]
    given = [one.requires_grad_() for one in (latents, *noises)]
    assert torch.autograd.gradcheck(lambda w, *n: made(w, n), given, fast_mode=True)
    (gradient,) = torch.autograd.grad(made(latents, noises).square().sum(), latents)
    assert (gradient.abs().amax(dim=(0, 2)) > 0).all()
    with torch.no_grad():
        inside = made.run(latents, noises, last=0)
    features = inside.features.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda one: made(latents, noises, first=1, inside=inside._replace(features=one)),
        (features,),
        fast_mode=True,
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"side_px": 4}, "4 px: a power of 2 from 8 on"),
        ({"side_px": 48}, "48 px: a power of 2"),
        ({"side_px": 64, "width_base": 32}, "width_base 32"),
        ({"side_px": 16, "latent": 0}, "latent 0"),
    ],
)
def test_sizes_that_make_no_generator_are_told(given, told):
    with pytest.raises(UnpairedError, match=told):
        Generator(**given)
