"""Gaussian statistics per pixel: how likely a noisy pixel is, and what the clean one then was.

All of it in float64, as in the code of Laine et al. 2019: a likelihood grows with the inverse of
variances that may be tiny. Matrices are C x C over the channels of one pixel, and C is small, so
the factorization is written out over channels and every step of it runs over all pixels at once.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Added to the diagonal of covariances before they are inverted, as in the authors' code.
JITTER = 1e-6

# An unknown noise parameter is softplus(raw - 4) + 1e-3 of what a network says. A raw value of 0 is
# 0.019: a standard deviation of 5 on the 8-bit scale, or 52 photons.
RAW_SHIFT = 4
NOISE_PARAMETER_MIN = 1e-3


def in_float64(tensor: Tensor) -> Tensor:
    """Return the tensor in float64; on the CPU if its device has none (Apple's MPS)."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def noise_parameter(raw: Tensor) -> Tensor:
    """Return a positive standard deviation, or 1 / photon count, of any raw value; float64."""
    return functional.softplus(in_float64(raw) - RAW_SHIFT) + NOISE_PARAMETER_MIN


def raw_of(parameter: Tensor) -> Tensor:
    """Return the raw value that ``noise_parameter`` turns into ``parameter``."""
    above = (parameter - NOISE_PARAMETER_MIN).clamp_min(NOISE_PARAMETER_MIN)
    return RAW_SHIFT + above.expm1().log()


def factor_entries(channels: int) -> int:
    """Return the number of entries of an upper triangular ``channels`` x ``channels`` matrix."""
    return channels * (channels + 1) // 2


def covariance_from_factor(entries: Tensor, channels: int) -> Tensor:
    """Return A A^T of upper triangular matrices A (Laine et al. 2019, section 3).

    entries: B x C(C+1)/2 x H x W, the rows of A one after another. Returns B x C x C x H x W,
    float64, positive semi-definite whatever the entries.
    """
    planes = iter(in_float64(entries).unbind(1))
    factor = [[next(planes) for _ in range(row, channels)] for row in range(channels)]

    def covariance(row: int, column: int) -> Tensor:
        shared = range(max(row, column), channels)
        return sum(factor[row][k - row] * factor[column][k - column] for k in shared)

    lower = [[covariance(row, column) for column in range(row + 1)] for row in range(channels)]
    full = [
        lower[max(row, column)][min(row, column)]
        for row in range(channels)
        for column in range(channels)
    ]
    return torch.stack(full, dim=1).unflatten(1, (channels, channels))


def diagonal_covariance(variances: Tensor) -> Tensor:
    """Return the covariances of independent channels, float64.

    variances: B x C x H x W, or B x C x 1 x 1 if they are the same everywhere. Returns
    B x C x C x H x W or B x C x C x 1 x 1.
    """
    return torch.diag_embed(in_float64(variances).movedim(1, -1), dim1=1, dim2=2)


def negative_log_likelihood(noisy: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Return 1/2 log det S + 1/2 d^T S^-1 d with d = noisy - mean, without the constant.

    Laine et al. 2019, section 3. noisy, mean: B x C x H x W. covariance: B x C x C x H x W, of the
    noisy image (the clean one's plus the noise's), positive definite. Returns B x 1 x H x W,
    float64.
    """
    # The authors' code leaves both halves out where there is one channel: twice this loss.
    lower, pivots = _factorize(covariance)
    whitened = _solve_lower(lower, (in_float64(noisy) - in_float64(mean)).unbind(1))
    terms = [
        pivot.log() + value.square() / pivot for pivot, value in zip(pivots, whitened, strict=True)
    ]
    return sum(terms).unsqueeze(1) / 2


def posterior_mean(
    noisy: Tensor, mean: Tensor, clean_covariance: Tensor, noise_covariance: Tensor
) -> Tensor:
    """Return the mean of the clean pixel given its prior and the noisy pixel.

    (Sx^-1 + Sn^-1)^-1 (Sx^-1 mean + Sn^-1 noisy), Laine et al. 2019, section 3, with 1e-6 added to
    the diagonals of Sx and Sn. noisy, mean: B x C x H x W. clean_covariance Sx, noise_covariance
    Sn: B x C x C x H x W or x 1 x 1, positive semi-definite. Returns B x C x H x W, float32.
    """
    # The same as mean + Sx (Sx + Sn)^-1 (noisy - mean), which needs no inverse of a nearly singular
    # Sx. The authors also add 1e-6 to the outer sum, the inverse of the posterior covariance. That
    # changes the result by a millionth of a variance below 1: nothing in float32.
    channels = noisy.shape[1]
    jitter = JITTER * torch.eye(channels, dtype=torch.float64, device=clean_covariance.device)
    clean_covariance = clean_covariance + jitter[..., None, None]
    total = clean_covariance + noise_covariance + jitter[..., None, None]
    mean = in_float64(mean)
    weights = _solve(total, in_float64(noisy) - mean)
    restored = mean + (clean_covariance * weights.unsqueeze(1)).sum(2)
    return restored.float().to(noisy.device)


def _factorize(matrix: Tensor) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Factorize symmetric matrices into L D L^T, a Cholesky factorization without square roots.

    matrix: B x C x C x H x W, of which the lower triangle is read. Returns L without its diagonal
    of ones, as rows of planes, and the diagonal of D; every plane is B x H x W.
    """
    # Unbound at once: the gradient of one entry picked by index would fill a whole matrix.
    planes = [row.unbind(1) for row in matrix.unbind(1)]
    lower: list[list[Tensor]] = []
    pivots: list[Tensor] = []
    for row, entries in enumerate(planes):
        scaled: list[Tensor] = []  # This row of L D, left of the diagonal.
        for column in range(row):
            scaled.append(entries[column] - _dot(scaled, lower[column]))
        lower.append([value / pivot for value, pivot in zip(scaled, pivots, strict=True)])
        pivots.append(entries[row] - _dot(scaled, lower[row]))
    return lower, pivots


def _dot(left: list[Tensor], right: list[Tensor]) -> Tensor | int:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _solve_lower(lower: list[list[Tensor]], right: tuple[Tensor, ...]) -> list[Tensor]:
    """Solve L z = right, one plane per channel."""
    solved: list[Tensor] = []
    for row, value in zip(lower, right, strict=True):
        solved.append(value - _dot(row, solved))
    return solved


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve matrix x = right: B x C x C x H x W and B x C x H x W -> B x C x H x W."""
    lower, pivots = _factorize(matrix)
    whitened = _solve_lower(lower, right.unbind(1))
    solved = [value / pivot for value, pivot in zip(whitened, pivots, strict=True)]
    for row in reversed(range(len(lower))):
        for column in range(row):
            solved[column] = solved[column] - lower[row][column] * solved[row]
    return torch.stack(torch.broadcast_tensors(*solved), dim=1)
