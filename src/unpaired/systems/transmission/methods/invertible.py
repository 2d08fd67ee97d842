"""The invertible network of CommIN (section 3.2): its coarse part mimics what the channel does.

    L = mean of |c - y|^2                                                              (Equation 9)

y is drawn anew in every step, so the best c is the mean of y over the channel's noise; "floor" in
the history is the error of that mean, half the squared distance of two draws of y. Pictures are in
[-1, 1]. For a split that halves the sides, y is split as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from unpaired.learning.method import TrainingState
from unpaired.networks.invertible import UNDECIMATED, InvertibleNetwork
from unpaired.systems.transmission.methods.of_channel import (
    LearnedForChannel,
    LearnedForChannelConfig,
)


@dataclass(frozen=True, kw_only=True)
class InvertibleConfig(LearnedForChannelConfig):
    """split, levels, pairs, width, blocks: see `networks.invertible`.

    The paper prints a split, prediction and update networks, and no sizes: those of the same
    authors' later code are taken (four pairs, width 32, two blocks).
    """

    split: str = UNDECIMATED
    levels: int = 1
    pairs: int = 4
    width: int = 32
    blocks: int = 2


class Invertible(LearnedForChannel):
    """Splits a picture into what arrives of it, and the details that are lost."""

    Config: ClassVar[type] = InvertibleConfig

    def __init__(self, config: InvertibleConfig) -> None:
        super().__init__(config)
        self.network = InvertibleNetwork(
            config.channels,
            split=config.split,
            levels=config.levels,
            pairs=config.pairs,
            width=config.width,
            blocks=config.blocks,
            squeeze_px=config.squeeze_px,
        )

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        picture, received, again = self.sent(batch, state)
        target, other = self.network.target(received), self.network.target(again)
        loss = functional.mse_loss(self.network(picture)[0], target)
        plain = functional.mse_loss(self.network.plain_coarse(picture), target)
        return {"loss": loss, "floor": functional.mse_loss(other, target) / 2, "plain": plain}

    def take_back(self, picture: Tensor, received: Tensor) -> Tensor:
        """Return INN^-1(y, d): the picture of what was received and of this one's own details.

        Both are B x C x H x W in [-1, 1]; gradients pass through both directions.
        """
        details = self.network(picture)[1]
        return self.network.inverse(self.network.target(received), details, picture.shape[-2:])

    def coarse_error(self, picture: Tensor, received: Tensor) -> Tensor:
        """Return the mean squared error of c to y of each picture, B."""
        difference = self.network(picture)[0] - self.network.target(received)
        return difference.square().flatten(1).mean(dim=1)
