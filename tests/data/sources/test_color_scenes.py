from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from unpaired.core.errors import UnpairedError
from unpaired.data.disjoint import check_disjoint
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.sources import color_scenes as color_scenes
from unpaired.data.sources.color_scenes import (
    CLASSES,
    COLORS,
    LIGHTNESS,
    SCENES,
    draw_scene,
    true_distribution,
)
from unpaired.imaging.color.ab_bins import BINS, hard_encode, smoothed_prior
from unpaired.imaging.color.lab import in_gamut

FRUIT = CLASSES.index("fruit")


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene("train", index, 48, 48) for index in range(250)]


def ab_of(rgb: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rgb2lab(rgb)[..., 1:]).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("name", CLASSES)
def test_every_color_is_in_gamut_at_every_lightness_used(name):
    low, high = LIGHTNESS[name]
    for (a, b), _ in COLORS[name]:
        lightness = torch.linspace(low, high, 50)
        lab = torch.stack([lightness, torch.full((50,), float(a)), torch.full((50,), float(b))])
        assert in_gamut(lab[None, :, :, None]).all()


def test_every_class_is_there_and_pixels_have_its_colors(scenes):
    shares = np.bincount(np.concatenate([s.labels.ravel() for s in scenes]), minlength=4)
    assert (shares / shares.sum() > 0.08).all()
    for scene in scenes[:30]:
        bins = hard_encode(ab_of(scene.rgb))[0].numpy()
        for label, name in enumerate(CLASSES):
            allowed = true_distribution(name).nonzero().flatten().numpy()
            # Rounding to 8 bits never moves a color out of its bin.
            assert np.isin(bins[scene.labels == label], allowed).all()


def test_lightness_is_within_the_range_of_its_class(scenes):
    for scene in scenes[:30]:
        for label, name in enumerate(CLASSES):
            inside = scene.lightness[scene.labels == label]
            if inside.size:
                assert LIGHTNESS[name][0] <= inside.min() <= inside.max() <= LIGHTNESS[name][1]


def test_fruit_colors_come_with_their_frequencies(scenes):
    """Over pixels, though a fruit is one draw: its size does not depend on the color."""
    counts = torch.zeros(BINS, dtype=torch.float64)
    for scene in scenes:
        bins = hard_encode(ab_of(scene.rgb))[0][torch.from_numpy(scene.labels == FRUIT)]
        counts += torch.bincount(bins, minlength=BINS)
    expected = true_distribution("fruit")
    # About 750 fruits of unlike sizes: a deviation of less than 0.02 for the most frequent.
    assert (counts / counts.sum() - expected).abs().max() < 0.06
    assert sum(frequency for _, frequency in COLORS["fruit"]) == pytest.approx(1)


def test_lightness_does_not_tell_the_color():
    for index in range(10):
        one, other = (draw_scene("train", index, 40, 56, recoloring=r) for r in (0, 1))
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.lightness, other.lightness)
        for scene in (one, other):
            assert np.abs(rgb2lab(scene.rgb)[..., 0] - scene.lightness).max() < 0.5
    fruit = one.labels == FRUIT
    drawn = [
        draw_scene("train", 3, 40, 56, recoloring=r).rgb[draw_scene("train", 3, 40, 56).labels == 3]
        for r in range(4)
    ]
    assert fruit.any()
    assert len({array.tobytes() for array in drawn}) > 1


def test_textures_differ():
    """Neighbors differ most in leaves, across rows in ground, and hardly in sky and fruit."""
    scene = draw_scene("train", 5, 128, 128)
    steps = {}
    for label, name in enumerate(CLASSES):
        inside = scene.labels == label
        down = np.abs(np.diff(scene.lightness, axis=0))[inside[1:] & inside[:-1]].mean()
        right = np.abs(np.diff(scene.lightness, axis=1))[inside[:, 1:] & inside[:, :-1]].mean()
        steps[name] = (down, right)
    assert min(steps["leaves"]) > 3 * max(*steps["sky"], *steps["fruit"])
    assert steps["ground"][0] > 2 * steps["ground"][1]


def test_the_true_distribution_is_what_soft_targets_average_to(scenes):
    soft = true_distribution("fruit", 10, 5.0)
    assert soft.sum().item() == pytest.approx(1)
    assert true_distribution("sky").max() == 1
    flat = [ab_of(draw_scene("train", i, 32, 32).rgb) for i in range(5)]
    sky = [
        ab[:, :, torch.from_numpy(draw_scene("train", i, 32, 32).labels == 0)][..., None]
        for i, ab in enumerate(flat)
    ]
    found = smoothed_prior(sky, 10, 5.0)
    assert (found - true_distribution("sky", 10, 5.0)).abs().max() < 0.03
    with pytest.raises(UnpairedError, match="did you mean 'fruit'"):
        true_distribution("fruits")


def test_scenes_are_keyed():
    one, again = (draw_scene("test", 7, 20, 33) for _ in range(2))
    assert np.array_equal(one.rgb, again.rgb)
    assert one.rgb.shape == (20, 33, 3)
    assert one.rgb.dtype == one.labels.dtype == np.uint8
    assert not np.array_equal(one.rgb, draw_scene("train", 7, 20, 33).rgb)
    assert not np.array_equal(one.rgb, draw_scene("test", 8, 20, 33).rgb)


def test_records_make_packs_that_share_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(color_scenes, "SCENES", {"train": 5, "test": 3})
    packs = []
    for split, reader in (
        ("train", color_scenes.train_records),
        ("test", color_scenes.test_records),
    ):
        about = {"source": split, "value_range": (0, 255), "color_space": "sRGB", "settings": {}}
        write_pack(tmp_path / f"{split}.h5", reader(None), **about)
        packs.append(Pack(tmp_path / f"{split}.h5"))
    assert [len(pack) for pack in packs] == [5, 3]
    check_disjoint(*packs)
    assert packs[1].shape(0) == (64, 64, 3)
    assert np.array_equal(packs[1].read(2, "labels")[..., 0], draw_scene("test", 2).labels)
    assert SCENES["train"] > SCENES["test"]
