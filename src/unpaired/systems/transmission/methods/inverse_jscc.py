"""InverseJSCC (Erdemir et al. 2022), the paper's other receiver: a generator fitted to y.

    minimize  a |G(z) - y|^2 + b LPIPS(G(z), y)

over the latents of StyleGAN2, and then over what its blocks leave, as intermediate layer
optimization does (`systems.transmission.inversion`). What InverseJSCC weights the two by is not
known: weights, steps and learning rate are those of ILO's authors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber
from unpaired.learning.diffusion import draw, from_signed, to_signed
from unpaired.systems.transmission.inversion import Distance, Rounds, invert
from unpaired.systems.transmission.matching import codec_of, of_role
from unpaired.systems.transmission.sending import Arrived, Channel, all_came

METHOD = "inverse_jscc"


@dataclass(frozen=True, kw_only=True)
class InverseJSCCConfig:
    """mse_weight, lpips_weight, cross_weight: of the loss's parts, for pictures in [-1, 1].

    steps: of every round, from the generator's first block on, with spaces between them.
    ball_radii: of the l1 balls around features, from the second round on, with spaces between them;
        empty: features are free, as the authors' settings have it.
    """

    mse_weight: float = 1.0
    lpips_weight: float = 1.0
    cross_weight: float = 0.01
    steps: str = "50 50 25 25"
    learning_rate: PositiveNumber = 0.1
    ball_radii: str = ""
    pictures_at_once: int = 4


class InverseJSCC:
    """A receiver that shows pictures of a generator alone, or of a part of it."""

    Config: ClassVar[type] = InverseJSCCConfig
    sees: ClassVar[tuple[str, ...]] = ()
    knows: ClassVar[tuple[str, ...]] = ()
    margin_px: ClassVar[int | None] = None

    def __init__(self, config: InverseJSCCConfig) -> None:
        self.config = config
        self.others: dict[str, Any] = {}
        steps = _numbers("steps", config.steps, int)
        radii = _numbers("ball_radii", config.ball_radii, float)
        if len(radii) > max(0, len(steps) - 1):
            raise UnpairedError(
                f"{METHOD}: {len(radii)} ball_radii and {len(steps)} rounds of steps: one for each "
                "round but the first, at most"
            )
        weights = config.mse_weight, config.lpips_weight, config.cross_weight
        if min(weights) < 0 or not sum(weights[:2]):
            raise UnpairedError(
                f"{METHOD}: weights {', '.join(f'{one:g}' for one in weights)}: none may be "
                "negative, and one of the first two must be positive"
            )
        if config.learning_rate <= 0 or config.pictures_at_once < 1 or not sum(steps):
            raise UnpairedError(
                f"{METHOD}: learning_rate = {config.learning_rate:g}, pictures_at_once = "
                f"{config.pictures_at_once}, steps = '{config.steps}': they must be positive"
            )
        self.rounds = Rounds(steps, config.learning_rate, config.cross_weight, radii)

    def receive(self, role: str, other: Any) -> None:
        """Take a model in a role; a generator that does not fit the codec is refused."""
        self.others[role] = other.eval().requires_grad_(False)
        if {"codec", "generator"} <= self.others.keys():
            codec, generator = codec_of(self.others), of_role(self.others, "generator", "to_w")
            _require_fit(generator.config.side_px, codec.config.patch_px)

    @property
    def pictures_at_once(self) -> int:
        return self.config.pictures_at_once

    @property
    def multiple_px(self) -> int:
        """Sides that the codec takes; pictures must have those of its training as well."""
        return codec_of(self.others).multiple_px

    def send(self, picture: Tensor, channel: Channel) -> Arrived:
        """Return the generator's pictures that are near to what a codec's receiver sees.

        Raises UnpairedError for pictures of other sides than those that the codec learned from.
        """
        codec = codec_of(self.others)
        side, own = codec.config.patch_px, tuple(picture.shape[-2:])
        if own != (side, side):
            raise UnpairedError(
                f"pictures of {own[1]}x{own[0]}: with a generator, {METHOD} takes those of "
                f"{side}x{side} alone; cut them"
            )
        received = channel.transmit(codec, picture)
        generators = channel.generators("sampling", picture.device)
        with torch.inference_mode(False):
            # Tensors of inference mode can be in no gradient.
            found = self.improved(received.clone(), generators)
        return all_came(found, codec.symbols(*own))

    def improved(self, received: Tensor, generators: list[Generator]) -> Tensor:
        """Return a picture for each y, both B x 3 x P x P in [0, 1]."""
        model = of_role(self.others, "generator", "to_w")
        latents, noises = start(model, generators)
        found = invert(model, self._distance(received), latents, noises, self.rounds)
        return from_signed(_reduced(found, received.shape[-1])).clamp(0, 1)

    def _distance(self, received: Tensor) -> Distance:
        """Return what measures pictures by y, B x 3 x P x P in [0, 1]."""
        judge = of_role(self.others, "lpips", "metric").metric
        signed, side = to_signed(received), received.shape[-1]

        def distance(picture: Tensor) -> tuple[Tensor, Tensor]:
            reduced = _reduced(picture, side)
            error = (reduced - signed).square().mean(dim=(1, 2, 3))
            whole = self.config.mse_weight * error
            if self.config.lpips_weight:
                # Unchecked: what leaves [0, 1] on the way must find back.
                (seen,) = judge.distances_unchecked(received, from_signed(reduced))
                whole = whole + self.config.lpips_weight * seen
            return error, whole

        return distance


def start(model: Any, generators: list[Generator]) -> tuple[Tensor, list[Tensor]]:
    """Return where a search begins: normal latents, B x rows x D, and noises, B x 1 x h x w."""
    network = model.network
    latents = draw(generators, (network.latents, network.latent))
    return latents, [draw(generators, (1, side, side)) for side in network.noise_sides]


def _reduced(picture: Tensor, side_px: int) -> Tensor:
    """Return pictures of a larger generator at the codec's size, by antialiased bicubic weights."""
    if picture.shape[-1] == side_px:
        return picture
    return functional.interpolate(picture, (side_px, side_px), mode="bicubic", antialias=True)


def _require_fit(generator_px: int, codec_px: int) -> None:
    factor = generator_px / codec_px
    if factor < 1 or not math.log2(factor).is_integer():
        raise UnpairedError(
            f"the generator makes pictures of {generator_px} px, and the codec takes those of "
            f"{codec_px} px: give a generator of that size, or of 2, 4, 8 times it"
        )


def _numbers(setting: str, text: str, kind: Callable[[str], Any]) -> list[Any]:
    try:
        found = [kind(one) for one in text.split()]
    except ValueError:
        found = [-1]
    if any(not 0 <= one < math.inf for one in found):
        words = "whole numbers" if kind is int else "numbers"
        raise UnpairedError(f"{METHOD}: {setting} = '{text}': {words} from 0 on, between spaces")
    return found
