"""What is scored beside the methods and has learned nothing: real pictures, and all true styles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from unpaired.data.packs import Pack
from unpaired.imaging.pixels import to_uint8
from unpaired.learning.method import Method
from unpaired.systems.translation.sources.drawn_facades import draw_picture, labels_of


@dataclass(frozen=True)
class ControlConfig:
    """There is nothing to set."""


class Control:
    """A product without a training, which gives samples and has no encoder."""

    Config: ClassVar[type] = ControlConfig
    sees: ClassVar[tuple[str, ...]] = ()
    knows: ClassVar[tuple[str, ...]] = ()
    multiple_px: ClassVar[int] = 1
    can_encode: ClassVar[bool] = False

    def __init__(self, config: ControlConfig = ControlConfig()) -> None:
        self.config = config
        self.others: dict[str, Method] = {}


class RealPictures(Control):
    """Outputs of the training set drawn at random: as varied as pictures of any input are."""

    def take_pictures(self, pack: Pack, seed: int) -> None:
        """Take a training set; the seed changes nothing."""
        self.pack = pack

    def sampled(self, picture: Tensor, generators: list[Generator]) -> Tensor:
        """Return an output of the set for every generator: B x 3 x H x W, of the input's size.

        Nothing else of the input counts.
        """
        drawn = [
            int(torch.randint(len(self.pack), (), generator=one, device=one.device))
            for one in generators
        ]
        pictures = np.stack([self.pack.read_unit(index, "output") for index in drawn])
        outputs = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(picture.device)
        size = picture.shape[-2:]
        if outputs.shape[-2:] == size:
            return outputs
        return functional.interpolate(outputs, size, mode="bicubic", antialias=True).clamp(0, 1)


class TrueStyles(Control):
    """Renderings of a drawn facade's labels in styles of their true chances."""

    def sampled(self, picture: Tensor, generators: list[Generator]) -> Tensor:
        """Return a rendering of the label picture for every generator.

        Raises UnpairedError for another picture.
        """
        labels = labels_of(to_uint8(picture[0].permute(1, 2, 0).cpu().numpy()))
        found = [draw_picture(labels, np.random.default_rng(g.initial_seed())) for g in generators]
        return (
            torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float().to(picture.device) / 255
        )
