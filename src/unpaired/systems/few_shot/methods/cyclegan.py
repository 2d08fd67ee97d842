"""CycleGAN (Zhu et al. 2017): measurements to pictures and back, without any pair.

    L = L_GAN(G, D_X) + L_GAN(F, D_Y) + lambda_cyc (|F(G(y)) - y|_1 + |G(F(x)) - x|_1)
        + lambda_idt (|G(x) - x|_1 + |F(y) - y|_1)              (Equations 1 to 3, section 5.2)

with squared errors in place of logarithms in L_GAN (section 4). G makes pictures of measurements.
Critics see a history of 50 outputs of the generators, and their loss is halved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import CountFromZero, PositiveNumber
from unpaired.data.disjoint import check_disjoint
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.data.samples import NoiseDraw
from unpaired.learning.diffusion import from_signed, to_signed
from unpaired.learning.method import Method, Observation, Phase, TrainingState
from unpaired.learning.schedules import falls_in_second_half
from unpaired.networks.cyclegan import PatchCritic, ResnetGenerator
from unpaired.systems.few_shot.samples import FewShotSamples, Measurements, refuse_empty

GENERATORS, CRITICS = "generators", "critics"


@dataclass(frozen=True, kw_only=True)
class CycleGANConfig:
    """The authors' defaults. Lengths: 200 epochs of 12,500 pictures.

    width, blocks: of the generators; 6 blocks are for pictures of 128 px, 9 for 256.
    critic_width, critic_layers: of the critics.
    cycle_weight, identity_weight: lambda_cyc and lambda_idt.
    history_images: what a critic remembers of a generator.
    """

    channels: int = 3
    width: int = 64
    blocks: int = 6
    critic_width: int = 64
    critic_layers: CountFromZero = 3
    cycle_weight: float = 10.0
    identity_weight: float = 5.0
    history_images: CountFromZero = 50
    images_seen: int = 2_500_000
    batch_size: int = 1
    patch_px: int = 128
    learning_rate: PositiveNumber = 2e-4


class CycleGAN(Method):
    """Generators first, then critics of what these made; its product is G."""

    Config: ClassVar[type] = CycleGANConfig
    sees: ClassVar[tuple[str, ...]] = ("measured", "picture")

    def __init__(self, config: CycleGANConfig) -> None:
        super().__init__(config)
        if config.patch_px % ResnetGenerator.multiple_px:
            raise UnpairedError(
                f"cyclegan: patch_px must be a multiple of {ResnetGenerator.multiple_px}"
            )
        generator = {"width": config.width, "blocks": config.blocks}
        critic = {"width": config.critic_width, "layers": config.critic_layers}
        self.to_picture, self.to_measured = (
            ResnetGenerator(config.channels, **generator) for _ in range(2)
        )
        self.of_pictures, self.of_measured = (
            PatchCritic(config.channels, **critic) for _ in range(2)
        )
        self._made: tuple[Tensor, Tensor] | None = None

    @property
    def multiple_px(self) -> int:
        """Sides of a measurement are multiples of this."""
        return ResnetGenerator.multiple_px

    @property
    def margin_px(self) -> int | None:
        """None: instance normalization looks at the whole picture."""
        return None

    def samples(
        self,
        packs: Sequence[Pack],
        *,
        seed: int,
        noise: Noise | Condition | None,
        noise_draw: NoiseDraw,
    ) -> FewShotSamples:
        """Return measurements of the first pack and pictures of the second, in orders of their own.

        Raises UnpairedError if they share a scene, or one is empty.
        """
        measured, pictures = packs
        refuse_empty(measured, "unpaired measurement")
        refuse_empty(pictures, "unpaired picture")
        check_disjoint(measured, pictures, ("measurements", "pictures"))
        views = Measurements(measured, noise)
        return FewShotSamples(seed, self.config.patch_px, measured=views, pictures=pictures)

    def phases(self) -> list[Phase]:
        config = self.config
        side = config.patch_px
        self.histories = nn.ModuleDict(
            {
                key: History(config.history_images, config.channels, side)
                for key in ("picture", "measured")
            }
        ).to(next(self.parameters()).device)

        def adam(*networks: nn.Module) -> torch.optim.Optimizer:
            weights = [weight for network in networks for weight in network.parameters()]
            return torch.optim.Adam(weights, lr=config.learning_rate, betas=(0.5, 0.999))

        turns = {
            GENERATORS: adam(self.to_picture, self.to_measured),
            CRITICS: adam(self.of_pictures, self.of_measured),
        }
        return [Phase("train", config.images_seen, turns, falls_in_second_half)]

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        measured, picture = to_signed(batch["measured"]), to_signed(batch["picture"])
        if state.turn == CRITICS:
            return self._critics_loss(measured, picture, batch["sample"], state)
        return self._generators_loss(measured, picture)

    def _generators_loss(self, measured: Tensor, picture: Tensor) -> dict[str, Tensor]:
        made_picture, made_measured = self.to_picture(measured), self.to_measured(picture)
        self._made = made_picture.detach(), made_measured.detach()
        fooled = _squared(self.of_pictures(made_picture), 1.0)
        fooled = fooled + _squared(self.of_measured(made_measured), 1.0)
        cycle = l1_loss(self.to_measured(made_picture), measured)
        cycle = cycle + l1_loss(self.to_picture(made_measured), picture)
        identity = l1_loss(self.to_picture(picture), picture)
        identity = identity + l1_loss(self.to_measured(measured), measured)
        loss = fooled + self.config.cycle_weight * cycle + self.config.identity_weight * identity
        return {"loss": loss, "fooled": fooled, "cycle": cycle, "identity": identity}

    def _critics_loss(
        self, measured: Tensor, picture: Tensor, samples: Tensor, state: TrainingState
    ) -> dict[str, Tensor]:
        """Judge what the generators made before their step, as the authors' code does."""
        drawn = state.generators(samples, "history")
        made_picture, made_measured = self._made
        old_picture = self.histories["picture"].swapped(made_picture, drawn)
        old_measured = self.histories["measured"].swapped(made_measured, drawn)
        loss = _squared(self.of_pictures(picture), 1.0)
        loss = loss + _squared(self.of_pictures(old_picture), 0.0)
        loss = loss + _squared(self.of_measured(measured), 1.0)
        loss = loss + _squared(self.of_measured(old_measured), 0.0)
        return {"loss": loss / 2}

    def finish(self) -> None:
        del self.histories

    def translate(self, measured: Tensor) -> Tensor:
        """Return G of measurements, B x C x H x W in [-1, 1]."""
        return self.to_picture(measured)

    def restore(self, observation: Observation) -> Tensor:
        """Return the picture of a measurement in [0, 1]."""
        with torch.inference_mode():
            return from_signed(self.translate(to_signed(observation.image)))


class History(nn.Module):
    """What a generator made, of which critics see half (section 4); buffers, for resuming."""

    def __init__(self, size: int, channels: int, side: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, channels, side, side))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def swapped(self, made: Tensor, generators: list[Generator]) -> Tensor:
        """Return each picture, or an older one in whose place it is kept, with equal chances.

        Until it is full, pictures are kept and returned.
        """
        shown = []
        for image, generator in zip(made, generators, strict=True):
            count = int(self.count)
            if count < len(self.images):
                self.images[count] = image
                self.count += 1
                shown.append(image)
                continue
            device = generator.device
            place = int(torch.randint(len(self.images), (), generator=generator, device=device))
            if bool(torch.randint(2, (), generator=generator, device=device)):
                shown.append(self.images[place].clone())
                self.images[place] = image
            else:
                shown.append(image)
        return torch.stack(shown)


def _squared(judged: Tensor, wanted: float) -> Tensor:
    return mse_loss(judged, torch.full_like(judged, wanted))
