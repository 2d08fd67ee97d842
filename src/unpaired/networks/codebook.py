"""Vector quantization with a codebook of moving averages (van den Oord et al. 2017, appendix A)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

DECAY = 0.99  # Of the moving averages, per step.
# A code is dead when its moving average of uses is below this share of an even one. Codes take some
# hundred steps to die of disuse; all those that the very first batch hardly uses are dead at once,
# so the codebook starts as a sample of what is to be encoded.
DEAD_SHARE = 0.03


class Quantized(NamedTuple):
    """What a codebook makes of features.

    vectors: the nearest codes, of the features' shape; gradients pass to the features as they are.
    commitment: mean squared distance of the features to their codes, a scalar.
    perplexity: how many codes the batch uses, weighed by how often, from 1 to all; a scalar.
    """

    vectors: Tensor
    commitment: Tensor
    perplexity: Tensor


class Codebook(nn.Module):
    """``codes`` vectors of ``dim`` entries; B x dim x H x W features -> ``Quantized``.

    The codes are no parameters: each follows the mean of the features nearest to it, and one that
    hardly any are near to is moved to a feature drawn from the batch. A forward pass with gradients
    in training mode remembers its features, ``update`` then moves the codes.
    """

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        vectors = torch.randn(codes, dim)
        self.register_buffer("vectors", vectors)
        self.register_buffer("uses", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, dim))
        self._seen: tuple[Tensor, Tensor] | None = None

    def forward(self, features: Tensor) -> Quantized:
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.vectors.dtype)
            rows = features.permute(0, 2, 3, 1).flatten(0, 2)
            indices = self._nearest(rows.detach())
            batch, dim, height, width = features.shape
            found = self.vectors[indices].view(batch, height, width, dim).permute(0, 3, 1, 2)
            if self.training and torch.is_grad_enabled():
                self._seen = (rows.detach(), indices)
            return Quantized(
                features + (found - features).detach(),
                functional.mse_loss(features, found),
                self._perplexity(indices),
            )

    def _nearest(self, rows: Tensor) -> Tensor:
        # The rows' own squared lengths do not change which code is nearest.
        return (self.vectors.square().sum(1) - 2 * rows @ self.vectors.T).argmin(1)

    def _perplexity(self, indices: Tensor) -> Tensor:
        shares = torch.bincount(indices, minlength=len(self.vectors)) / len(indices)
        return torch.special.entr(shares).sum().exp()

    @torch.no_grad()
    def update(self) -> None:
        """Move the codes by what was last encoded; draws from the global random generator."""
        if self._seen is None:
            return
        (rows, indices), self._seen = self._seen, None
        uses = torch.bincount(indices, minlength=len(self.uses)).to(rows.dtype)
        sums = torch.zeros_like(self.sums).index_add_(0, indices, rows)
        self.uses.lerp_(_over_processes(uses), 1 - DECAY)
        self.sums.lerp_(_over_processes(sums), 1 - DECAY)
        few = DEAD_SHARE * self.uses.mean()
        dead = (self.uses < few)[:, None]
        drawn = rows[torch.randint(len(rows), (len(self.uses),), device=rows.device)]
        self.uses.clamp_(min=few)
        self.sums.copy_(torch.where(dead, drawn * few, self.sums))
        self.vectors.copy_(self.sums / self.uses[:, None])


def _over_processes(total: Tensor) -> Tensor:
    """Add up over all processes of a training; the first one's codes are then sent to all."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(total)
    return total
