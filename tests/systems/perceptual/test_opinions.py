from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import rankdata

from tests.systems.perceptual.judged import share, write_judged_pack
from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.learning.create import create
from unpaired.learning.weights import save_model
from unpaired.systems.perceptual.methods.formulas import FORMULAS
from unpaired.systems.perceptual.opinions import (
    SIDES_PX,
    Judge,
    correlations_by_size,
    draw_opinions,
    judges,
    resize,
    score_opinions,
    spearman,
)
from unpaired.systems.perceptual.stages.opinions import main, parser


def test_spearman_is_the_correlation_of_ranks_with_its_sign_turned():
    rng = numpy_generator("spearman")
    distances, opinions = rng.uniform(size=50), rng.integers(0, 9, 50)
    expected = -np.corrcoef(rankdata(distances), rankdata(opinions))[0, 1]
    assert spearman(distances, opinions) == pytest.approx(expected)
    assert spearman(np.exp(distances), opinions) == pytest.approx(expected)
    assert spearman(np.array([1.0, 2, 7]), np.array([9.0, 8, 1])) == pytest.approx(1)


@pytest.mark.parametrize("distances", [[1.0, 1, 1], [1.0, np.nan, 2]])
def test_what_has_no_ranks(distances):
    with pytest.raises(UnpairedError, match="constant or not finite"):
        spearman(np.array(distances), np.array([1.0, 2, 3]))


def test_smaller_sides_and_whole_pictures():
    picture = numpy_generator(0).integers(0, 256, (384, 512, 3), np.uint8)
    assert [resize(picture, side).shape for side in SIDES_PX] == [
        (128, 171, 3),
        (192, 256, 3),
        (256, 341, 3),
        (384, 512, 3),
        (512, 683, 3),
    ]
    assert np.array_equal(resize(picture, 384), picture)
    means = [resize(picture, side).mean() for side in SIDES_PX]
    assert means == pytest.approx(np.full(5, picture.mean()), abs=1)


def test_the_mean_is_over_distances():
    """Four pairs whose distances are told by side, so that both sizes err in one place."""
    table = {64: [1.0, 2.0, 4.0, 3.0], 128: [2.0, 1.5, 30.0, 40.0]}
    reference = np.zeros((64, 64, 3), np.uint8)
    pairs = [(reference, np.full_like(reference, index), 8.0 - index) for index in range(4)]

    def distance(reference: np.ndarray, distorted: np.ndarray) -> float:
        return table[len(reference)][int(distorted[0, 0, 0])]

    found = correlations_by_size(pairs, distance, (64, 128))
    assert found == pytest.approx({"64": 0.8, "128": 0.8, "mean": 1.0})


@pytest.fixture(scope="module")
def noisy_packs(tmp_path_factory, photographs):
    """Five levels of noise on a photograph, and two of them; opinions fall with the level."""
    clean = (255 * photographs[0][:192, :240]).round().astype(np.uint8)
    noise = numpy_generator("noise").standard_normal(clean.shape)
    records = [
        {
            "reference": clean,
            "distorted": np.clip(clean + 8 * level * noise, 0, 255).astype(np.uint8),
            "mos": share(9 - level),
        }
        for level in (1, 3, 5, 2, 4)
    ]
    folder = tmp_path_factory.mktemp("packs")
    return [
        write_judged_pack(folder / f"{count}.h5", records[:count], "tid2013") for count in (5, 2)
    ]


def test_every_distance_orders_levels_of_noise(noisy_packs, tmp_path):
    torch.manual_seed(0)
    save_model(tmp_path / "narrow.safetensors", "lpips", create("lpips", width=0.1, form="lin"))
    of_all = judges({"narrow": tmp_path / "narrow.safetensors"})
    assert [judge.name for judge in of_all] == [*FORMULAS, "ms_ssim", "narrow"]
    takes = {judge.name: judge.sides_px for judge in of_all}
    assert takes.pop("ms_ssim") == (192, 256, 384, 512)
    assert set(takes.values()) == {SIDES_PX}
    small = [replace(judge, sides_px=(128, 192)) for judge in of_all if judge.name != "ms_ssim"]
    small += [replace(judge, sides_px=(192,)) for judge in of_all if judge.name == "ms_ssim"]
    rows = score_opinions(noisy_packs[0], small)
    for row in rows:
        assert row["mean"] == row["192"] == pytest.approx(1), row["distance"]
        assert row["512"] is None
    assert {row["distance"] for row in rows if row["128"] is None} == {"ms_ssim"}


def test_what_is_no_pack_of_opinions_is_refused(tmp_path):
    pack = write_judged_pack(tmp_path / "p.h5", [{"reference": np.zeros((8, 8, 3), np.uint8)}])
    with pytest.raises(UnpairedError, match="distorted"):
        score_opinions(pack, [Judge("none", lambda a, b: 0.0)])


def test_bars_are_as_long_as_the_correlations(tmp_path):
    sizes = dict.fromkeys(map(str, SIDES_PX))
    blue = []
    for value in (0.3, 0.9):
        draw_opinions(tmp_path / "f.png", [{"distance": "l2", **sizes, "mean": value}])
        with Image.open(tmp_path / "f.png") as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        blue.append(np.sum((pixels[..., 2] - pixels[..., 0]) > 80))
    # The axis ends at 1, and the width of its labels is the same.
    assert blue[1] > 1.5 * blue[0] > 0


@pytest.mark.long
def test_the_stage_writes_numbers_and_the_figure(noisy_packs, tmp_path):
    """All sizes, of a model with weights; those of distances that order perfectly are 1."""
    torch.manual_seed(0)
    save_model(tmp_path / "m.safetensors", "lpips", create("lpips", width=0.1, form="lin"))
    figure, numbers = tmp_path / "tid2013.png", tmp_path / "tid2013.csv"
    words = [
        "--pack",
        noisy_packs[1].path,
        "--models",
        tmp_path / "m.safetensors",
        "--names",
        "mine",
    ]
    words += ["--figure", figure, "--correlations", numbers]
    main(parser().parse_args([str(word) for word in words]))
    with numbers.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["distance"] for row in rows] == [*FORMULAS, "ms_ssim", "mine"]
    assert all(float(row["mean"]) == pytest.approx(1) for row in rows)
    assert [row["128"] == "" for row in rows] == [False] * len(FORMULAS) + [True, False]
    with Image.open(figure) as picture:
        assert picture.format == "PNG"
