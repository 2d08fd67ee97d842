"""Denoising autoencoders whose outputs are distortions (Zhang 2018, section 6.2.1, Table 6.2).

They are not meant to restore well, but to leave the artifacts that networks leave. Which of them
is trained is drawn in `corruptions.distorting_networks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.func import functional_call
from torch.nn import functional

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import CountFromZero, PositiveNumber
from unpaired.learning.method import Method, Observation, Phase, TrainingState
from unpaired.learning.phases import adam_phase
from unpaired.learning.schedules import SCHEDULES
from unpaired.networks.distorting_autoencoder import (
    DistortingAutoencoder,
    PatchDiscriminator,
    RandomFeatures,
)
from unpaired.systems.perceptual.distortions.draws import CORRUPTIONS

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
DISCRIMINATOR_WIDTH = 16


@dataclass(frozen=True, kw_only=True)
class DistortingAutoencoderConfig:
    """What Table 6.2 varies; the defaults are one such network, not the paper's (unpublished).

    corruption: of the input. corruption_level: standard deviation of noise in units of the [0, 1]
        range, or the factor of downsampling; unused by the others.
    layers ... residual: see the network. discriminator_layers: used with adversarial_weight.
    l1_weight, feature_weight, adversarial_weight: of the losses; 0 leaves one out.
    images_seen: one epoch of ImageNet in the paper.
    """

    corruption: str = "none"
    corruption_level: float = 0.0
    layers: int = 3
    skips: CountFromZero = 0
    top_skip: bool = False
    dropout_layers: CountFromZero = 0
    upsampling: str = "transposed"
    normalization: str = "none"
    first_stride: int = 2
    first_channels: int = 16
    max_channels: int = 64
    residual: bool = False
    discriminator_layers: CountFromZero = 2
    l1_weight: float = 1.0
    feature_weight: float = 0.0
    adversarial_weight: float = 0.0
    learning_rate: PositiveNumber = 1e-3
    schedule: str = "constant"
    images_seen: int = 1_300_000
    batch_size: int = 16
    patch_px: int = 64

    def __post_init__(self) -> None:
        check_choice("distorting_autoencoder", "corruption", self.corruption, CORRUPTIONS)
        check_choice("distorting_autoencoder", "schedule", self.schedule, SCHEDULES)
        if not self.l1_weight + self.feature_weight + self.adversarial_weight > 0:
            raise UnpairedError("distorting_autoencoder: all losses have weight 0; raise one")


class DistortingAutoencoderMethod(Method):
    """Undo a corruption of clean images: absolute, feature and adversarial loss, each weighted.

    The paper's feature loss is VGG's, which cannot be had without its trained weights; features
    of a fixed random network are in its place. The adversarial loss is that of least squares (Mao
    et al. 2017; the paper does not say which). Generator and discriminator take their steps at the
    same time, each down the gradient of its own loss.
    """

    Config: ClassVar[type] = DistortingAutoencoderConfig
    sees: ClassVar[tuple[str, ...]] = ("image",)
    margin_px: ClassVar[int | None] = None

    def __init__(self, config: DistortingAutoencoderConfig) -> None:
        super().__init__(config)
        self.network = DistortingAutoencoder(
            layers=config.layers,
            skips=config.skips,
            top_skip=config.top_skip,
            dropout_layers=config.dropout_layers,
            upsampling=config.upsampling,
            normalization=config.normalization,
            first_stride=config.first_stride,
            first_channels=config.first_channels,
            max_channels=config.max_channels,
            residual=config.residual,
        )
        self.features = RandomFeatures() if config.feature_weight else None
        self.discriminator = (
            PatchDiscriminator(config.discriminator_layers, DISCRIMINATOR_WIDTH)
            if config.adversarial_weight
            else None
        )

    @property
    def multiple_px(self) -> int:
        """Sides of what the network takes are multiples of this."""
        return self.network.multiple_px

    def phases(self) -> list[Phase]:
        return [adam_phase(self.config, self.parameters())]

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        config, clean = self.config, batch["image"]
        output = self.network(self.corrupt(clean, state.generators(batch["sample"], "corruption")))
        losses = {"l1": functional.l1_loss(output, clean)}
        loss = config.l1_weight * losses["l1"]
        if self.features is not None:
            losses["features"] = self._feature_loss(output, clean)
            loss = loss + config.feature_weight * losses["features"]
        if self.discriminator is not None:
            losses |= self._adversarial_losses(output, clean)
            loss = loss + config.adversarial_weight * losses["adversarial"]
            loss = loss + losses["discriminator"]
        return {"loss": loss, **losses}

    def _feature_loss(self, output: Tensor, clean: Tensor) -> Tensor:
        pairs = zip(self.features(output), self.features(clean), strict=True)
        return sum((a - b).square().sum(1).mean() for a, b in pairs)

    def _adversarial_losses(self, output: Tensor, clean: Tensor) -> dict[str, Tensor]:
        # The generator's loss must not change the discriminator, nor the other way round.
        frozen = {key: value.detach() for key, value in self.discriminator.named_parameters()}
        judged = functional_call(self.discriminator, frozen, (output,))
        real, fake = self.discriminator(clean), self.discriminator(output.detach())
        return {
            "adversarial": (judged - 1).square().mean(),
            "discriminator": ((real - 1).square().mean() + fake.square().mean()) / 2,
        }

    def corrupt(self, clean: Tensor, generators: list[Generator]) -> Tensor:
        """Return the input of the network for images B x 3 x H x W; one generator per image."""
        config = self.config
        if config.corruption == "gray":
            weights = clean.new_tensor(LUMA).reshape(1, 3, 1, 1)
            return (clean * weights).sum(1, keepdim=True).expand_as(clean)
        if config.corruption == "downsampling":
            small = functional.avg_pool2d(clean, round(config.corruption_level))
            return functional.interpolate(small, clean.shape[-2:], mode="bilinear")
        if config.corruption in ("white_noise", "pink_noise"):
            white = torch.stack(
                [torch.randn(clean.shape[1:], generator=g, device=g.device) for g in generators]
            )
            noise = white if config.corruption == "white_noise" else pink(white)
            return clean + config.corruption_level * noise
        return clean

    def distort(self, clean: Tensor, generators: list[Generator]) -> Tensor:
        """Return what the network makes of clean images, B x 3 x H x W, clamped to [0, 1].

        The sides must be multiples of ``multiple_px``. generators: one per image, for the noise.
        """
        with torch.inference_mode():
            return self.network(self.corrupt(clean, generators)).clamp(0, 1)

    def restore(self, observation: Observation) -> Tensor:
        """Return the network's output for an image that is already corrupted."""
        with torch.inference_mode():
            return self.network(observation.image)


def pink(white: Tensor) -> Tensor:
    """Return noise of spectral density ~ 1 / frequency, mean square 1, from white noise."""
    rows, columns = (torch.fft.fftfreq(side, device=white.device) for side in white.shape[-2:])
    frequency = torch.hypot(rows[:, None], columns[None])
    frequency[0, 0] = torch.inf  # no mean
    noise = torch.fft.ifft2(torch.fft.fft2(white) * frequency.rsqrt()).real
    return noise / noise.square().mean((-2, -1), keepdim=True).sqrt()
