"""Figures from an untrained network: what is drawn, not how well it is colored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from unpaired.data.sources.color_scenes import draw_scene
from unpaired.learning.create import create
from unpaired.systems.colorization import figures as color_figures
from unpaired.systems.colorization.figures import (
    POINTS,
    TEMPERATURES,
    draw_distributions,
    draw_histograms,
    draw_methods,
    draw_temperatures,
    pictures_of,
)
from unpaired.systems.colorization.scoring import prior_of


@pytest.fixture
def pack(make_pack):
    return make_pack({f"scene{k}": draw_scene("test", k, 32, 32).rgb for k in range(4)})


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create("colorization", width=2, uniform_share=1.0, picture_px=16).eval()


@pytest.fixture
def sheet(monkeypatch):
    """What a figure would be made of, instead of a file: titles and rows of panels."""
    drawn = []
    monkeypatch.setattr(color_figures, "_sheet", lambda path, *rest: drawn.append(rest))
    return drawn


def test_methods_stand_between_gray_and_truth(pack, model, sheet, tmp_path):
    shown = pictures_of([pack, pack], 3)
    assert [picture.name for picture in shown] == ["scene0", "scene1", "scene2"] * 2
    draw_methods(tmp_path / "m.png", {"gray": create("gray"), "full": model}, shown)
    ((titles, rows),) = sheet
    assert titles == ["gray", "full", "truth"]
    assert len(rows) == 6
    for picture, (gray, _, truth) in zip(shown, rows, strict=True):
        assert np.array_equal(truth, picture.truth)
        assert np.ptp(gray.astype(int), axis=-1).max() <= 1


def test_temperatures_go_from_the_mean_to_the_mode(pack, model, sheet, tmp_path):
    draw_temperatures(tmp_path / "t.png", model, pictures_of([pack], 1))
    ((titles, (row,)),) = sheet
    assert (titles[0], titles[-1]) == ("mean, T = 1", "mode, T = 0")
    assert len(row) == len(TEMPERATURES)
    # An untrained network's mean is nearly gray, its modes are not.
    chroma = [np.ptp(panel.astype(int), axis=-1).mean() for panel in row]
    assert chroma[0] < chroma[-1]


def test_points_differ_from_each_other():
    lab = torch.zeros(3, 40, 40)
    lab[1, :20, :20], lab[2, 20:, :20], lab[1, 20:, 20:] = 60, 50, -40
    places = color_figures._different_places(lab)
    assert len(places) == POINTS
    assert len({tuple(lab[:, row, column].tolist()) for row, column in places}) == 4


def test_every_figure_is_a_png(pack, model, tmp_path):
    shown = pictures_of([pack], 2)
    draw_methods(tmp_path / "a.png", {"full": model}, shown)
    draw_temperatures(tmp_path / "b.png", model, shown)
    draw_histograms(tmp_path / "c.png", prior_of(pack), {"full": model, "l2": model}, shown)
    draw_distributions(tmp_path / "d.png", model, shown)
    for name in "abcd":
        with Image.open(tmp_path / f"{name}.png") as figure:
            assert figure.format == "PNG"
            assert np.asarray(figure).std() > 5
