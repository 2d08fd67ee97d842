from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from tests.systems.degradation.small import SMALL
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.networks.latents import LatentLevel
from unpaired.systems.degradation.latent_texture import (
    LatentSpread,
    LatentTexture,
    texture_of_a_picture,
)
from unpaired.systems.degradation.methods.degradation import SAMPLINGS
from unpaired.systems.degradation.synthesis import pairs_of_pack, synthesize

LEVELS = (LatentLevel(2, 8), LatentLevel(3, 4))
CPU = torch.device("cpu")


def sample(rows=12, columns=16):
    """Latents of both levels that are correlated between levels, channels and neighbors."""
    generator = torch.Generator().manual_seed(1)
    fine = torch.randn(1, 3, 2 * rows, 2 * columns, generator=generator)
    fine[:, 1] += fine[:, 0] + 5
    fine[..., 1:] += 0.7 * fine[..., :-1]
    coarse = torch.nn.functional.avg_pool2d(fine[:, :2], 2) * 3 - 1
    return [coarse, fine]


def lagged(field, other, rows, columns):
    """Mean product of two planes that far apart, means removed."""
    a, b = field - field.mean(), other - other.mean()
    return (a[: len(a) - rows, : a.shape[1] - columns] * b[rows:, columns:]).mean().item()


def test_a_field_has_the_mean_and_all_covariances_of_its_sample():
    latents = sample()
    texture = LatentTexture.of(LEVELS, latents)
    coarse, fine = (one[0] for one in texture.window((1,), 0, 0, 1600, 1600))
    assert coarse.shape == (2, 200, 200)
    assert fine.shape == (3, 400, 400)
    assert (coarse.mean((1, 2)) - latents[0][0].mean((1, 2))).abs().max() < 0.15
    assert (fine.mean((1, 2)) - latents[1][0].mean((1, 2))).abs().max() < 0.15
    spots = texture.spots
    assert spots.shape == (2 + 3 * 4, 12, 16)
    joined = torch.cat([coarse, torch.nn.functional.pixel_unshuffle(fine, 2)])
    scale = spots.square().sum((1, 2)).max().item()
    for a, b in ((0, 0), (0, 3), (5, 6), (1, 13)):
        for rows, columns in ((0, 0), (0, 1), (2, 0)):
            expected = (spots[a, rows:, columns:] * spots[b, : 12 - rows, : 16 - columns]).sum()
            found = lagged(joined[b], joined[a], rows, columns)
            assert found == pytest.approx(expected.item(), abs=0.06 * scale)


def test_it_is_gaussian_and_another_one_for_every_key():
    texture = LatentTexture.of(LEVELS, sample())
    one, again, other = (texture.window((key,), 0, 0, 640, 640)[1] for key in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    plane = one[0, 0] - one[0, 0].mean()
    assert (plane**4).mean() / (plane**2).mean() ** 2 == pytest.approx(3, abs=0.3)


def test_a_window_shows_the_same_latents_wherever_it_is_cut():
    texture = LatentTexture.of(LEVELS, [one.double() for one in sample()])
    whole = texture.window((1,), 0, 0, 320, 400)
    part = texture.window((1,), 80, 160, 96, 64)
    assert torch.allclose(part[0], whole[0][..., 10:22, 20:28], atol=1e-12)
    assert torch.allclose(part[1], whole[1][..., 20:44, 40:56], atol=1e-12)


def test_spread_latents_are_independent_and_as_large_as_in_the_sample():
    latents = sample()
    spread = LatentSpread.of(LEVELS, latents)
    for own, drawn in zip(latents, spread.window((1,), 0, 0, 1600, 1600), strict=True):
        values = drawn[0].flatten(1)
        ratio = values.square().mean(1) / own[0].flatten(1).square().mean(1)
        assert ratio.sub(1).abs().max() < 0.1
        others = torch.corrcoef(values) - torch.eye(len(values))
        assert others.abs().max() < 0.05


def test_a_window_of_spread_latents_is_the_same_wherever_it_is_cut():
    spread = LatentSpread.of(LEVELS, sample())
    whole, part = spread.window((1,), 0, 0, 320, 400), spread.window((1,), 80, 160, 96, 64)
    assert torch.equal(part[0], whole[0][..., 10:22, 20:28])
    assert torch.equal(part[1], whole[1][..., 20:44, 40:56])


@pytest.fixture
def noisy_pack(make_pack):
    rng = np.random.default_rng(0)
    return make_pack({n: rng.integers(0, 256, (90, 80, 3), dtype=np.uint8) for n in "ab"}, "noisy")


@pytest.fixture
def method():
    torch.manual_seed(0)
    return create("lud_vae", **SMALL["lud_vae"], patch_px=64).eval()


def test_tiles_equal_the_whole(method, noisy_pack):
    texture = texture_of_a_picture(method, noisy_pack, (1,), CPU)
    texture = LatentTexture(texture.levels, texture.mean.double(), texture.spots.double())
    method.double()
    image = torch.rand(1, 3, 151, 190, dtype=torch.float64)
    about = {"key": (1,), "t": 1.0, "texture": texture}
    tiled, whole = (synthesize(method, image, **about, tile_px=px).noisy for px in (32, 512))
    assert torch.allclose(tiled, whole, atol=1e-9)
    plain = synthesize(method, image, key=(1,), t=1.0).noisy
    assert not torch.allclose(plain, whole, atol=1e-3)


def test_the_key_chooses_picture_and_place(method, noisy_pack):
    made = [texture_of_a_picture(method, noisy_pack, (key,), CPU).spots for key in (1, 1, 2, 3)]
    assert made[0].shape[1:] == (8, 8)  # A training crop of 64 px has 8 x 8 places.
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[0], made[2])
    assert not torch.allclose(made[2], made[3])


def pairs(method, pack, noisy, **how):
    given = {"trained_on": {"noisy": noisy.path}, "seed": 1, "device": CPU, "stamp": {}}
    return list(pairs_of_pack(method, pack, **given, **{"generation_method": 3} | how))


def test_pairs_differ_by_how_latents_are_drawn(method, noisy_pack, make_pack):
    clean = make_pack({"c": np.full((40, 48, 3), 128, np.uint8)}, "clean")
    made = {how: pairs(method, clean, noisy_pack, sampling=how)[0].arrays for how in SAMPLINGS}
    assert all(np.array_equal(one["clean"], clean.read(0)) for one in made.values())
    for one, other in combinations(made.values(), 2):
        assert not np.array_equal(one["noisy"], other["noisy"])
    for how in ("posterior", "spread"):
        again = pairs(method, clean, noisy_pack, sampling=how)[0].arrays
        assert np.array_equal(made[how]["noisy"], again["noisy"])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"sampling": "postrior"}, "pairs_from has no sampling 'postrior'; did you mean"),
        ({"sampling": "posterior", "generation_method": 2}, "posterior is for generation_method 3"),
        ({"sampling": "posterior", "t": (1, 2)}, "without t"),
        ({"sampling": "spread", "t": (1, 2)}, "spread is for generation_method 3, without t"),
    ],
)
def test_what_cannot_be_is_refused(method, noisy_pack, how, message):
    with pytest.raises(UnpairedError, match=message):
        pairs(method, noisy_pack, noisy_pack, **how)


def test_the_public_model_has_no_posterior_to_sample(noisy_pack):
    public = create("lud_vae_public", **SMALL["lud_vae_public"]).eval()
    with pytest.raises(UnpairedError, match="posterior and spread are for lud_vae, whose"):
        pairs(public, noisy_pack, noisy_pack, sampling="posterior")
