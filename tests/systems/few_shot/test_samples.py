"""Holes, and what a batch holds of pairs, measurements and pictures."""

from __future__ import annotations

import numpy as np
import pytest

from tests.systems.few_shot.portraits import portrait_pack
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.data.noise import get_noise
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.systems.few_shot.hole import fill, hole_of
from unpaired.systems.few_shot.samples import FewShotSamples, Measurements, chosen_pairs
from unpaired.systems.few_shot.sources.celebamask_hq import PARTS
from unpaired.systems.few_shot.sources.drawn_portraits import draw

FACE = catalog.conditions()["face_zero"].values["parts"]


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return portrait_pack(tmp_path_factory.mktemp("packs") / "pack.h5", range(8))


@pytest.mark.parametrize("name", ["face_zero", "face_mean", "face_noise", "face_and_ears_zero"])
def test_a_hole_hides_its_parts_and_nothing_else(pack, name):
    condition = catalog.conditions()[name]
    seen = Measurements(pack, condition)[3]
    labels = draw(3).labels
    parts = [1 + PARTS.index(part) for part in condition.values["parts"]]
    np.testing.assert_array_equal(seen.hole, np.isin(labels, parts))
    np.testing.assert_array_equal(seen.measured[~seen.hole], seen.truth[~seen.hole])
    # Nothing of the truth is left in the hole: what stands there is the same for another face.
    other = seen.truth.copy()
    other[seen.hole] = np.random.default_rng(0).random((int(seen.hole.sum()), 3))
    how = condition.values["fill"]
    again = fill(other.astype(np.float32), seen.hole, how, f"{pack.source}: 00003")
    np.testing.assert_array_equal(again, seen.measured)


def test_fills_are_what_they_are_called():
    rng = np.random.default_rng(1)
    image, hole = rng.random((8, 8, 3)).astype(np.float32), np.zeros((8, 8), bool)
    hole[2:5, 2:5] = True
    assert (fill(image, hole, "zero", "a")[hole] == 0).all()
    np.testing.assert_allclose(
        fill(image, hole, "mean", "a")[hole][0], image[~hole].mean(axis=0), rtol=1e-6
    )
    noise = [fill(image, hole, "noise", name)[hole] for name in ("a", "a", "b")]
    np.testing.assert_array_equal(noise[0], noise[1])
    assert (noise[0] != noise[2]).any()


def test_bad_holes_are_one_line():
    labels = np.ones((4, 4, 1), np.uint8)
    with pytest.raises(UnpairedError, match="cover the whole picture"):
        hole_of(labels, ["skin"], "x")
    with pytest.raises(UnpairedError, match="there is no hole"):
        hole_of(labels, ["nose"], "x")
    with pytest.raises(UnpairedError, match="did you mean 'nose'"):
        hole_of(labels, ["nosse"], "x")
    with pytest.raises(UnpairedError, match="no fill 'gray'"):
        fill(np.zeros((4, 4, 3)), np.zeros((4, 4), bool), "gray", "x")


def test_the_seed_draws_the_pairs_and_leaves_the_rest_for_validation():
    first, left = chosen_pairs(69, 5, seed=1)
    assert len(first) == 5
    assert sorted(first + left) == list(range(69))
    assert first != chosen_pairs(69, 5, seed=2)[0]
    assert chosen_pairs(5, 8, seed=1) == ([0, 1, 2, 3, 4], [])
    with pytest.raises(UnpairedError, match="1 pairs: at least 2"):
        chosen_pairs(1, 5, seed=1)


def test_batches_hold_what_is_seen_and_pairs_equally_often(pack):
    views = Measurements(pack, catalog.conditions()["face_zero"])
    pairs = [views[0], views[1]]
    samples = FewShotSamples(1, 32, pairs=pairs, measured=views, pictures=pack)
    batch = [samples[k] for k in range(8)]
    keys = {"pair_measured", "pair_clean", "measured", "picture", "sample"}
    assert all(set(one) == keys for one in batch)
    # In an epoch every measurement is seen once; mirrored or not, its mean is the same.
    means = sorted(one["measured"].mean().item() for one in batch)
    expected = sorted(float(views[i].measured.mean()) for i in range(8))
    np.testing.assert_allclose(means, expected, rtol=1e-5)
    truths = [one["pair_clean"].mean().item() for one in batch]
    np.testing.assert_allclose(truths, [float(p.truth.mean()) for p in pairs] * 4, rtol=1e-5)
    # A pair is mirrored as one.
    for one in batch:
        visible = one["pair_measured"] != 0
        assert (one["pair_measured"][visible] == one["pair_clean"][visible]).all()


def test_pictures_that_are_degraded_already_are_taken_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {k: rng.integers(0, 256, (20, 24, 3), dtype=np.uint8) for k in ("noisy", "clean")}
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    record = Record("a", arrays, "a")
    write_pack(tmp_path / "pairs.h5", [record], source="own", is_told=False, **about)
    seen = Measurements(Pack(tmp_path / "pairs.h5"), None)[0]
    np.testing.assert_array_equal(seen.measured, arrays["noisy"] / np.float32(255))
    assert seen.hole is None
    samples = FewShotSamples(1, 16, pairs=[seen, seen])
    cut = samples[0]
    assert cut["pair_clean"].shape == (3, 16, 16)
    with pytest.raises(UnpairedError, match=r"smaller than the 22 px .*a \(24x20\)"):
        FewShotSamples(1, 22, pairs=[seen])


def test_a_noise_and_a_pack_without_masks_are_refused(pack, make_pack):
    with pytest.raises(UnpairedError, match="holes are learned here"):
        Measurements(pack, get_noise("gauss25"))
    plain = make_pack({"a": np.zeros((16, 16, 3), np.uint8)})
    with pytest.raises(UnpairedError, match="no masks"):
        Measurements(plain, catalog.conditions()["face_zero"])
