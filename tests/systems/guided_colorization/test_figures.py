"""Drawings of what networks make of hints."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.systems.guided_colorization.made import make_model, scenes_pack
from unpaired.imaging.color.hints import Point
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.learning.create import create
from unpaired.systems.guided_colorization import figures
from unpaired.systems.guided_colorization.scoring import truths
from unpaired.systems.guided_colorization.stages import figures as stage

CPU = torch.device("cpu")
SIDE_PX = 40


class Painter:
    """Gives the whole picture the color of its points, or of none; knows one histogram."""

    picture_px = SIDE_PX

    def colorize(self, lightness, *key, ab=None, mask=None):
        color = torch.zeros(1, 2)
        if mask is not None and mask.any():
            color = (ab * mask).sum((2, 3)) / mask.sum((2, 3))
        return color[..., None, None].expand(-1, -1, *lightness.shape[-2:])


@pytest.fixture
def pack(tmp_path):
    return scenes_pack(tmp_path / "scenes.h5", range(4), SIDE_PX)


@pytest.fixture
def one(pack):
    return figures.guided(Painter(), list(truths(pack, None))[:1], CPU)[0]


@pytest.fixture
def sheets(monkeypatch):
    """Collect the rows of panels that would be written."""
    found = []
    monkeypatch.setattr(figures, "save_sheet", lambda output, rows: found.append(rows))
    return found


def mean_ab(picture):
    return rgb_to_lab(torch.tensor(picture).permute(2, 0, 1)[None] / 255)[0, 1:].mean((1, 2))


def test_the_most_wrong_place_is_the_most_colorful_one_for_a_gray_network(one):
    (place,) = one.most_wrong(1)
    chroma = one.lab[1:].norm(dim=0)
    assert np.hypot(place.a, place.b) > 0.9 * float(chroma.max()) - 5
    assert place.size_px == one.patch_px


def test_opposites_keep_their_chroma_and_grays_become_colorful():
    assert figures.opposite(Point(1, 2, 3, 30.0, -40.0)) == Point(1, 2, 3, -30.0, 40.0)
    pale = figures.opposite(Point(1, 2, 3, 3.0, 4.0))
    assert (pale.a, pale.b) == pytest.approx((-24, -32))
    gray = figures.opposite(Point(1, 2, 3, 0.0, 0.0))
    assert np.hypot(gray.a, gray.b) == figures.UNUSUAL_CHROMA_MIN


def test_unusual_points_change_the_picture_to_their_hue(one, sheets, tmp_path):
    figures.draw_unusual(tmp_path / "u.png", [one])
    told, unusual, true, usual, _ = sheets[0][0]
    assert len(told.points) == len(true.points) == figures.UNUSUAL_POINTS
    for (a, _), (b, _) in zip(told.points, true.points, strict=True):
        assert a.a * b.a + a.b * b.b < 0
        assert (a.x, a.y) == (b.x, b.y)
    assert mean_ab(unusual.picture) @ mean_ab(usual.picture) < 0


def test_one_area_gets_each_color_and_points_lie_symmetrically(one, sheets, tmp_path):
    model = create("local_hints", width=4, picture_px=32)
    figures.draw_one_area(tmp_path / "a.png", model.eval(), [one])
    toy, scene = sheets[0]
    assert [panel.title for panel in toy] == [
        "gray",
        "blue",
        "red",
        "blue and red",
        "green and pink",
    ]
    (left, blue), (right, red) = toy[3].points
    assert (left.x + right.x, left.y) == (31, 15.5)
    assert blue[2] > max(blue[:2])
    assert red[0] > max(red[1:])
    assert (toy[0].picture[16, 16] > 100).all()
    assert (toy[0].picture[2, 2] == 0).all()
    assert mean_ab(scene[1].picture)[1] < -10
    assert mean_ab(scene[2].picture)[0] > 10


def test_references_are_those_that_differ_most():
    eye = torch.eye(4)
    histograms = torch.stack([eye[0], 0.9 * eye[0] + 0.1 * eye[1], eye[2], 0.5 * (eye[0] + eye[3])])
    assert figures.most_different(histograms, 2) == [2, 3]
    assert figures.most_different(histograms, 9) == [2, 3, 1]
    assert figures.most_different(histograms[:1], 5) == []


def test_results_say_how_far_they_are_from_what_was_told(pack, sheets, tmp_path):
    class Copier(Painter):
        def colorize(self, lightness, *key, histogram=None):
            if histogram is None:
                return super().colorize(lightness)
            # The first picture's own colors, whatever is told.
            return rgb_to_lab(first.pictures.rgb)[:, 1:]

    shown = figures.guided(Copier(), truths(pack, None), CPU)
    first = shown[0]
    figures.draw_histograms(tmp_path / "h.png", shown)
    above, below = sheets[0]
    assert len(above) == len(below) == 1 + len(pack)
    far, near = map(float, below[1].title.split(" to "))
    assert near < 0.05 < far
    assert (above[1].picture == first.truth).all()


def test_swatches_begin_at_the_upper_left():
    cells = figures._swatches([np.array([1, 2, 3]), np.array([4, 5, 6])])
    assert cells.shape == (3, 3, 3)
    assert cells[0, :2].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert (cells[1:] == 255).all()


@pytest.mark.long
def test_the_stage_draws_all_with_tiny_models(pack, tmp_path, capsys):
    command = ["--test", str(pack.path), "--device", "cpu"]
    for option, method in (("points", "local_hints"), ("statistics", "global_hints")):
        path = make_model(tmp_path / f"{option}.safetensors", method, picture_px=SIDE_PX)
        command += [f"--{option}", str(path)]
    names = ("suggestions", "unusual", "area", "histograms")
    for name in names:
        command += [f"--{name}", str(tmp_path / f"{name}.png")]
    before = set(tmp_path.iterdir())
    stage.main(stage.parser().parse_args(command))
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {f"{n}.png" for n in names}
    for name in names:
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 200
    assert "3 pictures with points, 4 histograms compared" in capsys.readouterr().out
