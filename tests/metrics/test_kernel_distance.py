"""The kernel distance, against torchmetrics and its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from unpaired.core.errors import UnpairedError
from unpaired.metrics.kernel_distance import kernel_distance


def features(count: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, 6))


def test_it_is_that_of_torchmetrics():
    first, second = features(30), features(30, 0.3, seed=1)
    expected = poly_mmd(torch.from_numpy(first), torch.from_numpy(second))
    assert kernel_distance(first, second) == pytest.approx(float(expected))


def test_it_is_its_sum_over_pairs_and_symmetric():
    first, second = features(4), features(5, 0.5, seed=1)

    def mean(one, other, same):
        pairs = [(i, j) for i in range(len(one)) for j in range(len(other)) if not same or i != j]
        return np.mean([(one[i] @ other[j] / 6 + 1) ** 3 for i, j in pairs])

    expected = (
        mean(first, first, True) + mean(second, second, True) - 2 * mean(first, second, False)
    )
    assert kernel_distance(first, second) == pytest.approx(expected)
    assert kernel_distance(second, first) == pytest.approx(expected)


def test_it_has_no_bias_for_sets_of_one_kind():
    found = [
        kernel_distance(features(20, seed=2 * k), features(20, seed=2 * k + 1)) for k in range(200)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / 200**0.5
    assert min(found) < 0


def test_other_shapes_are_told():
    with pytest.raises(UnpairedError, match="two rows each at least"):
        kernel_distance(features(1), features(3))
