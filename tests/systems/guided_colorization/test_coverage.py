"""Whether every color that a fruit can have is suggested."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from tests.systems.guided_colorization.made import make_model, scenes_pack
from unpaired.core.errors import UnpairedError
from unpaired.data.sources.color_scenes import COLORS
from unpaired.imaging.color.ab_bins import centers
from unpaired.systems.guided_colorization import coverage
from unpaired.systems.guided_colorization.stages import coverage as stage

CPU = torch.device("cpu")
FRUITS = [ab for ab, _ in COLORS["fruit"]]


class Suggesting:
    """Gives one distribution everywhere: equal shares of the bins nearest to some colors."""

    picture_px = None

    def __init__(self, colors):
        nearest = torch.cdist(torch.tensor(colors).float(), centers().float()).argmin(1)
        self.logits = torch.full((len(centers()),), -100.0)
        self.logits[nearest] = 0.0

    def bins(self):
        return centers()

    def suggestions(self, lightness):
        height, width = (-(-side // 4) for side in lightness.shape[-2:])
        return None, self.logits.view(1, -1, 1, 1).expand(1, -1, height, width)


def test_middles_are_one_for_each_area_and_far_from_its_edge():
    labels = np.zeros((20, 30), np.uint8)
    labels[2:9, 3:10] = 3
    labels[10:15, 25:30] = 3  # The border of the picture is its edge.
    labels[15:, :5] = 2
    assert coverage.middles(labels, 3) == [(5, 6), (12, 27)]
    assert coverage.middles(labels, 1) == []


def test_a_color_is_near_up_to_the_limit():
    suggested = np.array([[0.0, 0.0], [50.0, 0.0]])
    colors = np.array([[9.0, 12.0], [9.0, 12.1], [45.0, 3.0]])
    assert coverage.are_near(colors, suggested).tolist() == [True, False, True]


def test_true_colors_are_found_and_a_missing_one_is_missed(tmp_path):
    pack = scenes_pack(tmp_path / "scenes.h5", range(4), 40)
    whole = coverage.found_colors(Suggesting(FRUITS), pack, CPU)
    assert len(whole) >= len(pack)  # Two fruits or more in each, which may overlap.
    assert whole.all()
    part = coverage.found_colors(Suggesting(FRUITS[:3]), pack, CPU)
    assert part.all(axis=0).tolist() == [True, True, True, False]
    assert not part[:, 3].any()


def test_shares_are_of_places_with_wilsons_interval():
    found = np.ones((50, 4), bool)
    found[:2, 0] = False
    found[1:4, 3] = False
    lines = coverage.coverage_lines(found, row="local")
    assert [line["suggested_in"] for line in lines] == [46, 48, 50, 50, 47]
    first = lines[0]
    assert (first["row"], first["true_color_ab"], first["places"]) == ("local", "every", 50)
    z, n, p = 1.959964, 50, 0.92
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5 / (1 + z**2 / n)
    ends = 100 * (middle - half), 100 * (middle + half)
    assert (first["ci_low_pct"], first["ci_high_pct"]) == pytest.approx(ends, abs=0.01)
    assert lines[2]["true_color_ab"] == "(-30, 50)"


def command(folder, pack):
    model = make_model(folder / "local.safetensors", suggestion_factor=0.5)
    options = ["--row", "local", "--seeds", "1", "--models", str(model), "--device", "cpu"]
    options += ["--test", str(pack.path), "--output", str(folder / "suggestions.csv")]
    return stage.parser().parse_args(options)


def test_the_stage_writes_a_line_for_every_color(tmp_path, capsys):
    stage.main(command(tmp_path, scenes_pack(tmp_path / "scenes.h5", range(2), 40)))
    with open(tmp_path / "suggestions.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 5
    assert {line["suggestion_factor"] for line in lines} == {"0.5"}
    assert all(0 <= float(line["share_pct"]) <= 100 for line in lines)
    assert "seed 1: all colors in" in capsys.readouterr().out


def test_scenes_without_an_open_place_are_refused(tmp_path):
    pack = scenes_pack(tmp_path / "scenes.h5", range(2), 40, with_fruit=False)
    with pytest.raises(UnpairedError, match=r"scenes\.h5: no scene has a fruit"):
        stage.main(command(tmp_path, pack))
    assert not (tmp_path / "suggestions.csv").exists()
