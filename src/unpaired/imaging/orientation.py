"""The eight orientations of an image: quarter turns and mirror images, as augmentation."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

ORIENTATIONS = 8


def orient(image: Tensor, orientation: int) -> Tensor:
    """Turn ... x P x P by ``orientation % 4`` quarters, and mirror it first from 4 on."""
    mirrored = image.flip(-1) if orientation >= 4 else image
    return mirrored.rot90(orientation % 4, (-2, -1))


def orient_at_random(generators: list[Generator], *batches: Tensor) -> list[Tensor]:
    """Turn and mirror every image of B x C x P x P at random; one generator per image.

    Images of the same place in several ``batches`` are turned alike.
    """
    drawn = [int(torch.randint(ORIENTATIONS, (), generator=g, device=g.device)) for g in generators]
    return [
        torch.stack([orient(image, o) for image, o in zip(batch, drawn, strict=True)])
        for batch in batches
    ]


def mirror_at_random(generators: list[Generator], *batches: Tensor) -> list[Tensor]:
    """Mirror every image of B x C x H x W left to right, or not; one generator per image.

    Images of the same place in several ``batches`` are mirrored alike.
    """
    drawn = [bool(torch.randint(2, (), generator=g, device=g.device)) for g in generators]
    mirrored = torch.tensor(drawn, device=batches[0].device).view(-1, 1, 1, 1)
    return [torch.where(mirrored, batch.flip(-1), batch) for batch in batches]
