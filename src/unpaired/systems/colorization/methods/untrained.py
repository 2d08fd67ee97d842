"""Colors without a training: none, or those of another picture (Table 2.1 of Zhang 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.data.packs import Pack
from unpaired.imaging.color.lab import rgb_to_lab

# Keys of randomness are data: another spelling would draw other colors.
KEY = "random colours"  # codespell:ignore


@dataclass(frozen=True)
class UntrainedConfig:
    """There is nothing to set."""


class Untrained:
    """What gives colors to lightness of any size, without having learned any."""

    Config: ClassVar[type] = UntrainedConfig
    sees: ClassVar[tuple[str, ...]] = ("lightness",)
    knows: ClassVar[tuple[str, ...]] = ()
    picture_px: ClassVar[int | None] = None

    def __init__(self, config: UntrainedConfig = UntrainedConfig()) -> None:
        self.config = config


class Gray(Untrained):
    """No colors at all."""

    def colorize(self, lightness: Tensor, *key: object) -> Tensor:
        """Return zeros, B x 2 x H x W."""
        return torch.zeros_like(lightness).expand(-1, 2, -1, -1)


class RandomColors(Untrained):
    """The colors of one training picture, drawn at random for every picture.

    The picture is stretched to the size of the one that gets its colors: the thesis does not say
    how sizes are met. `take_pictures` comes first.
    """

    def __init__(self, config: UntrainedConfig = UntrainedConfig()) -> None:
        super().__init__(config)
        self.pack: Pack | None = None
        self.seed = 0

    def take_pictures(self, pack: Pack, seed: int) -> None:
        """Draw from the pictures of ``pack``; seed and colored picture decide which is drawn."""
        self.pack, self.seed = pack, seed

    def colorize(self, lightness: Tensor, *key: object) -> Tensor:
        """Return ab, B x 2 x H x W, for lightness B x 1 x H x W; key names the picture.

        Raises UnpairedError if there are no pictures to draw from.
        """
        if not self.pack:
            raise UnpairedError("random colors are those of training pictures; there are none")
        drawn = []
        for number in range(len(lightness)):
            rng = numpy_generator(self.seed, KEY, *key, number)
            picture = self.pack.read_unit(int(rng.integers(len(self.pack))))
            rgb = torch.from_numpy(picture).to(lightness.device).permute(2, 0, 1)[None]
            ab = rgb_to_lab(rgb)[:, 1:]
            size = tuple(lightness.shape[-2:])
            if ab.shape[-2:] != size:
                ab = functional.interpolate(ab, size=size, mode="bilinear", antialias=True)
            drawn.append(ab)
        return torch.cat(drawn)
