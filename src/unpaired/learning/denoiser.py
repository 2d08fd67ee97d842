"""What the network denoisers share: a U-Net, one phase of Adam, and a forward pass as product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError, suggest
from unpaired.learning.method import Method, Observation, Phase
from unpaired.learning.phases import adam_phase
from unpaired.learning.schedules import SCHEDULES


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
    learning_rate: float = 3e-4
    schedule: str = "cosine_ramps"
    beta2: float = 0.99
    gradient_clip: float | None = None


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
        if config.schedule not in SCHEDULES:
            raise UnpairedError(
                f"unknown schedule '{config.schedule}'{suggest(config.schedule, SCHEDULES)}"
            )
        phase = adam_phase(config, self.parameters(), betas=(0.9, config.beta2), fused=True)
        if config.gradient_clip is not None:
            phase.optimizer.register_step_pre_hook(self._clip_gradients)
        return [phase]

    def _clip_gradients(self, *_: object) -> None:
        torch.nn.utils.clip_grad_norm_(self.parameters(), self.config.gradient_clip)

    def restore(self, observation: Observation) -> Tensor:
        """Return the network's output for an image whose sides are multiples of ``multiple_px``."""
        with torch.inference_mode():
            return self.network(observation.image)
