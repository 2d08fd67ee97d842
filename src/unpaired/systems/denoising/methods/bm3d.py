"""BM3D: groups of similar patches, filtered together, in plain tensor operations.

Dabov, Foi, Katkovnik and Egiazarian, "Image denoising by sparse 3-D transform-domain collaborative
filtering", IEEE TIP 2007; for several channels "Color image denoising via sparse 3D collaborative
filtering with grouping constraint in luminance-chrominance space", ICIP 2007.

What makes it fast: a patch is transformed once, not once for every group that it is in. Groups
gather coefficients and give back filtered ones, and these return to pixels once per position. Tiles
bound the memory, blocks within a tile stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.systems.denoising.methods.block_matching import PATCH, BlockMatcher, patches_of, reach

# Positions between the patches that groups are made for.
STEP = 3

# The patches of a group lie at most this many positions away in each direction: 39 x 39.
RADIUS = 19

# Patches in a group of the first and of the second stage: powers of 2.
GROUP_SIZES = (16, 32)

# Coefficients below it are set to zero in the first stage, in units of the noise.
THRESHOLD = 2.7

# Noise variance of the second stage's Wiener filter. The paper has 1; less makes up for the power
# that the basic estimate has lost, by up to 0.1 dB in textures.
WIENER_VARIANCE = 0.75

# Groups, in each direction, of a block and of a tile: 2 and 100 MB with three channels.
BLOCK = 8
TILE = 48

# Each needs the memory of a tile.
THREADS_MAX = 8

# Window that weighs the pixels of a patch where patches overlap.
KAISER_BETA = 2.0

# Low-pass filters of the wavelets of BM3D's first stage (bior1.5 in the plane of a patch) and of
# both stages along the group. Source: Cohen, Daubechies and Feauveau, 1992.
BIORTHOGONAL_1_5 = (3, -3, -22, 22, 128, 128, 22, -22, -3, 3)
HAAR = (1, 1)


Item, Result = TypeVar("Item"), TypeVar("Result")


@torch.no_grad()
def bm3d(image: Tensor, covariance: Tensor | None = None) -> Tensor:
    """Remove Gaussian noise, white and of standard deviation 1 in every channel without covariance.

    Patches are matched on the first channel; the others are filtered in the same groups. A constant
    added to a channel is added to the result.

    image: 1 x C x H x W, float32, H and W at least 8. covariance: of the noise in the pixels of a
    patch, row by row, C x 64 x 64; positive on every diagonal. Returns the image's shape.
    """
    height, width = image.shape[-2:]
    # The last patches of rows and columns must be on the grid.
    below, right = (-(side - PATCH) % STEP for side in (height, width))
    # Large values would cost digits.
    mean = image.mean(dim=(2, 3), keepdim=True)
    noisy = functional.pad(image - mean, (0, right, 0, below), mode="reflect")[0]
    # A caller's autocast would round the coefficients to 8 bits.
    with torch.autocast(image.device.type, enabled=False):
        wavelets, cosines = wavelet_matrix(PATCH, BIORTHOGONAL_1_5), cosine_matrix(PATCH)
        basic = _Stage(noisy, None, wavelets, GROUP_SIZES[0], covariance).run()
        final = _Stage(noisy, basic, cosines, GROUP_SIZES[1], covariance).run()
    return final[None, :, :height, :width] + mean


class _Stage:
    """The first stage of BM3D, or with a basic estimate the second.

    noisy, basic: C x H x W, with H - 8 and W - 8 multiples of the step.
    spatial: 8 x 8, the transform of the rows and of the columns of a patch, mean first.
    group_size: patches in a group; fewer where the image has not so many.
    covariance: as for `bm3d`.
    """

    def __init__(
        self,
        noisy: Tensor,
        basic: Tensor | None,
        spatial: Tensor,
        group_size: int,
        covariance: Tensor | None,
    ) -> None:
        device = noisy.device
        positions = [side - PATCH + 1 for side in noisy.shape[1:]]
        self.grid = [(count - 1) // STEP + 1 for count in positions]
        margins = (RADIUS,) * 4
        self.noisy = functional.pad(noisy, margins)
        self.basic = None if basic is None else functional.pad(basic, margins)
        self.outside = functional.pad(torch.zeros(positions, device=device), margins, value=1) > 0
        # A patch in a corner sees the fewest others.
        visible = math.prod(min(count, RADIUS + 1) for count in positions)
        self.group_size = min(group_size, 2 ** int(math.log2(visible)))
        self.along_group = wavelet_matrix(self.group_size, HAAR).to(device)
        self.spatial = torch.kron(spatial, spatial).to(device)
        # Coefficients in units of their own noise are filtered as those of white noise are.
        self.noise_std = None
        if covariance is not None:
            self.noise_std = _coefficient_std(self.spatial, covariance.to(device))
        self.line = torch.kaiser_window(PATCH, periodic=False, beta=KAISER_BETA, device=device)
        window = torch.outer(self.line, self.line).view(-1, 1)
        inverse = torch.linalg.inv(spatial)
        self.windowed_inverse = window * torch.kron(inverse, inverse).to(device)

    def run(self) -> Tensor:
        """Return the estimate, C x H x W: the weighted mean of all filtered patches."""
        sums = torch.zeros_like(self.noisy)
        weights = self.noisy.new_zeros(len(self.noisy), 1, *self.outside.shape)
        rectangles = list(_rectangles(self.grid, TILE))
        for tile, part in _in_threads(self._filtered_tile, rectangles, self.noisy.device):
            sums[:, _with_patch(tile.heights), _with_patch(tile.widths)] += part
            weights[:, 0, tile.heights, tile.widths] += tile.weights.T.view(len(sums), *tile.shape)
        for shape in ((PATCH, 1), (1, PATCH)):
            weights = functional.conv_transpose2d(weights, self.line.view(1, 1, *shape))
        inner = slice(RADIUS, -RADIUS)
        return sums[:, inner, inner] / weights[:, 0, inner, inner]

    @torch.no_grad()
    def _filtered_tile(self, rectangle: tuple[range, range]) -> tuple[_Tile, Tensor]:
        """Return a tile whose groups are filtered, and its windowed sums."""
        rows, columns = rectangle
        heights, widths = (
            slice(span.start * STEP, span.start * STEP + reach(len(span), RADIUS, STEP))
            for span in rectangle
        )
        tile = _Tile(self, heights, widths)
        for block in _rectangles([len(rows), len(columns)], BLOCK):
            tile.filter(*block)
        part = tile.windowed_sums()
        tile.free()
        return tile, part


class _Tile:
    """Part of an image: coefficients of all its patches, and sums of filtered ones."""

    def __init__(self, stage: _Stage, heights: slice, widths: slice) -> None:
        self.stage, self.heights, self.widths = stage, heights, widths
        pixels = _with_patch(heights), _with_patch(widths)
        outside = stage.outside[heights, widths]
        self.shape = outside.shape
        self.noisy = self._coefficients(stage.noisy[:, *pixels])
        self.basic = None if stage.basic is None else self._coefficients(stage.basic[:, *pixels])
        guide = stage.noisy if stage.basic is None else stage.basic
        self.matcher = BlockMatcher(guide[0, *pixels], outside, RADIUS, STEP)
        self.sums = torch.zeros_like(self.noisy)
        self.weights = self.noisy.new_zeros(self.noisy.shape[:2])
        # Fresh memory for every block would take longer to get than to fill.
        most = stage.group_size * BLOCK**2
        self.buffers = [self.noisy.new_empty(most, *self.noisy.shape[1:]) for _ in range(3)]

    def free(self) -> None:
        """Let go of all but the weights."""
        del self.noisy, self.basic, self.sums, self.buffers, self.matcher

    def _coefficients(self, pixels: Tensor) -> Tensor:
        coefficients = patches_of(pixels) @ self.stage.spatial.T
        noise_std = self.stage.noise_std
        return coefficients if noise_std is None else coefficients.div_(noise_std)

    def filter(self, rows: range, columns: range) -> None:
        """Add the filtered patches of the groups of a block to the sums."""
        group_size = self.stage.group_size
        indices = self.matcher.nearest(rows, columns, group_size).reshape(-1)
        result, out, gains = (buffer[: len(indices)] for buffer in self.buffers)
        if self.basic is None:
            filtered, weights = self._threshold(indices, result, out)
        else:
            filtered, weights = self._wiener(indices, result, out, gains)
        inverse = self.stage.along_group.T
        torch.mm(inverse, filtered.view(group_size, -1), out=result.view(group_size, -1))
        result.view(filtered.shape).mul_(weights[..., None])
        _add_rows(self.sums, indices, result)
        _add_rows(self.weights, indices, weights.repeat(group_size, 1))

    def _threshold(self, indices: Tensor, spare: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
        """Return filtered coefficients, k x G x C x 64, and the weights of the groups, G x C.

        A group's mean is kept: where the image's zero lies has no meaning.
        """
        coefficients = self._group(self.noisy, indices, spare, out)
        means = coefficients[0, ..., 0].clone()
        torch.hardshrink(coefficients, THRESHOLD, out=coefficients)
        coefficients[0, ..., 0] = means
        kept = torch.sign(coefficients, out=spare.view(coefficients.shape)).abs_()
        return coefficients, 1 / kept.sum(dim=0).sum(dim=-1).clamp_min(1)

    def _wiener(
        self, indices: Tensor, spare: Tensor, out: Tensor, gains: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same by a Wiener filter, whose powers are those of the basic estimate."""
        power = self._group(self.basic, indices, spare, gains).square_()
        gains = power.div_(torch.add(power, WIENER_VARIANCE, out=spare.view(power.shape)))
        gains[0, ..., 0] = 1
        coefficients = self._group(self.noisy, indices, spare, out).mul_(gains)
        return coefficients, 1 / gains.square_().sum(dim=0).sum(dim=-1)

    def _group(self, coefficients: Tensor, indices: Tensor, spare: Tensor, out: Tensor) -> Tensor:
        """Gather groups of k patches and transform along k, into ``out`` as k x G x C x 64."""
        along = self.stage.along_group
        torch.index_select(coefficients, 0, indices, out=spare)
        torch.mm(along, spare.view(len(along), -1), out=out.view(len(along), -1))
        return out.view(len(along), -1, *out.shape[1:])

    def windowed_sums(self) -> Tensor:
        """Return the weighted sum of the windowed patches at every pixel, C x H x W."""
        sides = [side + PATCH - 1 for side in self.shape]
        if self.stage.noise_std is not None:
            self.sums *= self.stage.noise_std
        patches = [self.stage.windowed_inverse @ sums.T for sums in self.sums.unbind(dim=1)]
        return torch.cat([functional.fold(one[None], sides, PATCH)[0] for one in patches])


