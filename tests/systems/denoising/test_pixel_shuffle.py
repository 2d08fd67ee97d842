"""Phases of an image: exact inverse, where every pixel goes, and what becomes of the noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unpaired.metrics.noise_correlation import NoiseCorrelation, noise_correlation
from unpaired.systems.denoising.pixel_shuffle import choose_stride, join_phases, split_phases


@settings(max_examples=200, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    stride=st.integers(1, 5),
)
def test_joining_undoes_splitting(height, width, channels, stride):
    image = np.arange(height * width * channels, dtype=np.float32).reshape(height, width, channels)
    phases = split_phases(image, stride)
    assert len(phases) == stride**2
    sides = {phase.shape for phase in phases}
    assert sides == {(math.ceil(height / stride), math.ceil(width / stride), channels)}
    assert np.array_equal(join_phases(phases, height, width), image)


def test_phases_hold_the_pixels_of_their_offset():
    image = np.arange(36).reshape(6, 6, 1)
    phases = split_phases(image, 3)
    assert phases[5][..., 0].tolist() == [[8, 11], [26, 29]]  # row 1, column 2


def test_missing_pixels_are_mirrored():
    first, second, third, fourth = split_phases(np.arange(9).reshape(3, 3, 1), 2)
    assert second[..., 0].tolist() == [[1, 1], [7, 7]]
    assert third[..., 0].tolist() == [[3, 5], [3, 5]]
    assert fourth[..., 0].tolist() == [[4, 4], [4, 4]]
    assert first[..., 0].tolist() == [[0, 2], [6, 8]]


def report(direct: float, two_apart: float) -> NoiseCorrelation:
    return NoiseCorrelation(direct, 0.0, 0.0, 0.0, two_apart, 0.1, 100)


@pytest.mark.parametrize(
    ("direct", "two_apart", "stride"),
    [(0.05, 0.0, 1), (0.6, 0.15, 2), (-0.6, 0.15, 2), (0.8, 0.4, 3), (0.6, -0.3, 3)],
)
def test_the_smallest_stride_without_correlation(direct, two_apart, stride):
    assert choose_stride(report(direct, two_apart)) == stride


def test_weak_noise_is_left_at_full_resolution():
    weak = NoiseCorrelation(0.6, 0.6, 0.3, 0.1, 0.1, noise_std=0.05, n_patches=100)
    assert choose_stride(weak) == 1
    assert choose_stride(replace(weak, noise_std=0.07)) == 2


def test_nothing_measured_changes_nothing():
    assert choose_stride(NoiseCorrelation(*[math.nan] * 6, n_patches=0)) == 1


def test_phases_of_blurred_noise_are_white():
    """Every second pixel of noise after a 2 x 2 box filter is independent."""
    white = 0.3 * np.random.default_rng(0).standard_normal((513, 513, 3))
    blurred = sum(white[i : i + 512, j : j + 512] for i in (0, 1) for j in (0, 1)) / 4
    measured = noise_correlation(blurred)
    assert measured.strongest == pytest.approx(0.5, abs=0.05)
    assert choose_stride(measured) == 2
    assert all(not noise_correlation(phase).is_correlated for phase in split_phases(blurred, 2))
