"""Scores against judgments: closed forms, votes drawn at random, scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from unpaired.core.errors import UnpairedError
from unpaired.metrics.two_alternative import agreement, average_precision, ceiling, consistency


def test_agreement_is_the_share_that_chose_the_nearer_one():
    found = agreement([1, 2, 3, 3], [2, 1, 3, 3], [0.2, 0.2, 0.2, 1.0])
    np.testing.assert_allclose(found, [0.8, 0.2, 0.5, 0.5])


def test_exchanging_the_alternatives_changes_nothing():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (2, 50))
    share = rng.integers(0, 6, 50) / 5
    np.testing.assert_allclose(agreement(first, second, share), agreement(second, first, 1 - share))


def test_the_ceiling_is_what_the_voters_themselves_reach():
    rng = np.random.default_rng(1)
    share = rng.integers(0, 6, 200_000) / 5
    chose_second = rng.random(len(share)) < share
    reached = agreement(chose_second, ~chose_second, share).mean()
    assert ceiling(share).mean() == pytest.approx(reached, abs=3e-3)
    np.testing.assert_allclose(ceiling([0, 0.5, 0.8, 1]), [1, 0.5, 0.68, 1])


@pytest.mark.parametrize("votes", [2, 5])
def test_consistency_estimates_the_population_without_bias(votes):
    rng = np.random.default_rng(2)
    p = rng.beta(2, 1, 200_000)
    share = rng.binomial(votes, p) / votes
    population = (p**2 + (1 - p) ** 2).mean()
    assert consistency(share, votes).mean() == pytest.approx(population, abs=4e-3)
    assert ceiling(share).mean() > population + 0.05


def test_average_precision_in_closed_form():
    # In order of distance: same, different, same: precision 1, 1/2, 2/3, each at recall 1/2 or 1.
    assert average_precision([3, 1, 2], [1, 1, 0]) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    # Precision 0, 1/2, 2/3 rises; its envelope is 2/3 throughout.
    assert average_precision([1, 2, 3], [0, 1, 1]) == pytest.approx(2 / 3)
    # A third of the observers: precision 1/3 and then 2/3.
    assert average_precision([1, 2], [1 / 3, 1]) == pytest.approx(2 / 3)
    assert average_precision([5, 5, 5, 5], [1, 0, 0, 1]) == pytest.approx(0.5)


def test_average_precision_equals_an_independent_area():
    rng = np.random.default_rng(3)
    same = rng.integers(0, 2, 300)
    distance = np.round(rng.normal(size=300) - 0.7 * same, 1)
    precision, recall, _ = precision_recall_curve(same, -distance)
    envelope = np.maximum.accumulate(precision[:-1])  # scikit-learn lists recall downwards
    area = np.sum((recall[:-1] - recall[1:]) * envelope)
    assert average_precision(distance, same) == pytest.approx(area)


def test_average_precision_needs_no_flat_distances_and_no_order():
    rng = np.random.default_rng(4)
    distance, same = rng.random(40), rng.integers(0, 4, 40) / 3
    expected = average_precision(distance, same)
    assert average_precision(distance.reshape(40, 1, 1, 1), same) == pytest.approx(expected)
    order = rng.permutation(40)
    assert average_precision(distance[order], same[order]) == pytest.approx(expected)
    assert average_precision(1e3 * distance**3, same) == pytest.approx(expected)
    assert average_precision(-same, same) > expected


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: agreement([1], [1, 2], [0.5]), "2 of second"),
        (lambda: agreement([], [], []), "at least one"),
        (lambda: agreement([1], [np.nan], [0.5]), "second: values that are not finite"),
        (lambda: agreement([1], [2], [1.5]), "not 0 to 1"),
        (lambda: consistency([0.3], 2), "multiples of 1/2"),
        (lambda: consistency([0.0], 1), "two voters"),
        (lambda: average_precision([1, 2], [0, 0]), "nothing to find"),
    ],
)
def test_bad_input_is_told_in_one_line(call, told):
    with pytest.raises(UnpairedError, match=told):
        call()
