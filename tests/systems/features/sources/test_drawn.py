"""Drawn things and places: classes in turn, nothing that one color tells, the same every time."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from unpaired.systems.features.sources import drawn_places, drawn_things
from unpaired.systems.features.sources.drawn_things import CLASSES, OUTLINES, draw_thing


@pytest.mark.parametrize(
    "reader",
    [
        drawn_things.train_records,
        drawn_things.labeled_records,
        drawn_things.test_records,
        drawn_places.labeled_records,
        drawn_places.test_records,
    ],
)
def test_classes_come_in_turn_and_pictures_are_the_same_every_time(reader):
    first, second = (list(itertools.islice(reader(None), 20)) for _ in range(2))
    assert [int(one.arrays["label"].item()) for one in first] == [*range(10), *range(10)]
    assert [one.sha256_pixels for one in first] == [one.sha256_pixels for one in second]
    assert len({one.sha256_pixels for one in first}) == 20
    assert first[0].arrays["image"].shape == (48, 48, 3)
    assert first[0].arrays["image"].dtype == np.uint8


def test_sets_have_no_picture_in_common():
    readers = (drawn_things.train_records, drawn_things.labeled_records, drawn_things.test_records)
    digests = [
        {one.sha256_pixels for one in itertools.islice(reader(None), 30)} for reader in readers
    ]
    assert len(set.union(*digests)) == 90


@pytest.mark.parametrize("module", [drawn_things, drawn_places])
def test_every_color_belongs_to_several_classes(module):
    shared = Counter(itertools.chain.from_iterable(module.PALETTES))
    assert min(shared.values()) >= 3
    assert len(set(module.PALETTES)) == len(module.PALETTES) == len(module.CLASSES) == 10


def test_a_thing_stands_out_from_its_background_and_has_its_size():
    shares = [draw_thing("test", number).inside.mean() for number in range(40)]
    assert 0.03 < min(shares) < max(shares) < 0.5


def test_outlines_differ_in_more_than_size():
    """Of the same radius, they cover different parts of the plane."""
    v, u = (axis / 20 for axis in np.mgrid[-30:31, -30:31])
    covered = [outline(u, v).astype(bool) for outline in OUTLINES.values()]
    for first, second in itertools.combinations(covered, 2):
        assert (first ^ second).sum() > 0.2 * min(first.sum(), second.sum())


def test_stripes_are_in_lightness():
    """Along a striped thing lightness goes up and down; along a shaded one it goes one way."""
    swings = []
    for label in (0, len(OUTLINES)):
        lightness, ab = np.zeros((48, 48)), np.zeros((48, 48, 2))
        rng = np.random.default_rng(0)
        inside = drawn_things.paint_thing(rng, lightness, ab, label, np.array([24.0, 24.0]), 16.0)
        assert len(np.unique(ab[inside], axis=0)) == 1
        row = lightness[24][inside[24]]
        down = lightness[:, 24][inside[:, 24]]
        swings.append(
            max(np.abs(np.diff(np.sign(np.diff(line)))).sum() / 2 for line in (row, down))
        )
    assert swings[0] == 0
    assert swings[1] >= 1
    assert CLASSES[0] == "shaded disc"
    assert CLASSES[len(OUTLINES)] == "striped disc"
