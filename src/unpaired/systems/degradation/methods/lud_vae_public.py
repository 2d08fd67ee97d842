"""The degradation model of LUD-VAE's public code, which is not the paper's.

No codebook, no blur, 5.71 million parameters at full resolution. What makes the content of clean
and noisy images alike is white noise, added to what the content path sees of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.randomness import generators_for
from unpaired.learning.method import Observation, TrainingState
from unpaired.networks.latents import LatentLevel
from unpaired.networks.lud_vae_public import PublicLUDVAENet
from unpaired.systems.degradation.methods.degradation import (
    ITERATIONS,
    DegradationConfig,
    DegradationModel,
)

# The authors' weight of the divergence is min(iteration / 1e8, 1e-4), hence full after 10,000.
KL_GROWTH = 10_000 / ITERATIONS


@dataclass(frozen=True, kw_only=True)
class PublicLUDVAEConfig(DegradationConfig):
    """The authors' code for SIDD. It trains until it is stopped; here as long as the paper's model.

    content_noise_clean, content_noise_noisy: standard deviation of the white noise that the content
        path sees on images of either kind, in units of the [0, 1] range. (The authors' scripts for
        AIM19: 15 and 10, NTIRE20: 8 and 3, DND: 20 and 10, in units of 1 / 255.)
    kl_weight: weight of the divergence of the noise latents. It grows linearly over the first 5 %
        of the training.
    width: feature channels, and noise latents per pixel and level.
    global_residual: the network's output is added to what the content path sees. Not in the
        authors' code.
    """

    content_noise_clean: float = 40 / 255
    content_noise_noisy: float = 20 / 255
    kl_weight: float = 1e-4
    width: int = 128
    patch_px: int = 64
    schedule: str = "halve_midway"


class PublicLUDVAE(DegradationModel):
    """Squared error over the images of both kinds, and the divergence of the noise latents.

    The authors' script for SIDD samples the priors as they are (a "temperature" t of 1), and draws
    the noise that the content path sees anew for every image, from 30 to 70 of 255. (For DND: t
    from 1 to 3, noise from 10 to 30.) ``pairs_from.how`` may give other ranges.
    """

    t_range: ClassVar[tuple[float, float]] = (1.0, 1.0)
    content_noise_range: ClassVar[tuple[float, float] | None] = (30 / 255, 70 / 255)
    Config: ClassVar[type] = PublicLUDVAEConfig
    config: PublicLUDVAEConfig

    def __init__(self, config: PublicLUDVAEConfig) -> None:
        super().__init__(config)
        self.network = PublicLUDVAENet(config.channels, width=config.width)
        if config.global_residual:
            torch.nn.init.zeros_(self.network.last.weight)
            torch.nn.init.zeros_(self.network.last.bias)

    @property
    def noise_levels(self) -> tuple[LatentLevel, ...]:
        """The noise that the content path sees, and the network's latents."""
        return (LatentLevel(self.config.channels, 1), *self.network.latents)

    def kl_weight_at(self, fraction: float) -> float:
        """Weight of the divergence when ``fraction`` of training is done."""
        return self.config.kl_weight * min(1.0, fraction / KL_GROWTH)

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        clean, noisy = self.unpaired_views(batch, state)
        drawn = [
            self.draw_noise(images, state.generators(batch["sample"], f"latents of {kind}"))
            for kind, images in (("clean", clean), ("noisy", noisy))
        ]
        contents = torch.cat(
            [
                clean + self.config.content_noise_clean * drawn[0][0],
                noisy + self.config.content_noise_noisy * drawn[1][0],
            ]
        )
        images = torch.cat([clean, noisy])
        noise = [torch.cat(level) for level in zip(*drawn, strict=True)][1:]
        label = torch.cat([torch.zeros(len(clean)), torch.ones(len(noisy))]).to(images.device)
        decoded, divergence = self.network.reconstruct(
            contents, images, noise, label.view(-1, 1, 1, 1)
        )
        error = functional.mse_loss(self._finish(contents, decoded), images)
        divergence = divergence / noisy.numel()
        loss = error + self.kl_weight_at(state.fraction) * divergence
        return {"loss": loss, "error": error, "divergence": divergence}

    def _finish(self, content: Tensor, decoded: Tensor) -> Tensor:
        return content + decoded if self.config.global_residual else decoded

    def degrade(
        self, clean: Tensor, noise: list[Tensor], t: float, content_noise: float | None = None
    ) -> Tensor:
        std = self.config.content_noise_clean if content_noise is None else content_noise
        with torch.inference_mode():
            content = clean + std * noise[0]
            return self._finish(content, self.network.degrade(content, noise[1:], t))

    def restore(self, observation: Observation) -> Tensor:
        """Return the clean image; the noise added to what the content path sees is the same always.

        Images of one size get the same.
        """
        noisy = observation.image
        generators = generators_for(0, range(len(noisy)), "content noise", noisy.device)
        white = torch.stack(
            [torch.randn(noisy.shape[1:], generator=g, device=noisy.device) for g in generators]
        )
        with torch.inference_mode():
            content = noisy + self.config.content_noise_noisy * white
            return self._finish(content, self.network.clean(content))
