"""ESRGAN (Wang et al. 2018): a generator, a relativistic discriminator, and features of VGG-19.

    L_G = w_1 |G(x) - y|_1 + w_f |F(G(x)) - F(y)|_1 + w_a L_Ra                      (Equation 3)
    L_Ra = (BCE(C(y) - E[C(G(x))], 0) + BCE(C(G(x)) - E[C(y)], 1)) / 2        (Equations 1 and 2)

x is small, y large, C the discriminator before a sigmoid, E the mean over the batch. F is the last
convolution of VGG-19's fifth group, before its ReLU (section 3.3). The discriminator minimizes the
same with the labels exchanged. The sums of two are halved, as in the authors' code; weights and
lengths are those of the code that LUD-VAE's authors trained with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import PositiveNumber
from unpaired.learning.method import Phase, TrainingState
from unpaired.learning.schedules import SCHEDULES
from unpaired.networks.vgg_discriminator import VGGDiscriminator
from unpaired.systems.super_resolution.features import FEATURES, feature_network, untrained
from unpaired.systems.super_resolution.methods.rrdb_l1 import Enlarger, EnlargerConfig

GENERATOR, DISCRIMINATOR = "generator", "discriminator"


@dataclass(frozen=True, kw_only=True)
class ESRGANConfig(EnlargerConfig):
    """The settings of Impressionism's training code, which LUD-VAE uses (section 4.3).

    pixel_weight, feature_weight, adversarial_weight: w_1, w_f and w_a. Without the last there is no
        discriminator, without the second no feature network.
    feature_network: F, one of `features.FEATURES`.
    discriminator_width: channels of the discriminator's first layer.
    """

    pixel_weight: float = 0.01
    feature_weight: float = 1.0
    adversarial_weight: float = 0.005
    feature_network: str = "vgg19"
    discriminator_width: int = 64
    images_seen: int = 960_000
    learning_rate: PositiveNumber = 1e-4
    schedule: str = "esrgan_halvings"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any((self.pixel_weight, self.feature_weight, self.adversarial_weight)):
            raise UnpairedError("esrgan: weights of the loss must not all be 0")
        check_choice("esrgan", "feature_network", self.feature_network, FEATURES)


class ESRGAN(Enlarger):
    """The generator first, then the discriminator on what the generator made before its step."""

    Config: ClassVar[type] = ESRGANConfig
    config: ESRGANConfig

    def __init__(self, config: ESRGANConfig) -> None:
        super().__init__(config)
        self.discriminator = None
        if config.adversarial_weight:
            self.discriminator = VGGDiscriminator(
                config.channels, width=config.discriminator_width, side_px=config.patch_px
            )
        self._made: Tensor | None = None

    def timing_batch(self, device: torch.device) -> dict[str, Tensor]:
        if self.config.feature_weight:
            self.others["features"] = untrained(self.config.feature_network).to(device)
        return super().timing_batch(device)

    def phases(self) -> list[Phase]:
        config = self.config
        check_choice("esrgan", "schedule", config.schedule, SCHEDULES)
        if config.feature_weight and "features" not in self.others:
            device = next(self.parameters()).device
            # Beside the weights, as models are that a method is given.
            self.others["features"] = feature_network(config.feature_network).to(device)
        turns = {GENERATOR: self._adam(self.network)}
        if self.discriminator is not None:
            turns[DISCRIMINATOR] = self._adam(self.discriminator)
        return [Phase("train", config.images_seen, turns, SCHEDULES[config.schedule])]

    def _adam(self, network: torch.nn.Module) -> torch.optim.Optimizer:
        config = self.config
        betas = (0.9, config.beta2)
        return torch.optim.Adam(
            network.parameters(), lr=config.learning_rate, betas=betas, fused=True
        )

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        if state.turn == DISCRIMINATOR:
            return self._discriminator_loss(batch["large"])
        return self._generator_loss(batch["small"], batch["large"])

    def _generator_loss(self, small: Tensor, large: Tensor) -> dict[str, Tensor]:
        config = self.config
        made = self.network(small)
        found = {"pixel": l1_loss(made.float(), large)}
        loss = config.pixel_weight * found["pixel"]
        if config.feature_weight:
            features = self.others["features"]
            with torch.no_grad():
                wanted = features(large)
            found["feature"] = l1_loss(features(made).float(), wanted.float())
            loss = loss + config.feature_weight * found["feature"]
        if self.discriminator is not None:
            self._made = made.detach()
            with torch.no_grad():
                real = self.discriminator(large).float()
            found["adversarial"] = relativistic_loss(self.discriminator(made).float(), real)
            loss = loss + config.adversarial_weight * found["adversarial"]
        return {"loss": loss, **found}

    def _discriminator_loss(self, large: Tensor) -> dict[str, Tensor]:
        real = self.discriminator(large).float()
        made = self.discriminator(self._made).float()
        return {
            "loss": relativistic_loss(real, made),
            "real": real.mean().detach(),
            "made": made.mean().detach(),
        }

    def finish(self) -> None:
        self._made = None
        self.others.pop("features", None)


def relativistic_loss(winning: Tensor, losing: Tensor) -> Tensor:
    """Return the relativistic average loss of those that should look more real than the others.

    Both are B x 1, before a sigmoid.
    """
    above, below = winning - losing.mean(), losing - winning.mean()
    wins = binary_cross_entropy_with_logits(above, torch.ones_like(above))
    loses = binary_cross_entropy_with_logits(below, torch.zeros_like(below))
    return (wins + loses) / 2
