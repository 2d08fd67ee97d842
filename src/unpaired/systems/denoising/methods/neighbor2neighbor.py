"""Neighbor2Neighbor (Huang et al., CVPR 2021): pairs sub-sampled from single noisy images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from unpaired.core.errors import check_choice
from unpaired.core.kinds import ShareBelowOne
from unpaired.learning.denoiser import Denoiser, DenoiserConfig
from unpaired.learning.method import TrainingState
from unpaired.networks.unet import UNet

# Pixels of a 2 x 2 cell: 0 top-left, 1 top-right, 2 bottom-left, 3 bottom-right. The ordered pairs
# of horizontal or vertical neighbors; diagonal ones are never drawn (section 4.1, Figure 2).
NEIGHBOR_PAIRS = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 3), (3, 1), (2, 3), (3, 2))

EPOCHS = 100  # The paper's length; gamma is constant within an epoch.


@dataclass(frozen=True, kw_only=True)
class Neighbor2NeighborConfig(DenoiserConfig):
    """Paper, section 5.1. 100 epochs of the 44,328 images that the authors' selection keeps.

    gamma: final weight of the regularizer. The paper says it grows, the authors' code that it grows
    linearly by epoch from gamma / 100 to gamma.
    subsampler: "random" draws a pair of neighbors in every cell; "fix_location" takes two places,
    drawn once per image, of all cells (Table 4).
    """

    gamma: float = 2.0
    subsampler: str = "random"
    images_seen: int = EPOCHS * 44_328
    schedule: str = "halve_every_fifth"
    beta2: ShareBelowOne = 0.999

    def __post_init__(self) -> None:
        check_choice("neighbor2neighbor", "subsampler", self.subsampler, SUBSAMPLERS)


def draw_neighbor_pairs(image: Tensor, generators: list[Generator]) -> tuple[Tensor, Tensor]:
    """Draw for every 2 x 2 cell which two neighbors go to the two sub-images (section 4.1).

    image: B x C x H x W, H and W even; one generator per image. Returns two B x (H/2 * W/2) index
    tensors into the flattened H x W plane. One draw serves all channels.
    """
    height, width = image.shape[-2:]
    device = image.device
    cells = torch.stack(
        [
            torch.randint(
                len(NEIGHBOR_PAIRS), (height // 2, width // 2), generator=g, device=device
            )
            for g in generators
        ]
    )
    return _pixel_indices(torch.tensor(NEIGHBOR_PAIRS, device=device)[cells], width)


def draw_fixed_places(image: Tensor, generators: list[Generator]) -> tuple[Tensor, Tensor]:
    """Draw two of the four places in a cell, the same in all cells of an image (section 5.4).

    Arguments and result as for ``draw_neighbor_pairs``; the two places may be diagonal.
    """
    height, width = image.shape[-2:]
    places = torch.stack(
        [torch.randperm(4, generator=g, device=image.device)[:2] for g in generators]
    )
    cells = places[:, None, None].expand(-1, height // 2, width // 2, -1)
    return _pixel_indices(cells, width)


def _pixel_indices(places: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Turn places in cells, B x H/2 x W/2 x 2, into indices of pixels of the flattened plane."""
    rows, columns = places.shape[1:3]
    top = 2 * torch.arange(rows, device=places.device)[:, None, None]
    left = 2 * torch.arange(columns, device=places.device)[:, None]
    indices = (top + places // 2) * width + left + places % 2
    return indices[..., 0].flatten(1), indices[..., 1].flatten(1)


SUBSAMPLERS = {"random": draw_neighbor_pairs, "fix_location": draw_fixed_places}


def subsample(image: Tensor, indices: Tensor) -> Tensor:
    """Gather one pixel per cell: B x C x H x W and B x (H/2 * W/2) -> B x C x H/2 x W/2."""
    batch, channels, height, width = image.shape
    index = indices[:, None].expand(batch, channels, -1)
    picked = image.flatten(2).gather(2, index)
    return picked.view(batch, channels, height // 2, width // 2)


class Neighbor2Neighbor(Denoiser):
    """Reconstruction plus gamma times the regularizer (Equation 7, both as means)."""

    Config: ClassVar[type] = Neighbor2NeighborConfig
    config: Neighbor2NeighborConfig
    sees: ClassVar[tuple[str, ...]] = ("noisy",)

    def __init__(self, config: Neighbor2NeighborConfig) -> None:
        super().__init__(config)
        self.network = self.build_network(config)

    @staticmethod
    def build_network(config: Neighbor2NeighborConfig) -> torch.nn.Module:
        """Return the untrained network, C channels to C channels."""
        return UNet(
            config.channels,
            config.channels,
            width=config.width,
            global_residual=config.global_residual,
        )

    def gamma_at(self, fraction: float) -> float:
        """Weight of the regularizer when ``fraction`` of training is done."""
        # By whole images: 100 times the binary 0.29 falls short of 29, and an epoch began late.
        images = round(fraction * self.config.images_seen)
        epoch = min(images * EPOCHS // self.config.images_seen + 1, EPOCHS)
        return self.config.gamma * epoch / EPOCHS

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        noisy = batch["noisy"]
        generators = state.generators(batch["sample"], "neighbor_pairs")
        first, second = SUBSAMPLERS[self.config.subsampler](noisy, generators)
        with torch.no_grad():
            restored = self.network(noisy)
        gap = subsample(restored, first) - subsample(restored, second)
        difference = self.network(subsample(noisy, first)) - subsample(noisy, second)
        reconstruction = difference.square().mean()
        regularizer = (difference - gap).square().mean()
        loss = reconstruction + self.gamma_at(state.fraction) * regularizer
        return {"loss": loss, "reconstruction": reconstruction, "regularizer": regularizer}
