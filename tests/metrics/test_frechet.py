"""The Fréchet distance against a closed form and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unpaired.core.errors import UnpairedError
from unpaired.metrics.frechet import frechet_distance

RNG = np.random.default_rng(0)


def test_it_is_zero_for_the_same_features_and_grows_by_a_shift_squared():
    features = RNG.standard_normal((50, 4))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + np.array([3, 0, 0, 4])) == pytest.approx(25)


def test_independent_columns_have_a_closed_form():
    first, second = RNG.standard_normal((20_000, 2)), RNG.standard_normal((20_000, 2)) * [3, 0.5]
    assert frechet_distance(first, second) == pytest.approx(2**2 + 0.5**2, rel=0.05)


@pytest.mark.parametrize("count", [6, 200])
def test_it_is_that_of_a_matrix_square_root(count):
    """Also with fewer rows than columns, whose covariances are singular."""
    from scipy.linalg import sqrtm

    first = RNG.standard_normal((count, 9)) @ RNG.standard_normal((9, 9))
    second = RNG.standard_normal((count, 9)) @ RNG.standard_normal((9, 9)) + 1
    covariances = [np.cov(one.T) for one in (first, second)]
    shared = np.trace(sqrtm(covariances[0] @ covariances[1])).real
    means = np.square(first.mean(0) - second.mean(0)).sum()
    expected = means + sum(map(np.trace, covariances)) - 2 * shared
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-4)


class Columns(nn.Module):
    """Features that are the pixels themselves."""

    num_features = 12

    def forward(self, pictures):
        return pictures.float().flatten(1)


def test_it_is_that_of_torchmetrics():
    fid = pytest.importorskip("torchmetrics.image.fid", reason="needs torchmetrics (extra 'test')")
    metric = fid.FrechetInceptionDistance(feature=Columns(), input_img_size=(3, 2, 2))
    metric.set_dtype(torch.float64)
    pictures = [torch.randint(0, 256, (40, 3, 2, 2), dtype=torch.uint8) for _ in range(2)]
    for real, some in zip((True, False), pictures, strict=True):
        metric.update(some, real=real)
    found = frechet_distance(*(Columns()(some).double().numpy() for some in pictures))
    assert found == pytest.approx(metric.compute().item(), rel=1e-4)


def test_features_that_do_not_fit_are_told():
    with pytest.raises(UnpairedError, match="two rows each"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(UnpairedError, match="equally many columns"):
        frechet_distance(np.zeros((5, 2)), np.zeros((5, 3)))
