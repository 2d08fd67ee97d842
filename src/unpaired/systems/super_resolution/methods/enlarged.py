"""Bicubic interpolation: what is scored beside the methods and has learned nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unpaired.learning.method import Method
from unpaired.networks.rrdb import SCALE, enlarged


@dataclass(frozen=True)
class EnlargedConfig:
    """There is nothing to set."""


class Enlarged:
    """A product without a training."""

    Config: ClassVar[type] = EnlargedConfig
    sees: ClassVar[tuple[str, ...]] = ()
    knows: ClassVar[tuple[str, ...]] = ()
    scale: ClassVar[int] = SCALE
    margin_px: ClassVar[int] = 3

    def __init__(self, config: EnlargedConfig = EnlargedConfig()) -> None:
        self.config = config
        self.others: dict[str, Method] = {}

    def upscale(self, small: Tensor) -> Tensor:
        """Return pictures, B x C x h x w in [0, 1], four times larger, not clipped."""
        with torch.inference_mode():
            return enlarged(small)