def _coefficient_std(transform: Tensor, covariance: Tensor) -> Tensor:
    """Return the standard deviation of the noise in every coefficient of a patch, C x 64."""
    return torch.einsum("ki,cij,kj->ck", transform, covariance, transform).sqrt()


def _in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], device: torch.device
) -> Iterator[Result]:
    """Yield a function's results in the order of the items, computed in PyTorch's threads.

    A thread for every tile keeps the cores busier than threads that meet after every operation,
    by far where other programs keep them busy too.
    """
    threads = min(torch.get_num_threads(), len(items), THREADS_MAX)
    if device.type != "cpu" or threads < 2:
        yield from map(function, items)
        return
    before = torch.get_num_threads()
    # What is set in a thread holds for that thread, and for those that start later.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(function, items)
    torch.set_num_threads(before)


def _with_patch(positions: slice) -> slice:
    """Return the pixels that the patches at the positions cover."""
    return slice(positions.start, positions.stop + PATCH - 1)


def _rectangles(counts: list[int], side: int) -> Iterator[tuple[range, range]]:
    """Yield rectangles, at most side x side, that cover a grid of counts[0] x counts[1]."""
    for top in range(0, counts[0], side):
        for left in range(0, counts[1], side):
            yield (
                range(top, min(top + side, counts[0])),
                range(left, min(left + side, counts[1])),
            )


