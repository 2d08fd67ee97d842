"""How alike outputs are: what is alike by construction, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from unpaired.core.errors import UnpairedError
from unpaired.metrics.collapse import collapse, core_of

RNG = np.random.default_rng(0)
TRUTHS = RNG.random((40, 6, 5, 3))
CORE = np.ones((6, 5), bool)


def test_the_truth_is_no_collapse():
    own = collapse(TRUTHS, TRUTHS, CORE)
    # Residuals of independent pictures sum to 0: -1 / (N - 1) in the mean.
    assert own.correlation == own.truth_correlation == pytest.approx(-1 / 39, abs=0.01)
    assert own.variance_ratio == pytest.approx(1)
    assert own.participation == own.truth_participation
    assert 20 < own.participation < 39


def test_one_picture_for_all_is_a_whole_collapse():
    same = np.broadcast_to(TRUTHS[3], TRUTHS.shape)
    own = collapse(same, TRUTHS, CORE)
    assert own.correlation == pytest.approx(1)
    assert own.variance_ratio == pytest.approx(0, abs=1e-12)


def test_a_shared_picture_and_own_ones_are_as_alike_as_their_powers_say():
    shared, own = RNG.standard_normal((1, 60, 60, 3)), RNG.standard_normal((30, 60, 60, 3))
    truths = RNG.standard_normal((30, 60, 60, 3))
    outputs = truths.mean(axis=0) + shared + own
    found = collapse(outputs, truths, np.ones((60, 60), bool))
    assert found.correlation == pytest.approx(0.5, abs=0.02)
    assert found.variance_ratio == pytest.approx(1, abs=0.03)


def test_what_varies_in_one_way_alone_participates_as_one():
    direction = RNG.random((1, 6, 5, 3))
    outputs = TRUTHS.mean(axis=0) + RNG.standard_normal((40, 1, 1, 1)) * direction
    assert collapse(outputs, TRUTHS, CORE).participation == pytest.approx(1)


def test_only_what_is_missing_counts():
    core = np.zeros((6, 5), bool)
    core[2:4, 1:4] = True
    outputs = TRUTHS.copy()
    outputs[:, ~core] = RNG.random((40, int((~core).sum()), 3))
    assert collapse(outputs, TRUTHS, core) == collapse(TRUTHS, TRUTHS, core)


def test_the_core_is_missing_in_nearly_all_pictures():
    holes = np.zeros((20, 4, 4), bool)
    holes[:, 1] = True
    holes[:18, 2] = True
    holes[:19, 3] = True
    np.testing.assert_array_equal(core_of(holes).any(axis=1), [False, True, False, True])
    with pytest.raises(UnpairedError, match="no pixel is missing"):
        core_of(holes[:, :1])
    with pytest.raises(UnpairedError, match="2 pictures: 3 at least"):
        collapse(TRUTHS[:2], TRUTHS[:2], CORE)
