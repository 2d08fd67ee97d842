"""A diffusion model of pictures (Ho et al. 2020): what supervises a reconstruction in SUD².

The network is told a noisy picture and its time, and predicts the noise (Ho et al., Eq. 14). What
is published are averaged weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.imaging.orientation import mirror_at_random
from unpaired.learning.averaging import AveragedWeights
from unpaired.learning.diffusion import Schedule, chain, draw, posterior, spaced, to_signed
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.learning.phases import adam_phase
from unpaired.networks.diffusion_unet import DiffusionUNet, widths_of

AVERAGING_WARM_UP = 0.08


@dataclass(frozen=True, kw_only=True)
class DDPMConfig:
    """Settings of the diffusion model. SUD² says nothing of its own; these follow Ho et al.

    widths, blocks, heads, groups, squeeze_px, scales: of the network, see
        `networks.diffusion_unet`; widths with spaces between them.
    attention_px: side of the features with attention; None for none.
    timesteps, variance_first, variance_last: of the schedule (section 4).
    half_life_images: of the average of weights. gradient_clip: norm that longer ones are cut to.
    patch_px: side of the pictures.
    """

    channels: int = 3
    widths: str = "128 128 256 256"
    blocks: int = 2
    attention_px: int | None = 16
    heads: int = 4
    groups: int = 32
    squeeze_px: int = 1
    scales: bool = False
    timesteps: int = 1000
    variance_first: float = 1e-4
    variance_last: float = 0.02
    images_seen: int = 25_600_000
    batch_size: int = 64
    patch_px: int = 128
    learning_rate: PositiveNumber = 2e-5
    beta2: ShareBelowOne = 0.999
    schedule: str = "constant"
    half_life_images: int = 443_000
    gradient_clip: PositiveNumber = 1.0


class DDPM(Method):
    """Mean squared error of the noise, at times drawn evenly; pictures are mirrored or not."""

    Config: ClassVar[type] = DDPMConfig
    sees: ClassVar[tuple[str, ...]] = ("image",)

    def __init__(self, config: DDPMConfig) -> None:
        super().__init__(config)
        self.noise_schedule = Schedule(
            config.timesteps, config.variance_first, config.variance_last
        )
        self.network = DiffusionUNet(
            config.channels,
            widths=widths_of(config.widths),
            blocks=config.blocks,
            attention=_levels_of(config),
            heads=config.heads,
            groups=config.groups,
            squeeze_px=config.squeeze_px,
            scales=config.scales,
        )
        if config.patch_px % self.network.multiple_px:
            raise UnpairedError(
                f"ddpm: patch_px = {config.patch_px} is no multiple of "
                f"{self.network.multiple_px}, which this network needs"
            )

    def phases(self) -> list[Phase]:
        config = self.config
        self.averaged = AveragedWeights(
            self.network,
            half_life_images=config.half_life_images,
            batch_size=config.batch_size,
            warm_up=AVERAGING_WARM_UP,
        )
        about = {"betas": (0.9, config.beta2), "clip_norm": config.gradient_clip, "fused": True}
        return [adam_phase(config, self.network.parameters(), **about)]

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        picture = to_signed(batch["image"])
        generators = state.generators(batch["sample"], "diffusion")
        (picture,) = mirror_at_random(generators, picture)
        steps = self.config.timesteps
        times = [torch.randint(steps, (), generator=g, device=g.device) for g in generators]
        noise = draw(generators, tuple(picture.shape[1:]))
        times = torch.stack(times)
        told = self.network(self.noise_schedule.noisy(picture, noise, times), times)
        return {"loss": functional.mse_loss(told, noise)}

    def after_step(self) -> None:
        self.averaged.update(self.network)

    def finish(self) -> None:
        self.averaged.put_into(self.network)
        del self.averaged

    # ---- Its use. Pictures are in [-1, 1].

    def predict(self, noisy: Tensor, times: Tensor) -> Tensor:
        """Return the clean picture that it takes x_t for, within [-1, 1].

        Clamped, but gradients pass as if it were not: a chain of many steps would else drift away,
        or get none.
        """
        picture = self.noise_schedule.clean(noisy, self.network(noisy, times), times)
        return picture + (picture.clamp(-1, 1) - picture).detach()

    def denoise(self, noisy: Tensor, std: float) -> Tensor:
        """Take Gaussian noise of ``std`` off, in one step: the mean of what the picture may be.

        It is asked at the time whose noise is the nearest.
        """
        time = self.noise_schedule.time_of(std)
        times = torch.full((len(noisy),), time, device=noisy.device)
        return self.predict(self.noise_schedule.kept_at(times).sqrt() * noisy, times)

    def project(
        self,
        picture: Tensor,
        start: Tensor,
        steps: int,
        *,
        eta: float,
        generators: list[Generator],
        adds_noise: bool = True,
    ) -> Tensor:
        """Return R(F(picture)): noised up to the times ``start``, B, and brought back in ``steps``.

        adds_noise: False takes the picture for one that is noisy already.
        """
        shape = tuple(picture.shape[1:])
        noise = draw(generators, shape) if adds_noise else torch.zeros_like(picture)
        noisy = self.noise_schedule.noisy(picture.clamp(-1, 1), noise, start)
        times = spaced(start, steps)
        return chain(
            self.noise_schedule, self.predict, noisy, times, eta=eta, generators=generators
        )

    def sample(self, generators: list[Generator], steps: int) -> Tensor:
        """Return pictures from noise alone: ancestral sampling through ``steps`` of the times."""
        shape = (self.config.channels, self.config.patch_px, self.config.patch_px)
        noisy = draw(generators, shape)
        start = torch.full((len(noisy),), self.config.timesteps - 1, device=noisy.device)
        times = spaced(start, steps)
        earlier = torch.cat([times[:, 1:], torch.full_like(times[:, :1], -1)], dim=1)
        for here, next_time in zip(times.T, earlier.T, strict=True):
            picture = self.predict(noisy, here)
            about = (self.noise_schedule, noisy, picture, here, next_time)
            mean, variance = posterior(*about)
            noisy = mean + variance.sqrt() * draw(generators, shape)
        return noisy


def _levels_of(config: DDPMConfig) -> list[int]:
    """Return the level whose features have the side that attention is for; none without one."""
    if config.attention_px is None:
        return []
    sides = [
        config.patch_px // (config.squeeze_px * 2**level)
        for level in range(len(widths_of(config.widths)))
    ]
    if config.attention_px not in sides:
        raise UnpairedError(
            f"ddpm: attention_px = {config.attention_px}: features have sides of "
            f"{', '.join(map(str, sides))} px"
        )
    return [sides.index(config.attention_px)]