def _add_rows(total: Tensor, indices: Tensor, rows: Tensor) -> None:
    """Add rows to the rows of ``total`` at the indices, which repeat, always in the same order."""
    if total.device.type == "cuda":
        # index_add_ adds in any order there; this sorts the indices first.
        total.index_put_((indices,), rows, accumulate=True)
    else:
        total.index_add_(0, indices, rows)


def cosine_matrix(size: int) -> Tensor:
    """Return the orthonormal size x size matrix of the discrete cosine transform, mean first."""
    frequencies, places = torch.arange(size)[:, None], torch.arange(size) + 0.5
    return functional.normalize(torch.cos(math.pi / size * frequencies * places), dim=1)


def wavelet_matrix(size: int, smoothing: tuple[int, ...]) -> Tensor:
    """Return the size x size matrix of a full periodic wavelet decomposition, size a power of 2.

    smoothing: taps of the low-pass analysis filter, of even length and in any unit; the high-pass
        one is Haar's difference. Rows have unit length, so white noise keeps its standard deviation
        in every coefficient. The mean comes first; the order of the others is of no account to a
        filter that treats all alike.
    """
    offsets = range(1 - len(smoothing) // 2, len(smoothing) // 2 + 1)
    rows, details = torch.eye(size), []
    while len(rows) > 1:
        details.append((rows - rows.roll(-1, 0))[::2])
        pairs = zip(offsets, smoothing, strict=True)
        rows = sum(tap * rows.roll(-offset, 0) for offset, tap in pairs)[::2]
    return functional.normalize(torch.cat([rows, *details]), dim=1)
