"""The paired bootstrap: its interval holds the truth as often as it says, and pairing pays."""

from __future__ import annotations

import numpy as np
import pytest

from unpaired.core.errors import UnpairedError
from unpaired.metrics.paired_bootstrap import paired_difference


def test_a_constant_difference_has_no_interval():
    first = np.random.default_rng(0).random(30)
    assert paired_difference(first, first + 0.5, "key") == pytest.approx((0.5, 0.5, 0.5))


def test_its_interval_is_as_wide_as_that_of_a_mean():
    rng = np.random.default_rng(0)
    hard = 10 * rng.standard_normal(400)  # What makes a picture hard for both.
    first, second = hard + rng.standard_normal(400), hard + 0.3 + rng.standard_normal(400)
    found = paired_difference(first, second, "key")
    assert found.mean == pytest.approx((second - first).mean())
    expected = 2 * 1.96 * np.sqrt(2 / 400)
    assert found.high - found.low == pytest.approx(expected, rel=0.12)
    assert found == paired_difference(first, second, "key")


def test_it_holds_the_true_mean_about_95_times_of_100():
    rng = np.random.default_rng(1)
    held = 0
    for number in range(200):
        difference = rng.exponential(1.0, 60)
        found = paired_difference(np.zeros(60), difference, number)
        held += found.low < 1.0 < found.high
    assert 175 <= held <= 198


def test_other_pictures_are_told():
    with pytest.raises(UnpairedError, match="3 and 4 pictures: the same ones"):
        paired_difference(np.zeros(3), np.zeros(4))
