"""The networks of BicycleGAN: counts of the layer tables, and where codes go."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unpaired.networks.bicyclegan import (
    TO_ALL,
    TO_INPUT,
    ConvEncoder,
    RejoinedUNetGenerator,
    ResnetEncoder,
    TwoScaleCritic,
    UNetGenerator,
    initialize,
)

WIDTHS = [64, 128, 256, 512, 512, 512, 512, 512]
CODE = 8


def count(network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(given: int, wanted: int, side: int) -> int:
    return given * wanted * side**2 + wanted


def up_count() -> int:
    inner = convolution(512, 512, 4)
    joined = [(1024, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 3)]
    return inner + sum(convolution(*pair, 4) for pair in joined)


def test_the_generator_has_the_parameters_of_the_layer_table():
    given = [3, *WIDTHS[:-1]]
    of_all = sum(convolution(g + CODE, w, 4) for g, w in zip(given, WIDTHS, strict=True))
    assert count(UNetGenerator()) == of_all + up_count()
    of_input = sum(
        convolution(g, w, 4) for g, w in zip([3 + CODE, *given[1:]], WIDTHS, strict=True)
    )
    assert count(UNetGenerator(injection=TO_INPUT)) == of_input + up_count()


def test_critics_and_encoders_have_the_parameters_of_the_layer_table():
    critic = sum(
        sum(convolution(*pair, 4) for pair in [(3, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)])
        + convolution(8 * w, 1, 4)
        for w in (64, 32)
    )
    assert count(TwoScaleCritic()) == critic
    heads = 2 * (256 * CODE + CODE)
    blocks = [(64, 128), (128, 192), (192, 256), (256, 256)]
    resnet = sum(
        convolution(a, a, 3) + convolution(a, b, 3) + convolution(a, b, 1) for a, b in blocks
    )
    assert count(ResnetEncoder()) == convolution(3, 64, 4) + resnet + heads
    plain = [(3, 64), (64, 128), (128, 256), (256, 256), (256, 256)]
    assert count(ConvEncoder()) == sum(convolution(*pair, 4) for pair in plain) + heads


def test_a_critic_normalizes_after_every_layer_but_the_last():
    torch.manual_seed(0)
    (critic, *_), picture = TwoScaleCritic(width=4).scales, 100 * torch.randn(2, 3, 128, 128)
    convolutions = [layer for layer in critic.layers if isinstance(layer, nn.Conv2d)]
    before = critic(picture)
    for number, convolution in enumerate(convolutions):
        given = convolution.weight.clone()
        with torch.no_grad():
            convolution.weight *= 3
            is_the_same = torch.allclose(critic(picture), before, atol=1e-2 * float(before.std()))
            convolution.weight.copy_(given)
        assert is_the_same == (number < len(convolutions) - 1)


def test_patches_of_the_critic_have_70_and_140_pixels():
    critic = TwoScaleCritic(width=4).eval()
    picture = torch.rand(1, 3, 256, 256, requires_grad=True)
    for scale, layers in zip(critic.scales, (critic.scales[0], critic.scales[1]), strict=True):
        # Without normalization, which sees all of a picture.
        for number, layer in enumerate(layers.layers):
            if isinstance(layer, torch.nn.InstanceNorm2d):
                scale.layers[number] = torch.nn.Identity()
    sides = []
    for judged in critic(picture):
        middle = judged[0, 0, judged.shape[-2] // 2, judged.shape[-1] // 2]
        (gradient,) = torch.autograd.grad(middle, picture, retain_graph=True)
        sides.append(int((gradient[0].abs().sum(0) > 0).any(0).sum()))
    assert sides == [70, 141]  # 70 pixels at half the size, averaged over 3.


@pytest.mark.parametrize("injection", [TO_ALL, TO_INPUT])
@pytest.mark.parametrize(
    "make",
    [
        lambda **how: UNetGenerator(width=4, levels=5, **how),
        lambda **how: RejoinedUNetGenerator(width=4, levels=3, **how),
    ],
)
def test_the_code_reaches_the_output_everywhere(make, injection):
    torch.manual_seed(0)
    generator = make(injection=injection).eval()
    initialize(generator, 1.0)
    picture, code = torch.rand(2, 3, 32, 32), torch.randn(2, CODE, requires_grad=True)
    made = generator(picture, code)
    assert made.shape == picture.shape
    assert made.abs().max() <= 1
    other = generator(picture, torch.randn(2, CODE))
    assert ((made - other).abs().amax(dim=(0, 1)) > 0).all()
    (gradient,) = torch.autograd.grad(made.square().sum(), code)
    assert (gradient != 0).all()


def test_pictures_of_a_batch_do_not_see_each_other():
    torch.manual_seed(0)
    generator, encoder = UNetGenerator(width=4, levels=5), ResnetEncoder(width=4, blocks=2)
    picture, code = torch.rand(3, 3, 32, 32), torch.randn(3, CODE)
    for network, given in ((generator.eval(), (picture, code)), (encoder, (picture,))):
        together = network(*given)
        alone = network(*(one[1:2] for one in given))
        together, alone = (x if isinstance(x, tuple) else (x,) for x in (together, alone))
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[1:2], b, rtol=1e-4, atol=1e-5)


def test_dropout_is_of_three_inner_blocks_and_of_training_alone():
    torch.manual_seed(0)
    generator = UNetGenerator(width=2, levels=8)
    assert list(generator._dropped) == [1, 2, 3]
    initialize(generator, 1.0)
    given = torch.rand(1, 3, 256, 256), torch.randn(1, CODE)
    with torch.no_grad():
        assert not torch.equal(generator(*given), generator(*given))
        generator.eval()
        assert torch.equal(generator(*given), generator(*given))


def test_there_are_no_running_statistics_and_no_weights_of_norms():
    for network in (UNetGenerator(width=2), ResnetEncoder(width=2), TwoScaleCritic(width=2)):
        assert not list(network.buffers())
        for module in network.modules():
            if isinstance(module, torch.nn.InstanceNorm2d):
                assert module.weight is None


def test_weights_are_drawn_as_xavier_does():
    torch.manual_seed(0)
    generator = UNetGenerator(width=16, levels=5)
    initialize(generator, 0.02)
    weight = generator.downs[2].convolution.weight
    fan = 16 * (weight.shape[0] + weight.shape[1])
    assert weight.std().item() == pytest.approx(0.02 * (2 / fan) ** 0.5, rel=0.05)
    assert not generator.downs[2].convolution.bias.any()
