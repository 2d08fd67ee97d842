"""CBM3D: collaborative filtering of groups of similar patches, with the noise level estimated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.learning.method import Observation, PerImageRestorer
from unpaired.metrics.noise_level import estimate_noise_std
from unpaired.systems.denoising.methods.bm3d import bm3d

# Opponent color space of CBM3D (Dabov et al., ICIP 2007): luminance first, then two color
# differences. Rows of unit length make it orthonormal, so that white noise keeps one and
# the same standard deviation in all three, and the transpose is the inverse.
OPPONENT = torch.nn.functional.normalize(
    torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]]), dim=1
)

# Below this, noise in the range [0, 1] is the rounding of float32.
NOISE_FREE_STD = torch.finfo(torch.float32).eps


def bm3d_at_unit_noise(image: Tensor) -> Tensor:
    """Remove white Gaussian noise of standard deviation 1 by BM3D (Dabov et al., TIP 2007).

    Three channels are taken as red, green and blue and filtered in opponent color space, where the
    patches are matched on luminance alone (CBM3D); with any other number, as for the planes of a
    Bayer mosaic, each channel is filtered by itself.

    image: 1 x C x H x W, float32, H and W at least 8. Returns the same shape.
    """
    if image.shape[1] != 3:
        return torch.cat([bm3d(channel) for channel in image.split(1, dim=1)], dim=1)
    opponent = OPPONENT.to(image.device)
    return mix(opponent.T, bm3d(mix(opponent, image)))


def mix(matrix: Tensor, image: Tensor) -> Tensor:
    """Return the channels that rows of a matrix, o x C, make of an image's, 1 x C x H x W."""
    return torch.einsum("oc,bchw->bohw", matrix, image)


class CBM3D(PerImageRestorer):
    """Restorer: BM3D at the noise level that ``estimate_noise_std`` finds in each observation.

    This is the blind setting in which Neighbor2Neighbor (Huang et al., CVPR 2021, Table 1) ran it.
    """

    @dataclass(frozen=True)
    class Config:
        """noise_std: of the Gaussian noise, in units of the [0, 1] range; None estimates it."""

        noise_std: float | None = None

        def __post_init__(self) -> None:
            if self.noise_std is not None and not 0 <= self.noise_std <= 1:
                raise UnpairedError(
                    f"noise_std of 'cbm3d' is in units of the [0, 1] range, got {self.noise_std}; "
                    "divide a value on the 8-bit scale by 255"
                )

    def restore(self, observation: Observation) -> Tensor:
        """Return the denoised image, 1 x C x H x W; an image without noise comes back as it is.

        Raises UnpairedError for an image too small to estimate the noise (8 x 8 or less).
        """
        image = observation.image
        noise_std = self.config.noise_std
        if noise_std is None:
            noise_std = estimate_noise_std(image[0].permute(1, 2, 0).cpu().numpy())
        if noise_std <= NOISE_FREE_STD:
            return image
        return bm3d_at_unit_noise(image / noise_std) * noise_std
