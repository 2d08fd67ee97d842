from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from tests.systems.super_resolution.sets import clean_pack, pairs_pack, smooth, write
from unpaired.core.errors import UnpairedError
from unpaired.data.noise import NOISES
from unpaired.data.records import Record
from unpaired.systems.super_resolution.samples import EnlargingSamples


def samples(pack, **how):
    return EnlargingSamples(pack, **{"patch_px": 32, "seed": 1, "noise": None} | how)


def test_both_crops_are_of_the_same_place_turned_alike(tmp_path):
    own = samples(clean_pack(tmp_path / "c.h5"))
    for number in range(24):
        one = own[number]
        small, large = one["small"][None], one["large"][None]
        assert small.shape == (1, 3, 8, 8)
        assert large.shape == (1, 3, 32, 32)
        again = interpolate(large.double(), scale_factor=0.25, mode="bicubic", antialias=True)
        inner = (again - small)[..., 2:-2, 2:-2]
        assert inner.abs().max() < 0.6 / 255


def test_a_sample_is_a_function_of_seed_and_number(tmp_path):
    pack = clean_pack(tmp_path / "c.h5")
    one, again, other = samples(pack)[5], samples(pack)[5], samples(pack, seed=2)[5]
    assert torch.equal(one["small"], again["small"])
    assert not torch.equal(one["large"], other["large"])


def test_of_pairs_the_noisy_picture_is_seen_and_not_the_clean_small_one(tmp_path):
    pack = pairs_pack(tmp_path / "p.h5")
    batch = samples(pack)[0]
    assert set(batch) == {"small", "large", "sample"}
    reduced = interpolate(batch["large"][None], scale_factor=0.25, mode="bicubic", antialias=True)
    difference = (reduced[0] - batch["small"])[:, 2:-2, 2:-2]
    assert 0.02 < difference.std() < 0.1


def test_noise_is_drawn_anew_and_rounded_to_8_bits(tmp_path):
    pack = clean_pack(tmp_path / "c.h5", count=1, side=32)
    plain, noisy = samples(pack), samples(pack, noise=NOISES["gauss25"])
    deviations = []
    for number in range(40):
        small = noisy[number]["small"].numpy()
        assert np.allclose(small * 255, np.round(small * 255), atol=1e-3)
        assert small.min() >= 0
        assert small.max() <= 1
        assert torch.equal(noisy[number]["large"], plain[number]["large"])
        deviations.append(small - plain[number]["small"].numpy())
    assert np.std(deviations) == pytest.approx(25 / 255, rel=0.1)
    assert not np.array_equal(deviations[0], deviations[1])


def test_packs_without_large_pictures_and_small_ones_are_refused(tmp_path):
    plain = write(tmp_path / "x.h5", [Record("a", {"image": smooth(0)}, "a")])
    with pytest.raises(UnpairedError, match="no pictures four times larger"):
        samples(plain)
    with pytest.raises(UnpairedError, match=r"p0 \(64x64\).*lower patch_px"):
        samples(clean_pack(tmp_path / "c.h5"), patch_px=128)
