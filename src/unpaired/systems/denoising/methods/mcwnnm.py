"""MCWNNM: groups of similar patches as matrices of low rank, every color channel by its own noise.

Xu, Zhang, Zhang and Feng, "Multi-channel Weighted Nuclear Norm Minimization for Real Color Image
Denoising", ICCV 2017; settings are those of the authors' demo on real pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.learning.method import Observation, PerImageRestorer
from unpaired.metrics.noise_level import estimate_noise_std
from unpaired.systems.denoising.methods.block_matching import patches_of

# A channel counts as no cleaner than this, in units of the [0, 1] range: weights are ratios.
STD_MIN = 1e-4
ESTIMATION_STRIDE = 3
# Groups that are computed at once: 4 MB for each matrix of theirs.
GROUPS = 128
FEWER = 10


@dataclass(frozen=True)
class MCWNNMConfig:
    """Everything in pixels, or without a unit.

    rounds: how often all groups are formed and filtered, each time from the last result.
    patches: in a group of the first round; in every further one there are 10 fewer.
    patch_px, step_px: side of a patch, and between the patches that groups are formed around.
    radius_px: half the side of the square of positions that a group is searched in.
    iterations: of the alternating direction method of multipliers. penalty: its rho.
    noise_factor: on the noise that is left after the first round.
    """

    rounds: int = 2
    patches: int = 70
    patch_px: int = 6
    step_px: int = 5
    radius_px: int = 20
    iterations: int = 10
    penalty: float = 6.0
    noise_factor: float = 1.5

    def __post_init__(self) -> None:
        if self.step_px > self.patch_px:
            raise UnpairedError("step_px of 'mcwnnm' must be patch_px at most")
        if self.patches <= FEWER * (self.rounds - 1):
            raise UnpairedError(
                f"patches of 'mcwnnm' must be more than {FEWER * (self.rounds - 1)} for "
                f"{self.rounds} rounds"
            )


class MCWNNM(PerImageRestorer):
    """Restorer: the noise of every channel is estimated from the picture (Chen et al. 2015)."""

    Config = MCWNNMConfig
    config: MCWNNMConfig

    @torch.no_grad()
    def restore(self, observation: Observation) -> Tensor:
        """Return the denoised image, 1 x C x H x W.

        Raises UnpairedError for an image too small to estimate the noise.
        """
        noisy = observation.image[0]
        stds = noisy.new_tensor(
            [
                estimate_noise_std(
                    channel.cpu().numpy(), ESTIMATION_STRIDE, patch_px=self.config.patch_px
                )
                for channel in noisy
            ]
        ).clamp(min=STD_MIN)
        with torch.autocast(noisy.device.type, enabled=False):
            result = noisy
            for number in range(self.config.rounds):
                result = self._round(noisy, result, stds, number)
        return result[None]

    def _round(self, noisy: Tensor, current: Tensor, stds: Tensor, number: int) -> Tensor:
        """Return the mean of all filtered patches, C x H x W."""
        config, side = self.config, self.config.patch_px
        patches = patches_of(current, side)
        left_std = stds.expand(len(patches), -1)
        if number:
            changes = (patches_of(noisy, side) - patches).square().mean(2)
            left = (stds.square() - changes).clamp(min=0).sqrt()
            left_std = (config.noise_factor * left).clamp(min=STD_MIN)
        flat = patches.flatten(1)
        sums, counts = torch.zeros_like(flat), flat.new_zeros(len(flat), 1)
        count = config.patches - FEWER * number
        for groups in self._groups(flat, current.shape[1:], count):
            matrices = flat[groups].transpose(1, 2)
            means = matrices.mean(2, keepdim=True)
            found = low_rank(
                matrices - means,
                left_std[groups[:, 0]],
                penalty=config.penalty,
                iterations=config.iterations,
            )
            positions = groups.flatten()
            sums.index_add_(0, positions, (found + means).transpose(1, 2).flatten(0, 1))
            counts.index_add_(0, positions, counts.new_ones(len(positions), 1))
        height, width = current.shape[1:]
        both = torch.cat([sums, counts.expand(-1, side * side)], dim=1).T[None]
        together = functional.fold(both, (height, width), side)[0]
        return together[:-1] / together[-1:]

    def _groups(self, patches: Tensor, size: tuple[int, int], count: int) -> Iterator[Tensor]:
        """Yield positions of similar patches, B x M, the patch itself first; M is ``count``, or
        as many as the smallest square holds.
        """
        config = self.config
        across = [length - config.patch_px + 1 for length in size]
        rows, columns = (_grid(length, config.step_px) for length in across)
        count = min(count, math.prod(min(length, config.radius_px + 1) for length in across))
        table = patches.view(*across, -1)
        found = [self._row(table, row, columns, count) for row in rows]
        yield from torch.cat(found).split(GROUPS)

    def _row(self, table: Tensor, row: int, columns: list[int], count: int) -> Tensor:
        """Return the groups around the patches of one row of the grid."""
        height, width = table.shape[:2]
        radius = self.config.radius_px
        top, below = max(0, row - radius), min(height, row + radius + 1)
        own, others = table[row, columns], table[top:below].flatten(0, 1)
        distances = torch.cdist(own[None], others[None])[0].view(len(columns), -1, width)
        place = torch.arange(width, device=table.device)
        far = (place - place[columns, None]).abs() > radius
        distances.masked_fill_(far[:, None], torch.inf)
        distances[torch.arange(len(columns)), row - top, columns] = -1
        return distances.flatten(1).topk(count, largest=False).indices + top * width


def _grid(length: int, step: int) -> list[int]:
    """Return every ``step``-th position and the last one."""
    return sorted({*range(0, length, step), length - 1})


def low_rank(noisy: Tensor, stds: Tensor, *, penalty: float, iterations: int) -> Tensor:
    """Return X of small |W (noisy - X)|^2 + |X|_w, a weighted nuclear norm (Equations 4 to 12).

    noisy: B x (C P P) x M, patches as columns, their means taken out. stds: B x C, of the noise; W
    weighs a channel by one over its deviation. The multipliers' method splits X from Z, which has
    low rank, and Z is what is returned. Both begin at 0, and few iterations leave a part of it.
    """
    least = stds.min(1, keepdim=True).values
    weights = (
        (least / stds).square().repeat_interleave(noisy.shape[1] // stds.shape[1], 1)[..., None]
    )
    constant = 2 * math.sqrt(2 * noisy.shape[2]) * least.square() * 2 / penalty
    low, multipliers = torch.zeros_like(noisy), torch.zeros_like(noisy)
    for _ in range(iterations):
        near = (weights * noisy + penalty / 2 * low - multipliers / 2) / (weights + penalty / 2)
        low = shrunk(near + multipliers / penalty, constant)
        multipliers += penalty * (near - low)
    return low


def shrunk(matrices: Tensor, constant: Tensor) -> Tensor:
    """Return matrices whose singular values s became (s + sqrt(s^2 - 4 c)) / 2, or 0 if s^2 < 4 c.

    That is the limit of weights c / s that follow s (Gu et al. 2014, Corollary 1). matrices:
    B x R x M. constant: B x 1. Right singular vectors come from the matrix times its transpose,
    M x M, which costs half of a decomposition.
    """
    squares, vectors = torch.linalg.eigh(matrices.transpose(1, 2) @ matrices)
    values = squares.clamp(min=0).sqrt()
    inside = squares - 4 * constant
    kept = torch.where(inside >= 0, (values + inside.clamp(min=0).sqrt()) / 2, 0)
    factors = kept / values.clamp(min=torch.finfo(values.dtype).tiny)
    return (matrices @ vectors * factors[:, None]) @ vectors.transpose(1, 2)
