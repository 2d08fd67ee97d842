"""Noise2Clean: supervised training, the upper reference of Neighbor2Neighbor's Table 1.

Trained as Laine et al. 2019 trained it (their weights made the printed number): two million images,
not steps, although the flag of their code is called ``num_iter``.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from unpaired.learning.denoiser import Denoiser, DenoiserConfig
from unpaired.learning.method import TrainingState
from unpaired.networks.unet import UNet


class Noise2Clean(Denoiser):
    """Mean squared error between the restored and the clean image."""

    sees: ClassVar[tuple[str, ...]] = ("noisy", "clean")
    target: ClassVar[str] = "clean"

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__(config)
        self.network = UNet.of_laine19(
            config.channels,
            config.channels,
            width=config.width,
            global_residual=config.global_residual,
        )

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        return {"loss": functional.mse_loss(self.network(batch["noisy"]), batch[self.target])}
