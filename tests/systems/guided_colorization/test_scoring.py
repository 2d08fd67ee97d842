"""What a test reveals, and how what comes of it is scored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.metrics import peak_signal_noise_ratio

from unpaired import catalog
from unpaired.data.sources.color_scenes import draw_scene
from unpaired.imaging.color.hints import (
    color_histogram,
    hint_maps,
    mean_saturation,
    points_on,
    revealed,
)
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.imaging.color.recoloring import as_batch, with_colors
from unpaired.learning.create import create
from unpaired.systems.guided_colorization.methods.edit_propagation import EditPropagation
from unpaired.systems.guided_colorization.revealing import (
    max_error_patches,
    random_patches,
    scaled_px,
)
from unpaired.systems.guided_colorization.scoring import Pictures, Revealing, score

SIDE_PX = 32


class Recorder:
    """A product that gives one color everywhere, and keeps what it is told."""

    def __init__(self, picture_px=None):
        self.picture_px, self.told = picture_px, []

    def colorize(self, lightness, *key, **told):
        self.told.append((key, tuple(lightness.shape), told))
        color = torch.tensor([10.0, -5.0]).view(1, 2, 1, 1)
        return color.expand(len(lightness), -1, *lightness.shape[-2:])


@pytest.fixture
def pack(make_pack):
    scenes = {f"s{k}": draw_scene("test", k, SIDE_PX, SIDE_PX).rgb for k in range(3)}
    return make_pack(scenes | {"wide": draw_scene("test", 3, SIDE_PX, SIDE_PX + 8).rgb})


def scored(product, pack, condition, **options):
    given = catalog.conditions()[condition]
    about = {"repeats": 1, "crop_px": None, "device": torch.device("cpu")} | options
    return score(product, pack, given, **about)


def test_sizes_follow_the_shorter_side_and_stay_odd():
    assert [scaled_px(7, side) for side in (256, 64, 128, 512)] == [7, 3, 3, 13]
    assert [scaled_px(25, side) for side in (256, 64)] == [25, 7]
    assert all(scaled_px(7, side) % 2 for side in range(16, 700))


def test_random_points_are_uniform_nested_and_keyed():
    many = random_patches(4000, (32, 48), "set", "a")
    rows = np.array([one.top + 1 for one in many])  # Three pixels: the middle is one below.
    columns = np.array([one.left + 1 for one in many])
    assert stats.chisquare(np.bincount(rows, minlength=32)).pvalue > 1e-3
    assert stats.chisquare(np.bincount(columns, minlength=48)).pvalue > 1e-3
    assert random_patches(5, (32, 48), "set", "a") == many[:5]
    assert random_patches(5, (32, 48), "set", "b") != many[:5]


def test_points_of_largest_error_are_where_the_mean_error_is_and_do_not_overlap():
    true = torch.zeros(2, 2, 64, 64)
    true[0, 0, 40:47, 10:17] = 50  # An area as large as the window.
    true[1, 1, 5, 5] = 20
    told = []

    def predict(patches):
        told.append([len(some) for some in patches])
        return torch.zeros_like(true)

    found = max_error_patches(6, predict, true)
    assert told[0] == [0, 0]
    assert told[5] == [5, 5]
    first = found[0][0]
    assert (first.top + 1, first.left + 1) == (43, 13)
    taken = torch.zeros(64, 64)
    for patch in found[0]:
        taken[patch.slices] += 1
    assert taken.max() == 1


def test_the_error_of_a_point_is_the_distance_of_its_color():
    true = torch.zeros(1, 2, 64, 64)
    true[0, :, 10:17, 10:17] = torch.tensor([30.0, 40.0])[:, None, None]  # Off by 50.
    true[0, 0, 40:47, 40:47] = 45
    ((first,),) = max_error_patches(1, lambda patches: torch.zeros_like(true), true)
    assert (first.top + 1, first.left + 1) == (13, 13)


def test_points_of_largest_error_end_where_none_fits():
    true = torch.ones(1, 2, 9, 9)
    (found,) = max_error_patches(50, lambda patches: torch.zeros_like(true), true)
    assert 4 <= len(found) <= 25
    taken = torch.zeros(9, 9)
    for patch in found:
        taken[patch.slices] += 1
    assert taken.max() == 1


def test_psnr_is_that_of_pictures_of_8_bits(pack):
    found = scored(Recorder(), pack, "automatic")
    assert [row["image"] for row in found.rows] == ["s0", "s1", "s2", "wide"]
    for number, row in enumerate(found.rows):
        truth = draw_scene("test", number, SIDE_PX, SIDE_PX + 8 * (number == 3)).rgb
        lab = rgb_to_lab(as_batch(truth))[0]
        picture = with_colors(
            lab, torch.tensor([10.0, -5.0])[:, None, None].expand(2, *truth.shape[:2])
        )
        assert row["psnr_db"] == pytest.approx(peak_signal_noise_ratio(truth, picture))
        assert row["points"] == 0
    assert found.example.shape == (SIDE_PX, 3 * SIDE_PX, 3)


def test_nothing_is_told_but_what_the_condition_says(pack):
    product = Recorder()
    scored(product, pack, "automatic")
    assert all(told == {} for *_, told in product.told)
    # Three pictures of one size together, and one alone.
    assert [shape[0] for _, shape, _ in product.told] == [3, 1]
    truths = torch.cat([as_batch(draw_scene("test", k, SIDE_PX, SIDE_PX).rgb) for k in range(3)])
    ab = rgb_to_lab(truths)[:, 1:]
    for condition, wanted in {
        "global_hist": {"histogram": color_histogram(ab)},
        "global_sat": {"saturation": mean_saturation(truths)},
        "gt_colors": {"ab": ab, "mask": torch.ones(3, 1, SIDE_PX, SIDE_PX)},
    }.items():
        product = Recorder()
        scored(product, pack, condition)
        told = product.told[0][2]
        assert told.keys() == wanted.keys()
        assert all(torch.allclose(told[key], wanted[key]) for key in wanted)


def test_points_tell_the_mean_of_their_patch_and_no_other_color(pack):
    product = Recorder()
    found = scored(product, pack, "random_5")
    told = product.told[0][2]
    truth = rgb_to_lab(as_batch(draw_scene("test", 0, SIDE_PX, SIDE_PX).rgb))[0, 1:]
    assert not (told["ab"] * (1 - told["mask"])).any()
    assert 5 <= told["mask"][0].sum() <= 45
    last = random_patches(5, (SIDE_PX, SIDE_PX), pack.source, "s0")[-1]
    rows, columns = last.slices
    assert torch.allclose(
        told["ab"][0][:, rows, columns].mean((1, 2)),
        truth[:, rows, columns].mean((1, 2)),
        atol=1e-5,
    )
    assert {row["points"] for row in found.rows} == {5}


def test_a_network_that_sees_pictures_smaller_is_told_at_its_size(pack):
    product = Recorder(picture_px=16)
    scored(product, pack, "random_2")
    _, shape, told = product.told[0]
    assert shape[-2:] == (16, 16)
    assert told["ab"].shape == (3, 2, 16, 16)
    assert (told["mask"].flatten(1).sum(1) >= 2).all()


def test_edit_propagation_of_all_colors_is_exact_and_points_help(pack):
    exact = scored(EditPropagation(), pack, "gt_colors")
    assert all(np.isinf(row["psnr_db"]) for row in exact.rows)
    means = [
        np.mean([row["psnr_db"] for row in scored(EditPropagation(), pack, name).rows])
        for name in ("random_5", "random_50")
    ]
    assert means[0] < means[1]
    largest = scored(EditPropagation(), pack, "max_error_2")
    assert {row["points"] for row in largest.rows} == {2}


def test_a_learned_network_is_scored_under_every_condition_that_it_takes(pack):
    torch.manual_seed(0)
    local, of_statistics = (
        create(name, width=2).eval() for name in ("local_hints", "global_hints")
    )
    for product, names in (
        (local, ("automatic", "gt_colors", "random_1", "max_error_2")),
        (of_statistics, ("automatic", "global_hist", "global_sat", "global_both")),
    ):
        for name in names:
            assert len(scored(product, pack, name).rows) == 4


@pytest.mark.parametrize("picture_px", [None, 16])
def test_points_revealed_one_after_the_other_are_those_revealed_at_once(pack, picture_px):
    rgb = torch.cat([as_batch(draw_scene("test", k, SIDE_PX, SIDE_PX).rgb) for k in range(2)])
    product = Recorder(picture_px)
    pictures = Pictures(product, rgb, [("set", "a"), ("set", "b")])
    # So many that some lie above others.
    patches = [random_patches(40, (SIDE_PX, SIDE_PX), "a"), random_patches(9, (SIDE_PX,) * 2, "b")]
    pictures.with_points(patches)
    revealing = Revealing(pictures)
    for count in (0, 3, 4, 40):
        revealing.colors([some[:count] for some in patches])
    assert product.told[1][2] == {}
    at_once, grown = product.told[0][2], product.told[-1][2]
    for number, some in enumerate(patches):
        size = tuple(pictures.seen.shape[-2:])
        if picture_px is None:
            hints, mask = revealed(rgb_to_lab(rgb)[number, 1:], some)
        else:
            points = points_on(rgb_to_lab(rgb)[number, 1:], some)
            hints, mask = hint_maps(points, (SIDE_PX, SIDE_PX), size)
        for told in (at_once, grown):
            assert torch.equal(told["ab"][number], hints)
            assert torch.equal(told["mask"][number], mask)
