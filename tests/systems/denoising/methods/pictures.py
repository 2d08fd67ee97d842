"""A photograph, noise on it, and how far a restored one is from it: for tests of methods."""

from __future__ import annotations

import skimage.data
import torch
from torch import Tensor


def photograph(top: int, left: int, side: int) -> Tensor:
    """Return a square of a real photograph, 1 x 3 x side x side in [0, 1]."""
    pixels = skimage.data.astronaut()[top : top + side, left : left + side].copy()
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255


def with_noise(clean: Tensor, noise_std: float) -> Tensor:
    """Return the image with Gaussian noise, the same for the same shape."""
    generator = torch.Generator().manual_seed(0)
    return clean + noise_std * torch.randn(clean.shape, generator=generator)


def psnr_db(image: Tensor, clean: Tensor) -> float:
    return -10 * torch.log10((image.clamp(0, 1) - clean).square().mean()).item()
