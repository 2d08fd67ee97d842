from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import auc

from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.ab_bins import BINS, bins_to_ab, hard_encode, smoothed_prior
from unpaired.metrics.colorization import ErrorCurve, rebalancing


def with_errors(*errors: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return colors whose distances from the true ones are the given ones, in a row of pixels."""
    truth = torch.zeros(2, 1, len(errors), dtype=torch.float64)
    direction = torch.tensor([0.6, -0.8], dtype=torch.float64)
    return truth + direction[:, None, None] * torch.tensor(errors, dtype=torch.float64), truth


def area_of(*errors: float) -> float:
    curve = ErrorCurve()
    curve.add(*with_errors(*errors))
    return curve.result().pooled


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([0.0, 0.0], 1.0),
        ([200.0, 150.5], 0.0),
        # The first threshold reached is 30; the trapezoid before it counts half.
        ([29.5], (150 - 29.5) / 150),
        ([30.0], (150 - 29.5) / 150),
        ([150.0], 0.5 / 150),
        ([0.0, 30.0, 200.0, 100.0], (1 + 120.5 / 150 + 50.5 / 150) / 4),
    ],
)
def test_closed_forms(errors, expected):
    assert area_of(*errors) == pytest.approx(expected, abs=1e-9)


def test_the_area_is_nearly_one_less_the_mean_error():
    """Integrating the share within t over t gives what the errors leave below 150."""
    errors = np.random.default_rng(0).rayleigh(25, 20_000)
    expected = 1 - np.minimum(errors, 150).mean() / 150
    assert area_of(*errors) == pytest.approx(expected, abs=1e-3)


def test_the_curve_is_counted_and_its_area_that_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    truth = 100 * torch.rand(2, 9, 11, generator=generator) - 50
    ab = truth + 40 * torch.randn(2, 9, 11, generator=generator)
    weights = torch.rand(9, 11, generator=generator)
    curve = ErrorCurve()
    curve.add(ab, truth, weights)
    errors = np.hypot(*(ab - truth).double().numpy())
    thresholds = np.arange(151)
    expected = [(weights.numpy() * (errors <= t)).sum() / weights.sum().item() for t in thresholds]
    assert np.allclose(curve.curve(), expected, atol=1e-6)
    assert curve.result().pooled == pytest.approx(auc(thresholds, expected) / 150, abs=1e-6)


def test_pooled_over_pixels_and_averaged_over_pictures():
    curve = ErrorCurve()
    curve.add(*with_errors(0.0, 0.0, 0.0))
    curve.add(*with_errors(200.0))
    assert curve.result().pooled == pytest.approx(0.75)
    assert curve.result().per_image == pytest.approx(0.5)


def test_rebalanced_weights_are_inverse_to_the_prior():
    prior = torch.full((BINS,), 0.0, dtype=torch.float64)
    prior[120], prior[10] = 0.9, 0.1
    truth = bins_to_ab(torch.tensor([[[120] * 9 + [10]]]))[0]
    weights = rebalancing(truth, prior)
    assert weights[0, 0].item() == pytest.approx(0.5 / 0.9)
    assert weights[0, 9].item() == pytest.approx(0.5 / 0.1)
    # Each color counts the same, however rare: nine right, one wrong.
    curve = ErrorCurve()
    curve.add(torch.where(torch.arange(10) < 9, truth, -truth), truth, weights)
    missed = 2 * truth[:, 0, 9].norm().item()
    assert curve.result().pooled == pytest.approx(0.5 + 0.5 * max(0, 1 - missed / 150), abs=0.002)
    with pytest.raises(UnpairedError, match="empty in the color prior"):
        rebalancing(bins_to_ab(torch.tensor([[[3]]]))[0], prior)


def test_gray_loses_by_rebalancing():
    """As in Table 2.1: where most pixels are pale, gray is good unless rare colors count more."""
    generator = torch.Generator().manual_seed(0)
    truth = 12 * torch.randn(2, 60, 60, generator=generator)
    prior = smoothed_prior([truth[None]])
    plain, rebalanced = ErrorCurve(), ErrorCurve()
    gray = torch.zeros_like(truth)
    plain.add(gray, truth)
    rebalanced.add(gray, truth, rebalancing(truth, prior))
    assert rebalanced.result().pooled < plain.result().pooled - 0.05
    assert len(torch.unique(hard_encode(truth[None]))) > 20


def test_bad_input_is_refused():
    curve = ErrorCurve()
    with pytest.raises(UnpairedError, match="none was scored"):
        curve.result()
    with pytest.raises(UnpairedError, match="one size"):
        curve.add(torch.zeros(2, 3, 3), torch.zeros(2, 3, 4))
    with pytest.raises(UnpairedError, match="not finite"):
        curve.add(torch.full((2, 3, 3), float("nan")), torch.zeros(2, 3, 3))
