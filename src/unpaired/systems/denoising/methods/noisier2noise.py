"""Noisier2Noise (Moran et al., CVPR 2020): predict a noisy image from a still noisier one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber
from unpaired.core.randomness import seed_for
from unpaired.learning.denoiser import Denoiser, DenoiserConfig
from unpaired.learning.method import Observation, TrainingState
from unpaired.networks.unet import UNet


@dataclass(frozen=True, kw_only=True)
class Noisier2NoiseConfig(DenoiserConfig):
    """Network and training are those of the supervised reference; Neighbor2Neighbor's Table 1
    prints this method without stating them.

    alpha: standard deviation of the added noise in units of the image's own; the table's is 1.
    draws: noisier images that one restored image is averaged over; the table does not say, and one
        is the original.
    """

    alpha: PositiveNumber = 1.0
    draws: int = 1


class Noisier2Noise(Denoiser):
    """For Gaussian noise of known level, in training and in use.

    With z = y + m, y = x + n and m of alpha times the standard deviation of n, the expectation of y
    given z determines that of x: E[x|z] = ((1 + alpha^2) E[y|z] - z) / alpha^2 (section 3.3).
    """

    Config: ClassVar[type] = Noisier2NoiseConfig
    config: Noisier2NoiseConfig
    sees: ClassVar[tuple[str, ...]] = ("noisy", "level")
    knows: ClassVar[tuple[str, ...]] = ("level",)

    def __init__(self, config: Noisier2NoiseConfig) -> None:
        super().__init__(config)
        self.network = UNet.of_laine19(
            config.channels,
            config.channels,
            width=config.width,
            global_residual=config.global_residual,
        )

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        noisy = batch["noisy"]
        generators = state.generators(batch["sample"], "noisier")
        added = torch.stack(
            [torch.randn(noisy.shape[1:], generator=g, device=noisy.device) for g in generators]
        )
        added_std = self.config.alpha * batch["level"].view(-1, 1, 1, 1)
        return {"loss": functional.mse_loss(self.network(noisy + added_std * added), noisy)}

    def restore(self, observation: Observation) -> Tensor:
        """Return the mean of ``draws`` corrected outputs; sides are multiples of ``multiple_px``.

        Raises UnpairedError without a positive level, the noise's standard deviation.
        """
        level = observation.level
        if level is None or not level > 0:
            raise UnpairedError(
                f"method 'noisier2noise' needs a positive level, the standard deviation of the "
                f"noise; got {level}; use 'neighbor2neighbor' where it is not known"
            )
        with torch.inference_mode():
            corrected = [
                self._corrected(observation.image, level, draw) for draw in range(self.config.draws)
            ]
            return torch.stack(corrected).mean(0)

    def _corrected(self, noisy: Tensor, level: float, draw: int) -> Tensor:
        generator = torch.Generator(noisy.device).manual_seed(seed_for("noisier", draw))
        added = torch.randn(noisy.shape, generator=generator, device=noisy.device)
        alpha = self.config.alpha
        noisier = noisy + alpha * level * added
        return ((1 + alpha**2) * self.network(noisier) - noisier) / alpha**2
