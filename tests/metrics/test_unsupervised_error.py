"""uMSE against errors known in closed form, and intervals against how often they hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chisquare

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.metrics.noise_correlation import NoiseCorrelation
from unpaired.metrics.unsupervised_error import (
    BLOCK_PX,
    UnitErrors,
    bootstrap_umse,
    deal_cells,
    error_map,
    error_terms,
    interval,
    reasons_against,
    saturated_share,
    unit_errors,
    upsnr_db,
    upsnr_text,
)

STD = 0.1
LEVEL = 0.4


def noisy_constant(seed: int = 0, side: int = 512) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return LEVEL + STD * rng.standard_normal((side, side, 3))


def within_error(terms: np.ndarray, expected: float) -> bool:
    return abs(terms.mean() - expected) < 4 * terms.std() / math.sqrt(terms.size)


def test_terms_by_hand():
    restored = np.array([[[0.5]]])
    a, b, c = 0.4, 0.7, 0.1
    by_hand = np.mean(
        [
            (a - 0.5) ** 2 - (b - c) ** 2 / 2,
            (b - 0.5) ** 2 - (c - a) ** 2 / 2,
            (c - 0.5) ** 2 - (a - b) ** 2 / 2,
        ]
    )
    assert error_terms(restored, np.reshape([a, b, c], (3, 1, 1, 1))).item() == pytest.approx(
        by_hand
    )


@pytest.mark.parametrize("kept", [0.0, 0.25, 1.0])
def test_shrinkage_on_a_constant_image_has_its_exact_error(kept):
    """f(y) = level + kept (y - level) has the error kept^2 std^2: identity 1, oracle 0."""
    maps = error_map(noisy_constant(), lambda y: LEVEL + kept * (y - LEVEL), "x", deals=1)
    assert within_error(maps, kept**2 * STD**2)


def test_a_constant_offset_counts_in_full():
    maps = error_map(noisy_constant(1), lambda y: np.full_like(y, LEVEL + 0.05), "x", deals=1)
    assert within_error(maps, 0.05**2)


def test_noise_that_depends_on_the_signal():
    """Poisson noise of mean x at 30 photons has the variance x / 30, the error of the identity."""
    clean = np.repeat(np.linspace(0.1, 0.9, 256), 2)[None, :, None] * np.ones((512, 1, 1))
    noisy = np.random.default_rng(2).poisson(30 * clean) / 30
    maps = error_map(noisy, lambda y: y, "x", deals=1)
    # Content changes from cell to cell only, so nothing is added by it.
    assert within_error(maps, clean.mean() / 30)


def test_bias_by_content_is_the_one_stated():
    """One noise-free cell repeated: v for the identity, error 3 v / 4 against the cell's mean."""
    cell = np.array([[0.1, 0.5], [0.6, 0.2]])
    image = np.tile(cell, (256, 256))[..., None]
    variance = cell.var(ddof=1)
    identity = error_map(image, lambda y: y, "x", deals=1)
    assert within_error(identity, 0.75 * variance + variance / 4)
    means = error_map(image, lambda y: np.full_like(y, cell.mean()), "x", deals=1)
    assert within_error(means, -variance / 4)


def test_every_order_of_a_cell_is_equally_likely():
    image = np.tile(np.array([[0, 1], [2, 3]]), (120, 120))[..., None]
    dealt = deal_cells(image, numpy_generator("test")).reshape(4, -1)
    assert np.array_equal(np.sort(dealt, axis=0), np.tile(np.arange(4)[:, None], 120 * 120))
    _, counts = np.unique(dealt.T @ [1, 4, 16, 64], return_counts=True)
    assert len(counts) == 24
    assert chisquare(counts).pvalue > 1e-3


