from __future__ import annotations

import numpy as np
import pytest

from unpaired.imaging.bayer import PATTERNS, pack
from unpaired.imaging.camera import (
    HIGHLIGHT,
    Colors,
    NoiseLevels,
    add_noise,
    demosaic,
    digitize,
    draw_noise_levels,
    to_linear,
    to_mosaic,
    to_srgb,
)

COLORS = Colors(
    np.array([[1.7, -0.5, -0.2], [-0.2, 1.5, -0.3], [0.0, -0.6, 1.6]]), np.array([2.0, 1.0, 1.7])
)


def smooth_picture(side: int = 64) -> np.ndarray:
    """A picture without detail that a mosaic could lose, away from black and white."""
    down, right = np.mgrid[:side, :side] / side
    channels = (0.35 + 0.2 * down, 0.4 + 0.2 * right, 0.55 - 0.2 * down * right)
    return np.stack(channels, -1).astype(np.float32)


def neighbor_correlation(noise: np.ndarray) -> float:
    return float(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1])


def test_inverse_then_forward_returns_the_photograph(photographs):
    for photograph in photographs:
        linear = to_linear(photograph, COLORS)
        again = to_srgb(linear, COLORS)
        balanced = linear * COLORS.gains
        clips = (linear <= 0).any(-1) | (balanced.max(-1) >= HIGHLIGHT)
        assert np.mean(~clips) > 0.3
        assert np.abs(again - photograph)[~clips].max() < 1e-3


def test_white_stays_white_and_black_black():
    ends = np.stack([np.ones((1, 3)), np.zeros((1, 3))]).astype(np.float32)
    linear = to_linear(ends, COLORS)
    assert linear[0] == pytest.approx(1, abs=1e-4)
    assert linear[1] == pytest.approx(0, abs=1e-4)
    assert to_srgb(linear, COLORS) == pytest.approx(ends, abs=1e-3)


def test_gray_looks_of_the_color_of_the_light():
    """Rows of the matrix sum to 1, so the camera sees gray with the inverse of the gains."""
    linear = to_linear(np.full((1, 1, 3), 0.5, np.float32), COLORS)[0, 0]
    # The curves: 0.5 is the middle of the tone curve, and 0.5 ** 2.2 under gamma.
    assert linear * COLORS.gains == pytest.approx(0.5**2.2, rel=1e-4)


def test_the_curves_and_the_matrix_in_closed_form():
    """A round trip alone would not tell a curve or a matrix from another, nor from its inverse."""
    gray = np.full(3, 0.25**2.2) / COLORS.gains
    # 3 x^2 - 2 x^3 at x = 0.25.
    assert to_srgb(gray, COLORS) == pytest.approx(0.15625, rel=1e-6)
    red = np.array([0.25, 0, 0])
    linear = np.clip(2.0 * 0.25 * COLORS.matrix[:, 0], 0, 1)
    display = linear ** (1 / 2.2)
    assert to_srgb(red, COLORS) == pytest.approx(3 * display**2 - 2 * display**3, abs=1e-4)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_whole_way_through_the_mosaic(pattern):
    picture = smooth_picture()
    mosaic = to_mosaic(to_linear(picture, COLORS), pattern)
    again = to_srgb(demosaic(mosaic, pattern), COLORS)
    assert np.abs(again - picture)[1:-1, 1:-1].max() < 1 / 255
    assert np.abs(again - picture).max() < 4 / 255  # the edge is interpolated from one side


@pytest.mark.parametrize("pattern", PATTERNS)
def test_demosaicking_keeps_flat_colors_and_what_was_seen(pattern):
    flat = np.broadcast_to(np.float32([0.2, 0.5, 0.7]), (8, 10, 3))
    assert demosaic(to_mosaic(flat, pattern), pattern) == pytest.approx(flat, abs=1e-6)
    rng = np.random.default_rng(0)
    mosaic = rng.random((8, 10), np.float32)
    assert np.array_equal(to_mosaic(demosaic(mosaic, pattern), pattern), mosaic)
    assert np.array_equal(pack(to_mosaic(flat, pattern), pattern)[0, 0], flat[0, 0, [0, 1, 1, 2]])


@pytest.mark.parametrize("value", [0.0, 0.05, 0.3, 0.9])
def test_variance_against_intensity(value):
    levels, count = NoiseLevels(0.01, 0.0004), 400_000
    clean = np.full((count // 100, 100), value)
    noise = add_noise(clean, levels, np.random.default_rng(1)).astype(np.float64) - clean
    variance = 0.01 * value + 0.0004
    assert noise.mean() == pytest.approx(0, abs=5 * np.sqrt(variance / count))
    # Five standard errors of a variance; the Poisson share adds a little to the Gaussian's.
    spread = np.sqrt((2 + 0.01**2 / variance) / count)
    assert noise.var() == pytest.approx(variance, rel=5 * spread)
    assert neighbor_correlation(noise) == pytest.approx(0, abs=5 / np.sqrt(count))


def test_noise_levels_follow_the_published_law():
    rng = np.random.default_rng(2)
    drawn = [draw_noise_levels(1600, rng) for _ in range(4000)]
    assert all(levels.shot == pytest.approx(0.01098784) for levels in drawn)
    log_read = np.log10([levels.read for levels in drawn])
    expected = 1.85 * np.log10(0.01098784) + 0.30
    assert log_read.mean() == pytest.approx(expected, abs=5 * 0.2 / np.sqrt(4000))
    assert log_read.std() == pytest.approx(0.2, rel=0.06)
    # The ends of the published range.
    assert draw_noise_levels(100, rng).shot == pytest.approx(0.00068674)
    assert draw_noise_levels(3200, rng).shot == pytest.approx(0.02194856, rel=2e-3)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_processor_shares_noise_among_neighbors(pattern):
    rng = np.random.default_rng(3)
    flat = to_linear(np.full((256, 256, 3), 0.5, np.float32), COLORS)
    mosaic = add_noise(to_mosaic(flat, pattern), NoiseLevels(0.002, 1e-5), rng)
    planes = pack(mosaic, pattern)
    assert all(abs(neighbor_correlation(planes[..., c])) < 5 / 128 for c in range(4))
    srgb = to_srgb(demosaic(mosaic, pattern), COLORS)
    assert all(neighbor_correlation(srgb[..., c]) > 0.2 for c in range(3))


def test_digits_of_the_converter():
    values = np.array([[-1.0, 0.0, 0.5, 2.0, 1 / 959]])
    digits = digitize(values, 64, 1023)
    assert digits.dtype == np.float32
    assert np.array_equal(digits, np.float32([[0, 0, 480 / 959, 1, 1 / 959]]))
    fine = digitize(np.linspace(0, 1, 5000)[None], 64, 1023)
    assert len(np.unique(fine)) == 960
