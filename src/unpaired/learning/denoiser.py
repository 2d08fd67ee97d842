"""What the network denoisers share: a U-Net, one phase of Adam, and a forward pass as product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.learning.method import Method, Observation, Phase
from unpaired.learning.phases import adam_phase


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """Settings of a network denoiser. Lengths are in images seen, so batch size changes no meaning.

    width: feature channels of the U-Net's encoder. learning_rate: of Adam, before the schedule.
    beta2: Adam's second moment decay. gradient_clip: norm of all gradients together that longer
    ones are shortened to; None, as in the papers, leaves them.
    """

    channels: int = 3
    width: int = 48
    global_residual: bool = False
    images_seen: int = 2_000_000
    batch_size: int = 4
    patch_px: int = 256
    learning_rate: PositiveNumber = 3e-4
    schedule: str = "cosine_ramps"
    beta2: ShareBelowOne = 0.99
    gradient_clip: PositiveNumber | None = None


class Denoiser(Method):
    """A method whose product is one pass of its network over the noisy image."""

    Config: ClassVar[type] = DenoiserConfig
    network: torch.nn.Module

    @property
    def multiple_px(self) -> int:
        """Sides of what the network takes are multiples of this."""
        return self.network.multiple_px

    @property
    def margin_px(self) -> int | None:
        """Context, in pixels on each side, beyond which the input cannot change the output."""
        return self.network.margin_px

    def phases(self) -> list[Phase]:
        config = self.config
        about = {"betas": (0.9, config.beta2), "clip_norm": config.gradient_clip, "fused": True}
        return [adam_phase(config, self.parameters(), **about)]

    def restore(self, observation: Observation) -> Tensor:
        """Return the network's output for an image whose sides are multiples of ``multiple_px``."""
        with torch.inference_mode():
            return self.network(observation.image)
