"""Pictures mirrored left to right or not, each by its own generator."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def mirrored(pictures: Tensor, generators: list[Generator]) -> Tensor:
    """Return B x C x H x W with every picture mirrored with a chance of one half."""
    drawn = [bool(torch.randint(2, (), generator=g, device=g.device)) for g in generators]
    flipped = torch.tensor(drawn, device=pictures.device).view(-1, 1, 1, 1)
    return torch.where(flipped, pictures.flip(-1), pictures)
