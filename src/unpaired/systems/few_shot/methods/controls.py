"""What is scored beside the methods and has learned nothing: the measurement, a mean portrait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.data.packs import Pack
from unpaired.learning.method import Method, Observation


@dataclass(frozen=True)
class ControlConfig:
    """There is nothing to set."""


class Control:
    """A product without a training. hole: it is told where the hole is, which no method is."""

    Config: ClassVar[type] = ControlConfig
    sees: ClassVar[tuple[str, ...]] = ()
    knows: ClassVar[tuple[str, ...]] = ()
    multiple_px: ClassVar[int] = 1
    margin_px: ClassVar[int | None] = None

    def __init__(self, config: ControlConfig = ControlConfig()) -> None:
        self.config = config
        self.others: dict[str, Method] = {}


class Unfilled(Control):
    """The measurement itself, with its hole."""

    def restore(self, observation: Observation) -> Tensor:
        """Return the measurement."""
        return observation.image


class MeanPortrait(Control):
    """The mean of the unpaired pictures, pasted into the hole.

    It alone is told where the hole is: what a method must beat to have said anything about a face.
    """

    knows: ClassVar[tuple[str, ...]] = ("hole",)

    def __init__(self, config: ControlConfig = ControlConfig()) -> None:
        super().__init__(config)
        self.mean: Tensor | None = None

    def take_pictures(self, pack: Pack, seed: int) -> None:
        """Take the mean of a pack's pictures; the seed changes nothing.

        Raises UnpairedError unless they are all of one size.
        """
        if len({pack.shape(index) for index in pack}) != 1:
            raise UnpairedError(f"pack {pack.path}: pictures of several sizes have no mean")
        total = sum(torch.from_numpy(pack.read_unit(index)).double() for index in pack)
        self.mean = (total / len(pack)).float().permute(2, 0, 1)[None]

    def restore(self, observation: Observation, hole: Tensor) -> Tensor:
        """Return the measurement with the mean in ``hole``, H x W bool."""
        return torch.where(hole, self.mean.to(observation.image.device), observation.image)
