"""BM3D for a person's own pictures, whose noise need not be the same in every color."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unpaired.learning.create import create
from unpaired.learning.method import Observation, Restorer
from unpaired.metrics.color_noise import ColorNoise, color_noise
from unpaired.metrics.noise_correlation import LAGS
from unpaired.systems.denoising.methods.block_matching import PATCH
from unpaired.systems.denoising.methods.bm3d import bm3d
from unpaired.systems.denoising.methods.cbm3d import CBM3D, OPPONENT, mix

# In [0, 1]: a direction of color, or a frequency, without noise is taken to have so much.
NOISE_STD_MIN = 0.001


class OwnCBM3D(CBM3D):
    """CBM3D with noise measured for every direction of color, and of neighbors, where it differs.

    On noise that is white and equal in all channels it is CBM3D.
    """

    def restore(self, observation: Observation) -> Tensor:
        """Return the denoised image, 1 x C x H x W, as `CBM3D.restore` does; scaled to [0, 1]."""
        image = observation.image
        pixels = image[0].permute(1, 2, 0).cpu().numpy()
        noise = color_noise(pixels)
        if noise is None:
            return super().restore(observation)
        covariance = np.stack([_patch_covariance(noise, color) for color in OPPONENT.numpy()])
        opponent = OPPONENT.to(image.device)
        return mix(opponent.T, bm3d(mix(opponent, image), torch.from_numpy(covariance).float()))


def create_own(name: str) -> Restorer:
    """Create a method that learns nothing in advance, for a person's own pictures."""
    return OwnCBM3D(CBM3D.Config()) if name == "cbm3d" else create(name)


def _patch_covariance(noise: ColorNoise, direction: np.ndarray) -> np.ndarray:
    """Return the covariance of the noise in a patch in a direction of color, 64 x 64.

    Covariances that were cut off at the last lag may give a power below zero, so that is raised.
    """
    rows, columns = np.divmod(np.arange(PATCH**2), PATCH)
    below, right = rows - rows[:, None], columns - columns[:, None]
    total = np.zeros((PATCH**2, PATCH**2))
    for (dy, dx), value in zip(LAGS, noise.autocovariances(direction), strict=True):
        pairs = (below == dy) & (right == dx)
        total += value * (pairs | pairs.T)
    powers, vectors = np.linalg.eigh(total)
    return (vectors * powers.clip(NOISE_STD_MIN**2)) @ vectors.T
