from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from unpaired.imaging.color.ab_bins import BINS, CENTERS
from unpaired.imaging.color.lab import in_gamut
from unpaired.systems.guided_colorization.palette import (
    cell_at,
    displayed,
    logits_at,
    suggested_at,
    suggested_colors,
)


def test_modes_come_back_by_their_share():
    shares = np.zeros(BINS)
    modes = [120, 250, 30]
    shares[modes] = [0.5, 0.2, 0.3]
    found, sizes = suggested_colors(shares, CENTERS)
    assert np.allclose(found, CENTERS[[120, 30, 250]], atol=1e-4)
    assert np.allclose(sizes, [0.5, 0.3, 0.2])


def test_neighbors_are_one_color_and_no_more_than_nine_are_suggested():
    shares = np.full(BINS, 0.3 / BINS)
    near = np.flatnonzero(np.hypot(*(CENTERS - [50, 30]).T) < 15)
    shares[near] += 0.7 / len(near)
    found, sizes = suggested_colors(shares / shares.sum(), CENTERS)
    assert len(found) == 9
    assert sizes[0] > 0.45
    assert np.hypot(*(found[0] - [50, 30])) < 8
    assert (np.diff(sizes) <= 0).all()


def test_what_is_shown_has_its_lightness_and_is_in_srgb():
    given = np.array([[120.0, -120.0], [10.0, 5.0]])
    for lightness in (0.0, 20.0, 60.0, 100.0):
        ab, rgb = displayed(lightness, given)
        lab = torch.tensor([[lightness, *one] for one in ab]).T[None, :, :, None]
        assert in_gamut(lab).all()
        assert rgb.shape == (2, 3)
    assert np.allclose(displayed(60.0, given)[0][1], given[1])
    assert displayed(0.0, given)[1].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_place_is_found_on_a_smaller_map():
    assert cell_at((0, 0), (64, 96), (16, 24)) == (0, 0)
    assert cell_at((63, 95), (64, 96), (16, 24)) == (15, 23)
    assert cell_at((4, 8), (64, 96), (16, 24)) == (1, 2)


def upsampled(logits: torch.Tensor) -> torch.Tensor:
    """The authors' fixed layers: twice a transposed convolution of stride 2, per channel."""
    rows = torch.tensor([0.5, 1.0, 0.5], dtype=logits.dtype)
    kernel = torch.outer(rows, rows).expand(logits.shape[1], 1, 3, 3)
    for _ in range(2):
        logits = functional.conv_transpose2d(
            logits, kernel, stride=2, padding=1, groups=logits.shape[1]
        )
    return logits


def test_logits_between_cells_are_those_of_the_authors_upsampling():
    logits = torch.randn(
        1, 5, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    whole = upsampled(logits)
    assert whole.shape == (1, 5, 13, 21)
    for y in range(13):
        for x in range(21):
            assert torch.allclose(logits_at(logits, (y, x)), whole[0, :, y, x])
    assert torch.equal(logits_at(logits, (15, 23)), logits[0, :, -1, -1])


def test_a_color_is_suggested_where_the_network_saw_it_at_any_size():
    logits = torch.full((1, BINS, 16, 24), -30.0)
    color = 120
    logits[0, color, 5, 7] = 30.0
    logits[0, 250] = 10.0
    seen = (64, 96)
    for times in (1, 2, 3):
        size = (64 * times, 96 * times)
        middle = [times * (pixel + 0.5) - 0.5 for pixel in (20, 28)]
        found, _ = suggested_at(logits, CENTERS, tuple(middle), size, seen)
        assert np.allclose(found[0], CENTERS[color], atol=1e-4)
        away = [times * (pixel + 0.5) - 0.5 for pixel in (23, 31)]
        found, _ = suggested_at(logits, CENTERS, tuple(away), size, seen)
        assert np.allclose(found[0], CENTERS[250], atol=1e-4)
