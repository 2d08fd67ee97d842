"""Receivers that improve what a codec gives, with models that learned by themselves.

They learn nothing: their settings say how a diffusion model is asked. All see what the codec's
receiver sees, y and the SNR, and nothing else.

* ``commin``: Algorithm 1, drawn to y through an invertible network (`systems.transmission.
  guidance`).
* ``unguided``: the same chain without guidance, the floor.
* ``noised_and_denoised``: y with the noise of some time, and the chain from there: a diffusion
  model alone, as SDEdit (Meng et al. 2022) uses it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import Share
from unpaired.learning.diffusion import chain, draw, from_signed, spaced, to_signed
from unpaired.systems.transmission.guidance import (
    NORMS,
    guided_chain,
    papers_zeta,
    scaled_zeta,
)
from unpaired.systems.transmission.matching import (
    codec_of,
    of_role,
    require_channel,
    require_one_size,
)
from unpaired.systems.transmission.sending import Arrived, Channel, all_came


@dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """Settings of a chain of a diffusion model.

    start: where it starts, as a share of all times; 1.0 is noise alone, as in Algorithm 1, and less
        is y with the noise of that time. steps: from there to the picture. eta: 1 is DDPM, 0 DDIM.
    draws: chains, of which the mean is taken. pictures_at_once: how many share a batch.
    """

    start: Share = 1.0
    steps: int = 1000
    eta: Share = 1.0
    draws: int = 1
    pictures_at_once: int = 16


@dataclass(frozen=True, kw_only=True)
class CommINConfig(ChainConfig):
    """norm: "l2" or "squared", see `systems.transmission.guidance`.

    guidance: a factor on the step size: that of the paper for an SNR, rescaled for other sizes of
        pictures and numbers of steps.
    """

    norm: str = "l2"
    guidance: float = 1.0


class Receiver:
    """Base: what a codec receives goes through chains of a diffusion model."""

    Config: ClassVar[type] = ChainConfig
    sees: ClassVar[tuple[str, ...]] = ()
    knows: ClassVar[tuple[str, ...]] = ()
    margin_px: ClassVar[int | None] = None

    def __init__(self, config: ChainConfig) -> None:
        self.config = config
        self.others: dict[str, Any] = {}
        if not 0 < config.start <= 1 or config.steps < 1 or config.draws < 1:
            raise UnpairedError(
                f"a chain from {config.start} of all times in {config.steps} steps, "
                f"{config.draws} times: start must lie above 0 and up to 1, the others be positive"
            )
        if not 0 <= config.eta <= 1 or config.pictures_at_once < 1:
            raise UnpairedError(
                f"eta = {config.eta} must lie from 0 to 1, and pictures_at_once = "
                f"{config.pictures_at_once} be positive"
            )

    def receive(self, role: str, other: Any) -> None:
        """Take a trained model in a role; models of several sizes are refused."""
        self.others[role] = other.eval().requires_grad_(False)
        require_one_size(self.others)

    @property
    def pictures_at_once(self) -> int:
        return self.config.pictures_at_once

    @property
    def multiple_px(self) -> int:
        """Sides that codec and diffusion model take."""
        prior = of_role(self.others, "prior", "predict")
        return math.lcm(codec_of(self.others).multiple_px, prior.network.multiple_px)

    def send(self, picture: Tensor, channel: Channel) -> Arrived:
        """Return what the receiver makes of pictures that a codec has sent."""
        codec = codec_of(self.others)
        received = to_signed(channel.transmit(codec, picture))
        generators = channel.generators("sampling", picture.device)
        total = sum(
            self.improved(received, channel.snr_db, generators) for _ in range(self.config.draws)
        )
        better = from_signed(total / self.config.draws)
        return all_came(better, codec.symbols(*picture.shape[-2:]))

    def improved(self, received: Tensor, snr_db: float, generators: list[Generator]) -> Tensor:
        """Return a picture for each y; both in [-1, 1]."""
        prior = of_role(self.others, "prior", "predict")
        noisy, times = self._begin(prior, received, generators)
        found = chain(
            prior.noise_schedule,
            prior.predict,
            noisy,
            times,
            eta=self.config.eta,
            generators=generators,
        )
        return found.clamp(-1, 1)

    def _begin(
        self, prior: Any, received: Tensor, generators: list[Generator]
    ) -> tuple[Tensor, Tensor]:
        """Return x_t of the first time, and all times, B x steps."""
        last, steps = prior.config.timesteps - 1, self.config.steps
        first = round(self.config.start * last)
        if steps > first + 1:
            raise UnpairedError(
                f"{steps} steps from time {first} of this diffusion model: there are no more than "
                f"{first + 1}; take fewer steps, or start later"
            )
        start = torch.full((len(received),), first, device=received.device)
        noise = draw(generators, tuple(received.shape[1:]))
        from_noise = self.config.start == 1
        noisy = noise if from_noise else prior.noise_schedule.noisy(received, noise, start)
        return noisy, spaced(start, steps)


class NoisedAndDenoised(Receiver):
    """A diffusion model alone: it never learns what the channel does."""


class CommIN(Receiver):
    """Chains that are drawn to what was received."""

    Config: ClassVar[type] = CommINConfig
    config: CommINConfig

    def __init__(self, config: CommINConfig) -> None:
        super().__init__(config)
        check_choice("commin", "norm", config.norm, NORMS)
        if config.guidance < 0:
            raise UnpairedError(f"commin: guidance = {config.guidance} must not be negative")

    def zeta(self, snr_db: float, picture: Tensor) -> float:
        """Return the step size for a batch of pictures, B x C x H x W."""
        steps = self.config.steps / self.config.start
        own = scaled_zeta(papers_zeta(snr_db), picture[0].numel(), steps, self.config.norm)
        return self.config.guidance * own

    def improved(self, received: Tensor, snr_db: float, generators: list[Generator]) -> Tensor:
        """Return a picture for each y; raises UnpairedError for a network of another channel."""
        inn = of_role(self.others, "inn", "take_back")
        require_channel(inn, snr_db, "invertible network")
        prior = of_role(self.others, "prior", "predict")
        noisy, times = self._begin(prior, received, generators)
        with torch.inference_mode(False):
            # Tensors of inference mode can be in no gradient.
            return guided_chain(
                prior,
                inn.take_back,
                received.clone(),
                noisy.clone(),
                times.clone(),
                zeta=self.zeta(snr_db, received),
                norm=self.config.norm,
                eta=self.config.eta,
                generators=generators,
            )
