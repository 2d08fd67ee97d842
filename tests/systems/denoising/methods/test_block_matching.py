from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from unpaired.systems.denoising.methods.block_matching import PATCH, BlockMatcher, patches_of

COUNT = 12


def padded(image: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Return the image with a margin, and where its patches would reach into that."""
    positions = [side - PATCH + 1 for side in image.shape]
    outside = functional.pad(torch.zeros(positions), (radius,) * 4, value=1) > 0
    return functional.pad(image, (radius,) * 4), outside


def brute_force(image: Tensor, row: int, column: int, radius: int) -> list[tuple[int, int]]:
    """Return the nearest patches of the one at (row, column), nearest first, in float64."""
    image = image.double()
    query = image[row : row + PATCH, column : column + PATCH]
    found = []
    for down in range(max(row - radius, 0), min(row + radius, image.shape[0] - PATCH) + 1):
        for right in range(max(column - radius, 0), min(column + radius, image.shape[1] - 8) + 1):
            patch = image[down : down + PATCH, right : right + PATCH]
            found.append(((patch - query).square().sum().item(), (down, right)))
    return [place for _, place in sorted(found)[:COUNT]]


@pytest.mark.parametrize(("radius", "step"), [(5, 3), (4, 1), (6, 4)])
def test_finds_what_a_search_one_by_one_finds(radius, step):
    image = 10 * torch.randn(8 + 5 * step, 8 + 3 * step, generator=torch.Generator().manual_seed(0))
    matcher = BlockMatcher(*padded(image, radius), radius, step)
    rows, columns = range(1, 6), range(0, 3)
    found = matcher.nearest(rows, columns, COUNT)
    assert found.shape == (COUNT, len(rows) * len(columns))
    across = image.shape[1] - PATCH + 1 + 2 * radius
    grid = [(row, column) for row in rows for column in columns]
    for (row, column), places in zip(grid, found.T.tolist(), strict=True):
        actual = [(place // across - radius, place % across - radius) for place in places]
        assert actual[0] == (row * step, column * step)
        assert actual == brute_force(image, row * step, column * step, radius)


def test_a_patch_comes_first_in_its_own_group_though_all_are_alike():
    matcher = BlockMatcher(*padded(torch.ones(20, 20), 5), 5, 3)
    found = matcher.nearest(range(5), range(5), COUNT)
    across = 20 - PATCH + 1 + 10
    expected = [(5 + 3 * row) * across + 5 + 3 * column for row in range(5) for column in range(5)]
    assert found[0].tolist() == expected


def test_high_contrast_does_not_hide_which_flat_patches_are_alike():
    # A bright corner of a thousand times the noise, far from the patches that are compared.
    image = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    image[:4, :4] += 1000
    matcher = BlockMatcher(*padded(image, 5), 5, 3)
    (found,) = matcher.nearest(range(6, 7), range(6, 7), COUNT).T.tolist()
    across = 32 - PATCH + 1 + 10
    actual = [(place // across - 5, place % across - 5) for place in found]
    assert actual == brute_force(image, 18, 18, 5)


def test_patches_are_listed_row_by_row():
    image = torch.arange(2 * 9 * 10.0).view(2, 9, 10)
    patches = patches_of(image)
    assert patches.shape == (2 * 3, 2, 64)
    torch.testing.assert_close(patches[4].view(2, 8, 8), image[:, 1:9, 1:9])
