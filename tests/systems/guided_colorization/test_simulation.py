"""Simulated hints: how many, where, how large, and what becomes of a whole picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from unpaired.core.errors import UnpairedError
from unpaired.systems.guided_colorization.simulation import SimulatedUser

DRAWS = 4000
HEIGHT, WIDTH = 64, 96


def drawn(user, count=DRAWS):
    rng = np.random.default_rng(0)
    return [list(user.patches(rng, HEIGHT, WIDTH)) for _ in range(count)]


def chi_square(found, expected):
    """Return the p value of counts against probabilities, the last bin being what is left."""
    expected = np.asarray(expected) * sum(found)
    return stats.chisquare(found, expected).pvalue


@pytest.mark.parametrize("form", ["thesis", "port"])
def test_the_number_of_points_is_geometric_and_begins_at_zero(form):
    counts = np.array([len(patches) for patches in drawn(SimulatedUser(form))])
    p, last = 1 / 8, 20
    wanted = [p * (1 - p) ** k for k in range(last)]
    found = np.bincount(np.minimum(counts, last), minlength=last + 1)
    assert chi_square(found, [*wanted, 1 - sum(wanted)]) > 1e-3
    assert abs(counts.mean() - 7) < 0.5


@pytest.mark.parametrize("form", ["thesis", "port"])
def test_sides_are_uniform(form):
    sides = np.array([one.side_px for some in drawn(SimulatedUser(form)) for one in some])
    assert chi_square(np.bincount(sides, minlength=10)[1:], np.full(9, 1 / 9)) > 1e-3


def test_middles_of_the_thesis_are_gaussian_and_outside_comes_to_the_border():
    """Patches of one pixel, so that the middle is it: cells of the Gaussian, tails at ends."""
    user = SimulatedUser("thesis", patch_px_max=1)
    lefts = np.array([one.left for some in drawn(user) for one in some])
    edges = np.array([8, 24, 40, 48, 56, 72, 88])
    found = np.bincount(np.digitize(lefts, edges), minlength=len(edges) + 1)
    # A middle m has the left corner rint(m - 1/2).
    gaussian = stats.norm(WIDTH / 2, WIDTH / 4)
    wanted = np.diff([0, *gaussian.cdf(edges), 1])
    assert chi_square(found, wanted) > 1e-3
    assert (lefts.min(), lefts.max()) == (0, WIDTH - 1)


def test_corners_of_the_port_are_gaussian_over_their_places_and_truncated():
    user = SimulatedUser("port", patch_px_max=1)
    tops = np.array([one.top for some in drawn(user) for one in some])
    edges = np.array([4, 16, 28, 32, 36, 48, 60])
    found = np.bincount(np.digitize(tops, edges), minlength=len(edges) + 1)
    gaussian = stats.norm(HEIGHT / 2, HEIGHT / 4)
    assert chi_square(found, np.diff([0, *gaussian.cdf(edges), 1])) > 1e-3


@pytest.mark.parametrize("form", ["thesis", "port"])
def test_patches_lie_inside(form):
    for patch in (one for some in drawn(SimulatedUser(form), 300) for one in some):
        assert 0 <= patch.top <= HEIGHT - patch.side_px
        assert 0 <= patch.left <= WIDTH - patch.side_px


def test_one_picture_in_a_hundred_is_revealed_whole_but_none_in_the_port():
    ab = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    for form, share in (("thesis", 0.01), ("port", 0.0)):
        user = SimulatedUser(form, patch_px_max=1, stop_probability=0.7)
        rng = np.random.default_rng(0)
        whole = 0
        for _ in range(DRAWS):
            hints, mask = user.hints(rng, ab)
            whole += bool(mask.all())
            assert torch.equal(hints * (1 - mask), torch.zeros_like(ab))
            assert torch.allclose(hints[:, mask[0] > 0], ab[:, mask[0] > 0])
        assert stats.binomtest(whole, DRAWS, share or 1e-9).pvalue > 1e-3


def test_no_hints_with_a_probability_of_one():
    hints, mask = SimulatedUser(stop_probability=1.0, full_share=0.0).hints(
        np.random.default_rng(0), torch.ones(2, 8, 8)
    )
    assert not hints.any()
    assert not mask.any()


@pytest.mark.parametrize(
    "wrong",
    [{"form": "other"}, {"stop_probability": 0}, {"patch_px_max": 0}, {"full_share": 1.5}],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UnpairedError):
        SimulatedUser(**wrong)
