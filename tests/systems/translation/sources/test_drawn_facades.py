"""Drawn facades: chances of styles, what the nearest style is, and the files."""

from __future__ import annotations

import numpy as np
import pytest

from unpaired.core.errors import UnpairedError
from unpaired.systems.translation.sources import drawn_facades as drawn


def test_a_facade_is_a_function_of_its_number():
    for first, second in zip(drawn.facade(7), drawn.facade(7), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(drawn.facade(7)[0], drawn.facade(8)[0])


def test_label_pictures_hold_their_labels():
    for number in range(30):
        labels, _ = drawn.facade(number, 64)
        assert {drawn.SKY, drawn.WALL, drawn.WINDOW, drawn.DOOR} <= set(np.unique(labels))
        np.testing.assert_array_equal(drawn.labels_of(drawn.LABEL_COLORS[labels]), labels)
    with pytest.raises(UnpairedError, match="colors of no part"):
        drawn.labels_of(np.zeros((4, 4, 3), np.uint8))


def test_the_nearest_style_of_a_rendering_is_its_own_and_its_distance_the_noise():
    labels, _ = drawn.facade(3)
    rng = np.random.default_rng(0)
    for style in range(len(drawn.STYLES)):
        clean = np.stack([drawn.rendered(labels, style, b) for b in (0.92, 1.0, 1.08)])
        found = drawn.nearest_styles(clean, labels)
        assert (found.styles == style).all()
        assert found.errors.max() < 1e-3
        noisy = clean + 0.02 * rng.standard_normal(clean.shape)
        assert drawn.nearest_styles(noisy, labels).errors == pytest.approx(0.02, rel=0.1)


def test_a_mean_of_two_styles_is_none():
    labels, _ = drawn.facade(3)
    day, night = (drawn.rendered(labels, style) for style in (0, 1))
    assert drawn.nearest_styles((day + night)[None] / 2, labels).errors[0] > 0.1


def test_styles_have_their_chances():
    labels, _ = drawn.facade(0)
    rng = np.random.default_rng(1)
    pictures = np.stack([drawn.draw_picture(labels, rng) for _ in range(800)]) / 255
    styles = drawn.nearest_styles(pictures, labels).styles
    assert drawn.distance_to_chances(styles) < 0.06
    assert pytest.approx(1) == drawn.CHANCES.sum()
    assert drawn.distance_to_chances(np.zeros(9, int)) == pytest.approx(1 - drawn.CHANCES[0])


def test_what_is_written_is_what_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn, "COUNTS", {"train": 3, "test": 2})
    assert drawn.render(tmp_path) == 5
    records = [*drawn.train(tmp_path), *drawn.test(tmp_path)]
    assert len({record.scene for record in records}) == 5
    for number, record in enumerate(records):
        labels, picture = drawn.facade(number)
        np.testing.assert_array_equal(drawn.labels_of(record.arrays["input"]), labels)
        np.testing.assert_array_equal(record.arrays["output"], picture)
