"""A generator fitted to what a codec's receiver sees."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from tests.systems.transmission import tiny
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.diffusion import from_signed
from unpaired.systems.transmission.methods.inverse_jscc import start
from unpaired.systems.transmission.sending import Channel, send_padded

CHANNEL = Channel(5.0, "set", ["a", "b"])
SIDE = 32


class Blurring:
    """What a codec does to a picture, without what this codec has not learned."""

    multiple_px, config = 8, SimpleNamespace(patch_px=SIDE)

    def eval(self):
        return self

    def requires_grad_(self, needed):
        return self

    def transmit(self, picture, snr_db, generators):
        small = functional.avg_pool2d(picture, 2)
        noise = torch.stack([torch.randn(small.shape[1:], generator=one) for one in generators])
        return functional.interpolate(small + 0.01 * noise, scale_factor=2.0).clamp(0, 1)

    def symbols(self, height, width):
        return 7


def models(**changes):
    codec = tiny.codec(patch_px=SIDE)
    found = {"codec": codec, "generator": tiny.generator(side_px=SIDE), "lpips": tiny.perceptual()}
    return found | changes


def receiver(roles=None, **settings):
    return tiny.receiver("inverse_jscc", roles or models(), **settings)


def distance_to(product, received):
    """The error and the whole distance of pictures in [-1, 1], B each."""
    return product._distance(received)


@pytest.fixture(scope="module")
def pictures():
    """Of the generator, so that they can be found."""
    model = tiny.generator(side_px=SIDE)
    drawn = [torch.Generator().manual_seed(seed) for seed in (50, 51)]
    latents, noises = start(model, drawn)
    with torch.no_grad():
        return from_signed(model.network(model.to_w(latents), noises)).clamp(0, 1)


def test_pictures_of_the_generator_are_recovered_better_than_it_began(pictures):
    product = receiver(models(codec=Blurring()), steps="30 20 10 10")
    with torch.inference_mode():
        arrived = send_padded(product, pictures, CHANNEL)
    model = product.others["generator"]
    latents, noises = start(model, CHANNEL.generators("sampling", pictures.device))
    with torch.no_grad():
        begun = from_signed(model.network(model.to_w(latents), noises)).clamp(0, 1)
    errors = [(one - pictures).square().mean(dim=(1, 2, 3)) for one in (begun, arrived.pictures)]
    assert (errors[1] < 0.3 * errors[0]).all()
    assert arrived.symbols == 7
    assert arrived.came.all()


def test_what_a_codec_gives_is_approached_and_the_same_every_time(pictures):
    product, begun = receiver(steps="12 6"), receiver(steps="1")
    with torch.inference_mode():
        received = CHANNEL.transmit(product.others["codec"], pictures)
        first = product.send(pictures, CHANNEL).pictures
        again = product.send(pictures, CHANNEL).pictures
        still = begun.send(pictures, CHANNEL).pictures
        other = product.send(pictures, Channel(5.0, "set", ["c", "b"])).pictures
    assert torch.equal(first, again)
    assert first.min() >= 0
    assert first.max() <= 1
    assert not torch.allclose(other[0], first[0], atol=1e-3)
    torch.testing.assert_close(other[1], first[1], atol=5e-3, rtol=0)
    loss = distance_to(product, received.clone())
    with torch.no_grad():
        before, after = (loss(2 * one - 1)[1] for one in (still, first))
    assert (after < before).all()
    assert not any(one.requires_grad for one in product.others["generator"].parameters())


def test_the_distance_is_the_weighted_sum_of_error_and_lpips(pictures):
    product = receiver(mse_weight=2.0, lpips_weight=3.0)
    received = pictures.flip(0)
    error, whole = distance_to(product, received)(2 * pictures - 1)
    torch.testing.assert_close(error, (2 * (pictures - received)).square().mean(dim=(1, 2, 3)))
    seen = product.others["lpips"].distance(received, pictures)
    torch.testing.assert_close(whole, 2 * error + 3 * seen)
    alone = receiver(lpips_weight=0.0)
    torch.testing.assert_close(distance_to(alone, received)(2 * pictures - 1)[1], error)


def test_a_larger_generator_is_looked_at_in_the_codecs_size(pictures):
    product = receiver(models(generator=tiny.generator(side_px=2 * SIDE)), steps="3")
    with torch.inference_mode():
        found = product.send(pictures, CHANNEL).pictures
    assert found.shape == pictures.shape


def test_models_and_pictures_that_do_not_fit_are_told_in_one_line():
    for side in (16, 8):
        told = f"makes pictures of {side} px, and the codec takes those of 32 px"
        with pytest.raises(UnpairedError, match=told) as caught:
            receiver(models(generator=tiny.generator(side_px=side)))
        assert "\n" not in str(caught.value)
    with pytest.raises(UnpairedError, match="of 32 px, and the codec takes those of 24 px"):
        receiver(models(codec=tiny.codec(patch_px=24)))
    with pytest.raises(UnpairedError, match="cannot be a generator"):
        receiver(models(generator=tiny.prior()))
    with pytest.raises(UnpairedError, match="cannot be a lpips"):
        receiver(models(lpips=tiny.prior())).send(tiny.pictures(2, SIDE), CHANNEL)
    with pytest.raises(UnpairedError, match=r"pictures of 40x40: .* takes those of 32x32 alone"):
        receiver().send(tiny.pictures(2, 40), CHANNEL)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"steps": ""}, "must be positive"),
        ({"steps": "0 0"}, "must be positive"),
        ({"steps": "5 x"}, "steps = '5 x': whole numbers from 0 on"),
        ({"steps": "2.5"}, "steps = '2.5': whole numbers"),
        ({"steps": "-1 4"}, "steps = '-1 4'"),
        ({"ball_radii": "1 inf"}, "ball_radii = '1 inf': numbers from 0 on"),
        ({"steps": "4 4", "ball_radii": "1 2"}, "2 ball_radii and 2 rounds"),
        ({"lpips_weight": -1.0}, "none may be negative"),
        ({"lpips_weight": 0.0, "mse_weight": 0.0}, "one of the first two must be positive"),
        ({"learning_rate": 0.0}, "learning_rate = 0"),
        ({"pictures_at_once": 0}, "pictures_at_once = 0"),
    ],
)
def test_settings_that_make_no_search_are_told(settings, told):
    with pytest.raises(UnpairedError, match=told):
        create("inverse_jscc", **settings)
