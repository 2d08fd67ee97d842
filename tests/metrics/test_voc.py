"""Figures of merit of PASCAL VOC: rankings by hand, boxes, and independent libraries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex
from torchvision.ops import box_iou

from unpaired.metrics.voc import (
    AREA,
    Boxes,
    average_precision,
    confusion,
    detection_precisions,
    mean_overlap,
    overlaps,
)


def test_a_perfect_ranking_has_all_and_the_reverse_little():
    scores, right = np.array([4.0, 3, 2, 1]), np.array([True, True, False, False])
    for kind in ("eleven points", AREA):
        assert average_precision(scores, right, 2, kind) == pytest.approx(1)
    assert average_precision(-scores, right, 2, AREA) == pytest.approx(0.5)


def test_a_ranking_by_hand():
    """Right, wrong, right, wrong of three: precision 1 up to recall 1/3, 2/3 up to 2/3, then 0."""
    scores, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert average_precision(scores, right, 3, AREA) == pytest.approx((1 + 2 / 3) / 3)
    # Recalls 0, .1, .2, .3 have 1; .4, .5, .6 have 2/3; .7 and more nothing.
    assert average_precision(scores, right, 3) == pytest.approx((4 + 3 * 2 / 3) / 11)


def test_a_recall_of_three_tenths_is_reached_by_three_of_ten():
    """0.3 is no binary fraction; whole numbers do not miss it."""
    right = np.arange(10) < 3
    assert average_precision(-np.arange(10.0), right, 10) == pytest.approx(4 / 11)


def test_overlaps_are_torchvisions():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (2, 7, 2))
    first, second = (
        np.concatenate([one, one + rng.uniform(1, 40, one.shape)], axis=1) for one in corners
    )
    expected = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    np.testing.assert_allclose(overlaps(first, second), expected)


def boxes(*rows, **more) -> Boxes:
    found = np.array([row[:4] for row in rows], float).reshape(-1, 4)
    return Boxes(found, np.array([row[4] for row in rows], int), **more)


def test_a_second_box_on_the_same_object_is_wrong_and_difficult_ones_do_not_count():
    true = boxes((0, 0, 10, 10, 0), (20, 20, 40, 40, 0), difficult=np.array([False, True]))
    found = boxes(
        (0, 0, 10, 9, 0),
        (0, 0, 9, 10, 0),
        (20, 20, 40, 40, 0),
        (50, 50, 60, 60, 0),
        scores=np.array([0.8, 0.9, 0.95, 0.1]),
    )
    # Ranked: (difficult, not counted), right, double, missed: one of one is found first.
    assert detection_precisions([found], [true], 2, AREA) == [1.0]
    swapped = boxes((50, 50, 60, 60, 0), (0, 0, 10, 9, 0), scores=np.array([0.9, 0.8]))
    assert detection_precisions([swapped], [true], 2, AREA) == [0.5]


def test_a_class_that_is_not_there_has_no_precision():
    true = boxes((0, 0, 10, 10, 1), difficult=np.array([False]))
    none = boxes(scores=np.zeros(0))
    assert detection_precisions([none], [true], 3) == [0.0]


def test_mean_overlap_is_torchmetrics():
    rng = np.random.default_rng(1)
    true, told = rng.integers(0, 4, (2, 30, 20))
    true[0] = 255
    counts = confusion(told, true, 4)
    assert counts.sum() == 29 * 20
    library = MulticlassJaccardIndex(4, average="macro", ignore_index=255)
    expected = library(torch.from_numpy(told), torch.from_numpy(true))
    assert mean_overlap(counts) == pytest.approx(float(expected), abs=1e-6)
