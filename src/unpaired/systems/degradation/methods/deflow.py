"""DeFlow (Wolf et al., CVPR 2021): clean and noisy pictures under one flow, and a learned shift.

From what LUD-VAE's paper says of it (Remark 1, Appendix C), and the papers that its layers come
from; see `networks.deflow`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import ShareBelowOne
from unpaired.core.randomness import generators_for
from unpaired.learning.method import Observation, TrainingState
from unpaired.networks.deflow import DeFlowNet
from unpaired.networks.latents import LatentLevel
from unpaired.systems.degradation.methods.degradation import DegradationConfig, DegradationModel

ITERATIONS = 100_000
LEVELS_OF_GRAY = 32  # Pictures get uniform noise as wide as one of so many.


@dataclass(frozen=True, kw_only=True)
class DeFlowConfig(DegradationConfig):
    """For AIM 2019 (NTIRE 2020: condition_reduction 4, learning_rate 5e-5).

    levels, steps: of the flow, L and K of Glow. width: of the networks inside couplings.
    condition_reduction: how many times smaller than the picture that is which steers the flow, a
        power of 2. condition_noise_std: of the white noise that is added to it, in units of the
        [0, 1] range; both hide from it what the picture's degradation is.
    encoder_width, encoder_blocks, encoder_growth: of the RRDB network that encodes it.
    """

    levels: int = 3
    steps: int = 16
    width: int = 128
    condition_reduction: int = 8
    condition_noise_std: float = 0.03
    encoder_width: int = 64
    encoder_blocks: int = 23
    encoder_growth: int = 32
    images_seen: int = ITERATIONS * 4
    batch_size: int = 4
    patch_px: int = 160
    schedule: str = "deflow_halvings"
    beta2: ShareBelowOne = 0.99

    def __post_init__(self) -> None:
        if self.global_residual:
            raise UnpairedError("deflow: a flow has no global_residual; leave it out")


class DeFlow(DegradationModel):
    """The negative log-likelihood of both kinds of pictures, in bits per dimension.

    Noisy pictures are made of clean ones by adding t u to the latents: t is what the authors call
    heat, 1 if nothing else is asked for.
    """

    t_range: ClassVar[tuple[float, float]] = (1.0, 1.0)
    Config: ClassVar[type] = DeFlowConfig
    config: DeFlowConfig

    def __init__(self, config: DeFlowConfig) -> None:
        super().__init__(config)
        self.network = DeFlowNet(
            config.channels,
            levels=config.levels,
            steps=config.steps,
            width=config.width,
            reduction=config.condition_reduction,
            encoder_width=config.encoder_width,
            encoder_blocks=config.encoder_blocks,
            encoder_growth=config.encoder_growth,
        )
        if config.patch_px % self.multiple_px:
            raise UnpairedError(
                f"deflow: patch_px must be a multiple of {self.multiple_px}, not {config.patch_px}"
            )

    @property
    def noise_levels(self) -> tuple[LatentLevel, ...]:
        """The noise of the condition, and that of the latents' shift."""
        condition = LatentLevel(self.config.channels, self.config.condition_reduction)
        return (condition, *self.network.latents)

    def prepare(self, samples: Any, seed: int) -> None:
        """Give what every actnorm returns mean 0 and variance 1 on a first batch of both kinds."""
        numbers = range(self.config.batch_size)
        first = [samples[number] for number in numbers]
        images, conditions = [], []
        for kind in ("unpaired_clean", "noisy"):
            generators = generators_for(seed, numbers, f"start of {kind}", torch.device("cpu"))
            own = torch.stack([torch.as_tensor(one[kind]) for one in first])
            continuous, condition_noise = self._drawn(own, generators)
            images.append(continuous)
            conditions.append(self._conditions(own, condition_noise))
        joined = [torch.cat(level) for level in zip(*conditions, strict=True)]
        self.network.start(torch.cat(images), joined)

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        bits = {}
        # A likelihood in bf16 would be rounded by more than a step changes it.
        with torch.autocast(batch["noisy"].device.type, enabled=False):
            views = zip(("clean", "noisy"), self.unpaired_views(batch, state), strict=True)
            for kind, images in views:
                generators = state.generators(batch["sample"], f"noise of {kind}")
                continuous, condition_noise = self._drawn(images.float(), generators)
                conditions = self._conditions(images.float(), condition_noise)
                bits[kind] = self.bits_per_dimension(
                    continuous, conditions, is_noisy=kind == "noisy"
                ).mean()
        return {
            "loss": (bits["clean"] + bits["noisy"]) / 2,
            "bits_per_dimension_clean": bits["clean"],
            "bits_per_dimension_noisy": bits["noisy"],
        }

    def bits_per_dimension(
        self, images: Tensor, conditions: list[Tensor], *, is_noisy: bool
    ) -> Tensor:
        """Return what a picture of 32 levels of gray would take, in bits per pixel and channel, B.

        images: with the uniform noise that makes such pictures continuous.
        """
        latents, log_det = self.network(images, conditions)
        nats = log_det + self.network.log_likelihoods(latents, is_noisy=is_noisy)
        return math.log2(LEVELS_OF_GRAY) - nats / (images[0].numel() * math.log(2))

    def degrade(
        self, clean: Tensor, noise: list[Tensor], t: float, content_noise: float | None = None
    ) -> Tensor:
        with torch.inference_mode():
            conditions = self._conditions(clean, noise[0])
            latents, _ = self.network(clean, conditions)
            shifted = [
                own + t * shift.sample(white)
                for own, shift, white in zip(latents, self.network.shift, noise[1:], strict=True)
            ]
            return self.network.inverse(shifted, conditions)

    def restore(self, observation: Observation) -> Tensor:
        """Return the picture whose latents are the mean of clean ones, given the noisy ones.

        The condition's noise is the same always; images of one size get the same.
        """
        noisy = observation.image
        generators = generators_for(0, range(len(noisy)), "condition noise", noisy.device)
        with torch.inference_mode():
            conditions = self._conditions(noisy, self._drawn(noisy, generators)[1])
            latents, _ = self.network(noisy, conditions)
            clean = [
                shift.without(own) for own, shift in zip(latents, self.network.shift, strict=True)
            ]
            return self.network.inverse(clean, conditions)

    def _conditions(self, images: Tensor, white: Tensor) -> list[Tensor]:
        return self.network.condition(images, self.config.condition_noise_std * white)

    def _drawn(self, images: Tensor, generators: list[Generator]) -> tuple[Tensor, Tensor]:
        """Return the images with uniform noise, and the condition's standard normal noise."""
        factor = self.config.condition_reduction
        channels, height, width = images.shape[1:]
        uniform, white = [], []
        for one in generators:
            about = {"generator": one, "device": images.device}
            uniform.append(torch.rand(channels, height, width, **about) - 0.5)
            white.append(torch.randn(channels, height // factor, width // factor, **about))
        return images + torch.stack(uniform) / LEVELS_OF_GRAY, torch.stack(white)
