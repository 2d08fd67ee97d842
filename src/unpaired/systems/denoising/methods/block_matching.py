"""Which patches of an image look like a given one: the search that groups of BM3D begin with."""

from __future__ import annotations

import torch
from torch import Tensor

PATCH = 8
PIXELS = PATCH * PATCH


def patches_of(image: Tensor, side_px: int = PATCH) -> Tensor:
    """Return every square patch of an image, P x P.

    image: C x H x W. Returns (H - P + 1) (W - P + 1) x C x P P: one row per position of the patch's
    upper left corner, row by row.
    """
    windows = image.unfold(1, side_px, 1).unfold(2, side_px, 1)
    return windows.permute(1, 2, 0, 3, 4).reshape(-1, len(image), side_px**2)


class BlockMatcher:
    """Finds, for patches on a grid, the patches nearest in the square of positions around them.

    Distances are sums of squared differences. They come from one matrix product for a block of
    neighboring patches, whose squares overlap: |q - p|^2 = |q|^2 + (|p|^2 - 2 q p), and |q|^2 is
    the same for all that q is compared with. Its rounding is that of the squared contrast within
    the image, below the noise of a distance up to contrasts of a thousand times the noise.

    image: H x W.
    outside: (H - 7) x (W - 7), true at the positions that may not be found. So many that no square
        leaves the image: ``radius`` on each side.
    radius: half the side of the square, without its center.
    step: positions between the patches of the grid, which begins at (radius, radius).
    """

    def __init__(self, image: Tensor, outside: Tensor, radius: int, step: int) -> None:
        self.radius, self.step = radius, step
        patches = patches_of((image - image.mean())[None])[:, 0]
        norms = patches.square().sum(dim=1).masked_fill_(outside.reshape(-1), torch.inf)
        self.table = torch.cat([patches, norms[:, None]], dim=1).view(*outside.shape, PIXELS + 1)

    def nearest(self, rows: range, columns: range, count: int) -> Tensor:
        """Return where the ``count`` nearest patches of each patch of a block of the grid are.

        rows, columns: of the grid. Returns count x (len(rows) len(columns)) positions, counted row
        by row over the image; every column begins with the patch itself and goes on by distance.
        """
        side, step = 2 * self.radius + 1, self.step
        height, width = (reach(len(span), self.radius, step) for span in (rows, columns))
        top, left = rows.start * step, columns.start * step
        block = self.table[top : top + height, left : left + width]
        inner = slice(self.radius, -self.radius, step)
        queries = block[inner, inner].reshape(-1, PIXELS + 1) * -2
        queries[:, -1] = 1
        distances = queries @ block.reshape(-1, PIXELS + 1).T
        # From one patch of the grid to the next, its square moves by a step over the block.
        area = height * width
        squares = distances.as_strided(
            (len(rows), len(columns), side, side),
            (len(columns) * area + step * width, area + step, width, 1),
        )
        squares[:, :, self.radius, self.radius] = -torch.inf
        found = squares.reshape(len(queries), -1).topk(count, largest=False).indices
        across = self.table.shape[1]
        corners = torch.arange(top, top + step * len(rows), step, device=found.device)[:, None]
        corners = across * corners + torch.arange(
            left, left + step * len(columns), step, device=found.device
        )
        return (corners.view(-1, 1) + found // side * across + found % side).T


def reach(count: int, radius: int, step: int) -> int:
    """Return how many positions, in one direction, ``count`` neighbors on the grid see."""
    return (count - 1) * step + 2 * radius + 1
