"""The ab plane of CIE Lab cut into the 313 bins of Zhang 2018 (chapter 2), and what is done there.

A bin is the center of a 10 x 10 square. Which squares belong is a table, since no rule about the
gamut gives it; the order of bins is that of the authors' list. ab are in Lab units everywhere.

A bin's neighbors are looked up on a fine regular grid: for every cell of it the few bins that can
be among the K nearest of any point in the cell are known beforehand, so that nobody has to be
compared with 313. The lists follow from distances to the cell's nearest and farthest points and
leave nothing out, so the result is that of the full search.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.core.files import atomic_path
from unpaired.imaging.color.temperature import TEMPERATURE, check_temperature

BIN_SIDE = 10
# a: the first and the last b.
B_RANGE_OF_A = {
    -90: (50, 90),
    -80: (20, 90),
    -70: (0, 90),
    -60: (-20, 90),
    -50: (-30, 100),
    -40: (-40, 100),
    -30: (-50, 100),
    -20: (-50, 100),
    -10: (-60, 100),
    0: (-70, 100),
    10: (-80, 90),
    20: (-80, 90),
    30: (-90, 90),
    40: (-100, 90),
    50: (-100, 80),
    60: (-110, 80),
    70: (-110, 80),
    80: (-110, 70),
    90: (-110, 70),
    100: (-90, 0),
}
CENTERS = np.array(
    [(a, b) for a, (first, last) in B_RANGE_OF_A.items() for b in range(first, last + 1, BIN_SIDE)],
    dtype=np.float32,
)  # 313 x 2
BINS = len(CENTERS)

NEIGHBORS = 10  # of the authors' code, which made the printed numbers; section 2.2.1 says 5
SIGMA = 5.0
AB_MAX = 128.0  # sRGB reaches from -108 to 99
CELL_SIDE = 1.25
CELLS_PER_AXIS = round(2 * AB_MAX / CELL_SIDE) + 1
ROUNDING = 1e-3  # a cell is thought larger by this, for points that rounding puts next to it
PIXELS_AT_ONCE = 1 << 17  # bounds memory; less would make threads wait for each other often
PRIOR_SUM_TOLERANCE = 1e-3


class SoftCode(NamedTuple):
    """A distribution over the bins that is zero but for K of them.

    bins: B x K x H x W, int64, the nearest first. weights: the same shape, sum to 1 over K.
    """

    bins: Tensor
    weights: Tensor

    @property
    def nearest(self) -> Tensor:
        """B x H x W, int64: the bin with the largest weight."""
        return self.bins[:, 0]


def centers(device: torch.device | str = "cpu") -> Tensor:
    """Return the ab of every bin: 313 x 2, float32."""
    return _centers(str(device))


@lru_cache(maxsize=8)
def _centers(device: str) -> Tensor:
    with torch.inference_mode(False):  # What is kept must also serve where gradients are needed.
        return torch.from_numpy(CENTERS).to(device)


# ---- Encoding -----------------------------------------------------------------------------------


def soft_encode(ab: Tensor, neighbors: int = NEIGHBORS, sigma: float = SIGMA) -> SoftCode:
    """Return the K nearest bins of every pixel and exp(-d^2 / (2 sigma^2)), normalized over them.

    ab: B x 2 x H x W. Bins at the same distance come in any order, and any of them may be the last.
    Raises UnpairedError for ab that are not finite or beyond AB_MAX, for K outside 1 .. 313 and for
    a sigma that is not positive.
    """
    _check(ab, neighbors, sigma)
    batch, _, height, width = ab.shape
    ab = ab.detach().to(torch.promote_types(ab.dtype, torch.float32))
    a, b = (plane.reshape(-1, 1) for plane in ab.unbind(1))
    bins = torch.empty((len(a), neighbors), dtype=torch.int64, device=ab.device)
    weights = torch.empty((len(a), neighbors), dtype=ab.dtype, device=ab.device)
    candidates = _candidates(neighbors, str(ab.device))
    for start in range(0, len(a), PIXELS_AT_ONCE):
        part = slice(start, start + PIXELS_AT_ONCE)
        bins[part], squares = _nearest(a[part], b[part], candidates, neighbors)
        # Relative to the nearest one: far from all bins every exponential would vanish.
        torch.exp((squares[:, :1] - squares) / (2 * sigma**2), out=weights[part])
        weights[part] /= weights[part].sum(1, keepdim=True)
    shape = (batch, height, width, neighbors)
    return SoftCode(bins.view(shape).movedim(-1, 1), weights.view(shape).movedim(-1, 1))


def hard_encode(ab: Tensor) -> Tensor:
    """Return the nearest bin of every pixel of B x 2 x H x W: B x H x W, int64.

    Raises UnpairedError as `soft_encode` does.
    """
    return soft_encode(ab, 1).nearest


def _nearest(
    a: Tensor, b: Tensor, candidates: _Candidates, neighbors: int
) -> tuple[Tensor, Tensor]:
    """Return the nearest bins of N points, N x 1 each, and their squared distances: N x K."""
    row, column = (((plane[:, 0] + AB_MAX) / CELL_SIDE).int() for plane in (a, b))
    cell = row * CELLS_PER_AXIS + column
    squares = (candidates.a.index_select(0, cell) - a).square_()
    squares += (candidates.b.index_select(0, cell) - b).square_()
    # Sorting a dozen values is faster than finding the K smallest of them.
    squares, order = squares.sort(dim=1, stable=True)
    bins = candidates.bins.index_select(0, cell).gather(1, order[:, :neighbors])
    return bins, squares[:, :neighbors]


def _check(ab: Tensor, neighbors: int, sigma: float) -> None:
    if not (math.isfinite(sigma) and sigma > 0):
        raise UnpairedError(f"soft encoding: sigma must be positive, not {sigma}")
    if not 1 <= neighbors <= BINS:
        raise UnpairedError(f"soft encoding: neighbors must be 1 to {BINS}, not {neighbors}")
    if ab.numel() == 0:
        return
    low, high = (float(value) for value in ab.aminmax())
    if not (low >= -AB_MAX and high <= AB_MAX):  # also true of NaN
        raise UnpairedError(
            f"ab values from {low:.4g} to {high:.4g}: they must be finite and within +-{AB_MAX:g}, "
            "as CIE Lab of an sRGB picture is"
        )


class _Candidates(NamedTuple):
    """All bins that can be among the K nearest of a point in a cell, and their a and b.

    cells x M each, M as many as the fullest cell needs. The others are filled up with the bins that
    are next, which changes nothing.
    """

    bins: Tensor
    a: Tensor
    b: Tensor


@lru_cache(maxsize=16)
def _candidates(neighbors: int, device: str) -> _Candidates:
    axis = (np.arange(CELLS_PER_AXIS) + 0.5) * CELL_SIDE - AB_MAX
    half = CELL_SIDE / 2 + ROUNDING
    offsets = np.abs(axis[:, None, None] - CENTERS)  # cells of an axis x bins x (a, b)
    near, far = np.maximum(offsets - half, 0) ** 2, (offsets + half) ** 2
    lists, counts = [], []
    for row in range(CELLS_PER_AXIS):
        nearest = near[row, :, 0] + near[:, :, 1]  # cells of the row x bins
        farthest = far[row, :, 0] + far[:, :, 1]
        # K bins are no farther than this wherever the point lies: whoever starts beyond is out.
        reach = np.partition(farthest, neighbors - 1, axis=1)[:, neighbors - 1, None]
        counts.append((nearest <= reach).sum(1).max())
        lists.append(np.argsort(nearest, axis=1, kind="stable"))
    together = np.concatenate(lists)[:, : max(counts)]
    a, b = np.moveaxis(CENTERS[together], -1, 0).copy()
    with torch.inference_mode(False):
        return _Candidates(*(torch.from_numpy(array).to(device) for array in (together, a, b)))


# ---- Decoding -----------------------------------------------------------------------------------


def decode(
    logits: Tensor, temperature: float = TEMPERATURE, of_bins: Tensor | None = None
) -> Tensor:
    """Return the annealed mean of the distributions softmax(logits) (Equation 2.5).

    logits: B x 313 x H x W, or logarithms of probabilities. temperature: 1 gives the mean, 0 the
    mode, between them the mean of the distribution raised to 1 / T. The authors' network multiplies
    by 2.606, a T of 0.3837. of_bins: the ab of every bin, 313 x 2, their centers if None. Returns
    ab, B x 2 x H x W, float32 at least.
    Raises UnpairedError for a temperature below 0 or not finite.
    """
    check_temperature(temperature)
    if temperature == 0:
        return bins_to_ab(logits.argmax(1), of_bins)
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # The largest first becomes 0: divided by a tiny temperature it would overflow.
    annealed = torch.softmax((wide - wide.amax(1, keepdim=True)) / temperature, dim=1)
    return mean_ab(annealed, of_bins)


def mean_ab(distribution: Tensor, of_bins: Tensor | None = None) -> Tensor:
    """Return the mean ab, B x 2 x H x W, of B x 313 x H x W that sums to 1 over the bins.

    of_bins: as `decode` takes it.
    """
    with torch.autocast(distribution.device.type, enabled=False):
        of_bins = centers(distribution.device) if of_bins is None else of_bins
        weights = of_bins.T.to(distribution.dtype)
        return torch.einsum("cq,bqhw->bchw", weights, distribution)


def bins_to_ab(bins: Tensor, of_bins: Tensor | None = None) -> Tensor:
    """Return the ab, B x 2 x H x W, of bins B x H x W; of_bins: as `decode` takes it."""
    of_bins = centers(bins.device) if of_bins is None else of_bins
    return of_bins[bins].movedim(-1, 1)


def soft_cross_entropy(logits: Tensor, code: SoftCode) -> Tensor:
    """Return -sum_q z_q log softmax(logits)_q of every pixel (Equation 2.2): B x H x W.

    logits: B x 313 x H x W. The 313 channels of the target z never exist.
    """
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    at_bins = wide.gather(1, code.bins)
    return wide.logsumexp(1) - (code.weights.to(wide.dtype) * at_bins).sum(1)


# ---- Prior and class weights --------------------------------------------------------------------


def smoothed_prior(
    pictures: Iterable[Tensor], neighbors: int = NEIGHBORS, sigma: float = SIGMA
) -> Tensor:
    """Return the mean soft code of all pixels of all pictures: 313, float64, sums to 1.

    pictures: ab, B x 2 x H x W each; one at a time is held. By its author, the published prior was
    smoothed like this, with the Gaussian of the soft targets.
    Raises UnpairedError if there are no pixels.
    """
    total, pixels = torch.zeros(BINS, dtype=torch.float64), 0
    for ab in pictures:
        code = soft_encode(ab, neighbors, sigma)
        bins, weights = code.bins.flatten().cpu(), code.weights.flatten().double().cpu()
        total += torch.bincount(bins, weights, minlength=BINS)
        pixels += code.nearest.numel()
    if not pixels:
        raise UnpairedError("a color prior needs pictures: the data set holds none")
    return total / total.sum()


def class_weights(prior: Tensor, uniform_share: float = 0.5) -> Tensor:
    """Return w = ((1 - lambda) p + lambda u)^-1, scaled to a mean of 1 under p (Equation 2.4).

    prior: 313. uniform_share: lambda; 1 makes all weights 1, 0 is the rebalanced metric.
    u is uniform over the bins with p > 0, as in the authors' code. An empty bin gets the weight
    that a bin has in the limit of p = 0: infinity if lambda is 0.
    Returns 313, float64. Raises UnpairedError for lambda outside [0, 1] and for a bad prior.
    """
    if not 0 <= uniform_share <= 1:
        raise UnpairedError(f"the rebalancing lambda must be between 0 and 1, not {uniform_share}")
    prior = checked_prior(prior, "the color prior")
    filled = prior > 0
    mixed = (1 - uniform_share) * prior + uniform_share / filled.sum()
    weights = 1 / mixed
    return weights / (prior * weights)[filled].sum()


def weights_of(bins: Tensor, weights: Tensor) -> Tensor:
    """Return the weight of every pixel's bin, of the shape of ``bins``.

    Raises UnpairedError where a pixel falls into an empty bin that has no finite weight.
    """
    found = weights.to(bins.device)[bins]
    if not found.isfinite().all():
        lost = torch.unique(bins[~found.isfinite()])
        a, b = CENTERS[int(lost[0])]
        raise UnpairedError(
            f"{len(lost)} colors (the first: a = {a:g}, b = {b:g}) are empty in the color prior "
            "and have no weight at lambda 0; use the prior of more pictures or a larger lambda"
        )
    return found


def checked_prior(prior: Tensor, name: str) -> Tensor:
    """Return ``prior`` as 313 float64 that sum to exactly 1.

    Raises UnpairedError, naming ``name``, if it is of another bin set or no distribution.
    """
    if prior.shape != (BINS,):
        shape = " x ".join(map(str, prior.shape)) or "no"
        raise UnpairedError(
            f"{name}: {shape} values, a prior of another bin set; it must hold {BINS}, in the "
            "order of the authors' list"
        )
    prior = prior.double()
    total = float(prior.sum())
    if not (prior >= 0).all() or not abs(total - 1) < PRIOR_SUM_TOLERANCE:
        raise UnpairedError(
            f"{name}: not probabilities (least {float(prior.min()):.3g}, sum {total:.4g}); "
            "make it again from the data set"
        )
    return prior / prior.sum()


def load_prior(path: Path) -> Tensor:
    """Return the prior of a .npy file, such as the authors' ``prior_probs.npy``: 313, float64.

    The authors' file is in the order of the bins here, but it is not how often natural pictures
    have these colors: 82 % of it lie in nine bins, eight of them corners of the bin set such as
    (-90, 90), and 1e-4 beside the 0.046 of gray, where smoothing alone would leave a seventh. No
    other order can mend that. It looks like colors that were multiplied before they were counted:
    of 120 photographs of BSDS500 the relative entropy from file to soft-encoded histogram is 11.9
    for ab as they are, 0.3 for 20 to 100 times their ab, 1.3 if a and b are swapped as well.
    (Figure 2.3 of the thesis shows most pixels near gray.) So a training with it weights colors
    otherwise than Equation 2.4 means; whether the printed numbers were made so is not known.

    Nothing is unpickled. Raises UnpairedError, naming the file, if it is missing, no array of
    numbers, of another bin set or no distribution.
    """
    path = Path(path)
    if not path.is_file():
        raise UnpairedError(f"{path}: no such color prior; name a .npy file of {BINS} numbers")
    try:
        values = np.load(path, allow_pickle=False)
        prior = torch.from_numpy(np.asarray(values, dtype=np.float64))
    except (ValueError, TypeError, EOFError, OSError) as error:
        raise UnpairedError(
            f"{path}: not an array of numbers ({error}); name a .npy file of {BINS} of them"
        ) from None
    return checked_prior(prior, str(path))


def save_prior(path: Path, prior: Tensor) -> None:
    """Write a prior for `load_prior`, complete or not at all."""
    with atomic_path(path) as aside, open(aside, "wb") as file:
        np.save(file, checked_prior(prior, str(path)).cpu().numpy(), allow_pickle=False)


def distribution_of(code: SoftCode) -> Tensor:
    """Return a soft code with all its zeros: B x 313 x H x W."""
    batch, _, height, width = code.bins.shape
    dense = code.weights.new_zeros(batch, BINS, height, width)
    return dense.scatter_(1, code.bins, code.weights)
