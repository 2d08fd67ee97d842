"""A generator fitted to what a codec's receiver sees."""

from __future__ import annotations

import pytest
import torch

from tests.systems.transmission import tiny
from unpaired.core.errors import UnpairedError
from unpaired.imaging.pixels import to_uint8
from unpaired.learning.create import create
from unpaired.learning.diffusion import from_signed
from unpaired.learning.training import train
from unpaired.systems.transmission.methods.inverse_jscc import start
from unpaired.systems.transmission.sending import Channel, send_padded

CHANNEL = Channel(5.0, "set", ["a", "b"])
SIDE = 32


def models(**changes):
    codec = tiny.codec(patch_px=SIDE)
    found = {"codec": codec, "generator": tiny.generator(side_px=SIDE), "lpips": tiny.perceptual()}
    return found | changes


def receiver(roles=None, **settings):
    return tiny.receiver("inverse_jscc", roles or models(), **settings)


def distance_to(product, received):
    """The error and the whole distance of pictures in [-1, 1], B each."""
    return product._distance(received)


def made_by(model, generators):
    latents, noises = start(model, generators)
    with torch.no_grad():
        return from_signed(model.network(model.to_w(latents), noises)).clamp(0, 1)


def made_of(seeds):
    """Pictures of the generator, so that they can be found."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return made_by(tiny.generator(side_px=SIDE), generators)


@pytest.fixture(scope="module")
def pictures():
    return made_of((50, 51))


@pytest.mark.long
def test_pictures_of_the_generator_are_recovered_better_than_it_began(pictures, make_pack):
    learned_from = made_of(range(100, 164)).permute(0, 2, 3, 1).numpy()
    pack = make_pack({f"{k}": to_uint8(one) for k, one in enumerate(learned_from)})
    fast = {"batch_size": 8, "learning_rate": 5e-3, "schedule": "warmup_cosine"}
    small = {"patch_px": SIDE, "widths": "8", "symbol_channels": 8, "snr_min_db": 5.0}
    codec = tiny.codec(images_seen=400, **small, **fast)
    samples = codec.samples([pack], seed=1, noise=None, noise_draw="fresh")
    train(codec.train(), samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    product = receiver(models(codec=codec), steps="30 20 10 10")
    with torch.inference_mode():
        arrived = send_padded(product, pictures, CHANNEL)
    generators = CHANNEL.generators("sampling", pictures.device)
    begun = made_by(product.others["generator"], generators)
    errors = [(one - pictures).square().mean(dim=(1, 2, 3)) for one in (begun, arrived.pictures)]
    assert (errors[1] < 0.75 * errors[0]).all()
    assert arrived.symbols == 256
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
        ({"lpips_weight": -1.0}, "lpips_weight of method .* must be 0 at least"),
        ({"lpips_weight": 0.0, "mse_weight": 0.0}, "one of the first two must be positive"),
        ({"learning_rate": 0.0}, "learning_rate of method .* must be greater than 0"),
        ({"pictures_at_once": 0}, "pictures_at_once of method .* must be 1 at least"),
    ],
)
def test_settings_that_make_no_search_are_told(settings, told):
    with pytest.raises(UnpairedError, match=told):
        create("inverse_jscc", **settings)
