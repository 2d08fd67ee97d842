"""Noise2Self (Batson and Royer, ICML 2019): a grid of pixels is predicted from all the others."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.learning.denoiser import Denoiser, DenoiserConfig
from unpaired.learning.method import Observation, TrainingState
from unpaired.networks.dncnn import DnCNN

# Weights of the eight neighbors that a masked pixel is interpolated from, before normalization.
NEIGHBOR_WEIGHTS = ((0.5, 1.0, 0.5), (1.0, 0.0, 1.0), (0.5, 1.0, 0.5))


@dataclass(frozen=True, kw_only=True)
class Noise2SelfConfig(DenoiserConfig):
    """Network of the authors' notebook for photographs, training of the one that has a data set.

    The first ("Single-Shot Denoising") fits an 8-layer DnCNN to one picture, the second
    ("Intro to Self-Supervised Neural Nets") trains on digits by Adam with 1e-3 and batches of 32;
    both take a grid of 4, where the default of the code is 3. How long a training on photographs
    lasts they do not say: it is as long as that of the supervised reference. In the paper's own
    runs the masks were random, of density 1/25, and filled at random; the authors saw no large
    difference (issue 11 of their repository).

    grid_px: one pixel of every grid_px x grid_px is masked. depth: convolutions of the DnCNN.
    """

    width: int = 64
    batch_size: int = 32
    learning_rate: PositiveNumber = 1e-3
    beta2: ShareBelowOne = 0.999
    grid_px: int = 4
    depth: int = 8

    def __post_init__(self) -> None:
        if self.grid_px < 2 or self.depth < 2:
            raise UnpairedError(
                "noise2self: grid_px and depth must be at least 2, got "
                f"grid_px = {self.grid_px}, depth = {self.depth}"
            )


def grid_at(phase: int, grid_px: int) -> tuple[EllipsisType, slice, slice]:
    """Return the index of the pixels that are masked together in an image, ... x H x W.

    Phase i is row (i mod grid_px) and column (i // grid_px mod grid_px) of every cell, so
    grid_px^2 phases in a row cover every pixel once.
    """
    return (
        ...,
        slice(phase % grid_px, None, grid_px),
        slice(phase // grid_px % grid_px, None, grid_px),
    )


def interpolate(image: Tensor) -> Tensor:
    """Return the weighted mean of the neighbors of every pixel, B x C x H x W, sides of 2 or more.

    Each channel by itself; at the borders over the neighbors that exist. The authors' code counts
    zeros from beyond the border, which darkens it, and sums over channels.
    """
    channels = image.shape[1]
    weights = image.new_tensor(NEIGHBOR_WEIGHTS).expand(channels, 1, 3, 3)
    # Autocast would round the image to the 8 significant bits of bf16.
    with torch.autocast(image.device.type, enabled=False):
        total = functional.conv2d(image, weights, padding=1, groups=channels)
        weight = functional.conv2d(torch.ones_like(image[:1, :1]), weights[:1], padding=1)
        return total / weight


class Noise2Self(Denoiser):
    """Mean squared error at the masked pixels.

    Read-outs: "invariant" merges the predictions of all pixels, each made without it, as the
    authors' code does by default; "direct" is one pass over the image as it is, which the authors
    also offer. "invariant" comes first because no printed number tells the two apart (LUD-VAE's for
    Noise2Self does not say which it is), and because it holds in both forms of the network: with
    ``global_residual`` the correction is learned for interpolated pixels, and a direct pass adds it
    to noisy ones.
    """

    Config: ClassVar[type] = Noise2SelfConfig
    config: Noise2SelfConfig
    sees: ClassVar[tuple[str, ...]] = ("noisy",)
    read_outs: ClassVar[tuple[str, ...]] = ("invariant", "direct")

    def __init__(self, config: Noise2SelfConfig) -> None:
        super().__init__(config)
        self.network = DnCNN(
            config.channels,
            depth=config.depth,
            width=config.width,
            bias=False,
            residual=config.global_residual,
        )
        if config.global_residual:
            # Starts at the interpolation itself: from a random correction, a training of minutes
            # only gets back to it.
            nn.init.zeros_(self.network.last.weight)

    @property
    def margin_px(self) -> int:
        """Context of the network and, for masked pixels, of the interpolation."""
        return self.network.margin_px + 1

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        noisy, grid = batch["noisy"], grid_at(state.step, self.config.grid_px)
        predicted = self._predict(noisy, interpolate(noisy), grid)
        # Over the masked pixels; the authors' mean also counts the others, as zeros.
        return {"loss": functional.mse_loss(predicted, noisy[grid])}

    def _predict(
        self, noisy: Tensor, interpolated: Tensor, grid: tuple[EllipsisType, slice, slice]
    ) -> Tensor:
        """Return what the network says about the pixels of a grid without having seen them."""
        masked = noisy.clone()
        masked[grid] = interpolated[grid]
        return self.network(masked)[grid]

    def restore(self, observation: Observation) -> Tensor:
        """Return the image, restored by the chosen read-out; sides of 2 or more."""
        noisy = observation.image
        with torch.inference_mode():
            if self.read_out == "direct":
                return self.network(noisy)
            interpolated, restored = interpolate(noisy), torch.empty_like(noisy)
            for phase in range(self.config.grid_px**2):
                grid = grid_at(phase, self.config.grid_px)
                restored[grid] = self._predict(noisy, interpolated, grid)
            return restored
