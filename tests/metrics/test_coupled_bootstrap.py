"""The coupled bootstrap against errors known in closed form or by the clean picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from unpaired.core.errors import UnpairedError
from unpaired.metrics.coupled_bootstrap import (
    ALPHA,
    NOISE_RATIO,
    coupled_error_map,
    noise_like,
    noise_variance,
    white_noise,
)

STD = 0.1
LEVEL = 0.4
RNG = np.random.default_rng(0)


def within_error(terms: np.ndarray, expected: float) -> bool:
    return abs(terms.mean() - expected) < 4 * terms.std() / math.sqrt(terms.size)


@pytest.mark.parametrize("kept", [0.0, 0.25, 1.0])
def test_shrinkage_has_its_exact_error_at_the_raised_noise(kept):
    noisy = LEVEL + STD * RNG.standard_normal((512, 512, 3))
    noise = white_noise(np.full(noisy.shape, STD**2), "x")
    maps = coupled_error_map(noisy, lambda y: LEVEL + kept * (y - LEVEL), noise)
    assert maps.shape == (256, 256)
    assert within_error(maps, kept**2 * STD**2 * (1 + ALPHA**2))


def test_content_adds_no_bias(photographs):
    """A filter that blurs real photographs: its error is that against the clean picture."""
    clean = photographs[0][:400, :400]
    noisy = clean + STD * RNG.standard_normal(clean.shape, dtype=np.float32)
    stronger = clean + NOISE_RATIO * STD * RNG.standard_normal(clean.shape, dtype=np.float32)

    def blur(image):
        return uniform_filter(image, (3, 3, 1))

    estimate = coupled_error_map(noisy, blur, white_noise(np.full(clean.shape, STD**2), "x"))
    truth = np.mean((blur(stronger) - clean) ** 2)
    assert estimate.mean() == pytest.approx(truth, rel=0.03)
    measured = coupled_error_map(noisy, blur, noise_like(noisy, "x"))
    assert measured.mean() == pytest.approx(truth, rel=0.15)


def test_the_variance_of_white_noise(photographs):
    noisy = photographs[1][:300, :400] + STD * RNG.standard_normal((300, 400, 3), dtype=np.float32)
    variance = noise_variance(noisy)
    assert variance.shape == noisy.shape
    assert variance.mean() == pytest.approx(STD**2, rel=0.1)
    assert variance.std() < 0.2 * variance.mean()


def test_the_variance_of_photon_noise_follows_brightness(photographs):
    clean = photographs[1][:300, :400].astype(np.float64)
    variance = noise_variance(RNG.poisson(30 * clean) / 30)
    assert variance.mean() == pytest.approx(clean.mean() / 30, rel=0.15)
    assert np.corrcoef(variance.ravel(), clean.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("side", [9, 40])
def test_small_and_noise_free_pictures(side):
    small = LEVEL + STD * RNG.standard_normal((side, side, 1))
    assert np.ptp(noise_variance(small)) == 0
    assert not noise_variance(np.full((side, side, 3), LEVEL)).any()


def test_the_same_key_draws_the_same():
    noisy = LEVEL + STD * RNG.standard_normal((32, 32, 1))
    variance = np.full(noisy.shape, STD**2)
    first, again, other = (
        coupled_error_map(noisy, lambda y: y**2, white_noise(variance, key))
        for key in ("a", "a", "b")
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_restoration_that_is_not_finite_is_refused():
    noisy = np.zeros((8, 8, 1))
    with pytest.raises(UnpairedError, match="not finite"):
        coupled_error_map(noisy, lambda y: np.full_like(y, np.nan), white_noise(noisy, "x"))
