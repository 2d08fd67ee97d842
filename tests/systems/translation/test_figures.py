"""Names in the scatter: none covers another or leaves the picture, wherever the points lie."""

from __future__ import annotations

import itertools

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from unpaired.systems.translation import figures
from unpaired.systems.translation.figures import Place, draw_scatter
from unpaired.systems.translation.labels import POINT_PX, place

FRAME = np.array([(0.0, 0.0), (400.0, 300.0)])
SIZE = (80.0, 12.0)


def boxes(points: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    corners = place(points, np.full((len(points), 2), SIZE), FRAME)
    return [(corner, corner + SIZE) for corner in corners]


def apart(first, second) -> bool:
    return bool((first[1] <= second[0]).any() or (second[1] <= first[0]).any())


@pytest.mark.parametrize(
    "points",
    [
        np.full((8, 2), 150.0),
        np.tile(FRAME[1], (6, 1)),
        np.tile(FRAME[0], (6, 1)),
        np.random.default_rng(1).uniform(0, 1, (12, 2)) * (30, 20) + (380, 5),
    ],
    ids=["coinciding", "upper corner", "lower corner", "near an edge"],
)
def test_labels_neither_overlap_nor_leave_the_frame_nor_cover_points(points):
    found = boxes(points)
    assert all(apart(*pair) for pair in itertools.combinations(found, 2))
    half = POINT_PX / 2
    assert all(apart(box, (point - half, point + half)) for box in found for point in points)
    assert all((low >= FRAME[0]).all() and (high <= FRAME[1]).all() for low, high in found)


def test_a_lone_label_stands_right_of_its_point():
    ((low, high),) = boxes(np.array([(100.0, 100.0)]))
    assert 100 < low[0] < 115
    assert low[1] < 100 < high[1]


def test_no_room_is_told():
    with pytest.raises(ValueError, match="no room"):
        place(np.zeros((1, 2)), np.array([(500.0, 10.0)]), FRAME)


def test_names_are_apart_in_the_picture_that_is_written(tmp_path, monkeypatch):
    drawn = []

    class Kept(matplotlib.figure.Figure):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            drawn.append(self)

    monkeypatch.setattr(figures, "Figure", Kept)
    rows = ("bicyclegan", "cvae_gan_pp", "pix2pix_noise_l1_100", "clr_gan")
    places = [Place(row, 1.45, {"style_rmse": 0.11}) for row in rows]
    places.append(Place("pix2pix_noise", 0.2, {"style_rmse": 0.13}))
    draw_scatter(tmp_path / "scatter.png", places)
    (figure,) = drawn
    (axis,) = figure.axes
    assert Image.open(tmp_path / "scatter.png").size == tuple(figure.canvas.get_width_height())
    names = {place.row for place in places}
    found = [text for text in axis.findobj(Text) if text.get_text() in names]
    assert {text.get_text() for text in found} == names
    extents = [text.get_window_extent() for text in found]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(extents, 2))
    frame = axis.get_window_extent()
    assert all(frame.x0 <= e.x0 and e.x1 <= frame.x1 for e in extents)
    assert all(frame.y0 <= e.y0 and e.y1 <= frame.y1 for e in extents)