def test_cells_stay_in_place_and_channels_together():
    rows, columns = np.mgrid[:7, :10]
    image = np.stack([rows, columns, 100 * rows + columns], axis=-1)
    dealt = deal_cells(image, numpy_generator("test"))
    assert dealt.shape == (4, 3, 5, 3)
    assert np.array_equal(dealt[..., 0] // 2, np.broadcast_to(np.arange(3)[:, None], (4, 3, 5)))
    assert np.array_equal(dealt[..., 1] // 2, np.broadcast_to(np.arange(5), (4, 3, 5)))
    assert np.array_equal(dealt[..., 2], 100 * dealt[..., 0] + dealt[..., 1])


def test_the_same_key_deals_the_same():
    noisy = noisy_constant(side=32)
    first, again, other = (error_map(noisy, lambda y: y, key) for key in ("a", "a", "b"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_units_are_images_from_five_on_and_blocks_below():
    maps = [np.full((3 * BLOCK_PX + 5, 2 * BLOCK_PX), float(number)) for number in range(5)]
    images, blocks = unit_errors(maps), unit_errors(maps[:4])
    assert (images.kind, len(images.pixels)) == ("images", 5)
    assert (blocks.kind, len(blocks.pixels)) == ("blocks", 4 * 3 * 2)
    assert blocks.pixels.sum() == 4 * maps[0].size
    assert images.umse == pytest.approx(2)
    assert blocks.umse == pytest.approx(1.5)


@pytest.mark.parametrize(("n_units", "at_least"), [(5, 0.9), (30, 0.93)])
def test_intervals_cover(n_units, at_least, monkeypatch):
    """Units of unequal size and error; plain percentiles hold the mean in 83 % for five units."""
    monkeypatch.setattr("unpaired.metrics.unsupervised_error.BOOTSTRAP_DRAWS", 2000)
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(400):
        pixels = rng.integers(800, 1200, n_units)
        units = UnitErrors(pixels * rng.normal(1.0, 0.3, n_units), pixels, "blocks")
        low, high = interval(bootstrap_umse([units])[:, 0], n_units)
        covered.append(low < 1.0 < high)
    assert at_least < np.mean(covered) < 0.98


def test_paired_differences_are_sharper_than_the_figures_themselves():
    rng = np.random.default_rng(4)
    shared = rng.normal(1.0, 0.5, 40)
    pixels = np.full(40, 100)
    pair = [
        UnitErrors(100 * (shared + extra + 0.01 * rng.normal(size=40)), pixels, "blocks")
        for extra in (0.0, 0.05)
    ]
    draws = bootstrap_umse(pair)
    low, high = interval(draws[:, 1] - draws[:, 0], 40)
    assert 0.03 < low < 0.05 < high < 0.07
    assert np.ptp(interval(draws[:, 0], 40)) > 0.2


def test_too_few_units_have_no_interval():
    assert np.isnan(interval(np.ones(100), 4)).all()


def test_upsnr_and_its_words():
    assert upsnr_db(0.01) == pytest.approx(20)
    assert upsnr_text(upsnr_db(0.01)) == "20.00"
    assert upsnr_text(upsnr_db(0.0)) == upsnr_text(upsnr_db(-1e-9)) == "above what can be measured"
    assert upsnr_text(upsnr_db(math.nan)) == "unknown"


def test_a_restoration_that_is_not_finite_is_refused():
    with pytest.raises(UnpairedError, match="not finite"):
        error_map(noisy_constant(side=16), lambda y: y * np.nan, "x")


def test_saturated_pixels_and_correlated_noise_are_told():
    image = noisy_constant(side=64)
    assert saturated_share(image) < 0.001
    clipped = np.clip(image, LEVEL - STD, LEVEL + STD)
    assert saturated_share(clipped) == pytest.approx(0.317, abs=0.02)
    white = NoiseCorrelation(0.01, 0.0, 0.0, 0.0, 0.0, STD, 50)
    blurred = NoiseCorrelation(0.6, 0.5, 0.3, 0.1, 0.1, STD, 50)
    assert reasons_against(white, 0.001) == []
    correlated, saturated = reasons_against(blurred, 0.3)
    assert "coefficient 0.60" in correlated
    assert saturated.startswith("30.0 % of the values")
