"""Where objects are in pictures with depth: a detector of each, and both fused (Table 5.7).

Detectors of pictures and of HHA are trained by themselves and averaged afterwards, as in Gupta et
al. 2014. Both judge the same windows, so that their probabilities are of the same things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from unpaired.learning.method import Method
from unpaired.metrics.voc import Boxes
from unpaired.systems.features.methods.rgbd_encoder import FIELDS, signed
from unpaired.systems.features.methods.voc_detector import VOCDetector, VOCDetectorConfig

CLASSES = 19  # that are detected in NYU-D


@dataclass(frozen=True, kw_only=True)
class RGBDetectorConfig(VOCDetectorConfig):
    """seen: "rgb" and nothing else."""

    seen: str = "rgb"
    classes: int = CLASSES


@dataclass(frozen=True, kw_only=True)
class HHADetectorConfig(VOCDetectorConfig):
    """seen: "hha" and nothing else."""

    seen: str = "hha"
    classes: int = CLASSES


class _OfOne(VOCDetector):
    """A detector that sees one field of records with several."""

    def planes(self, picture: Tensor) -> Tensor:
        return signed(picture)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of a record that it is shown."""
        return (self.field,)

    def find(self, pictures: Mapping[str, np.ndarray], device: torch.device) -> Boxes:
        """Return the objects of pictures by field, H x W x 3 in [0, 1], in their own pixels."""
        return self.detect(pictures[self.field], device)


class RGBDetector(_OfOne):
    """Fast R-CNN on pictures."""

    Config: ClassVar[type] = RGBDetectorConfig
    sees: ClassVar[tuple[str, ...]] = ("image", "boxes")
    field: ClassVar[str] = FIELDS["rgb"]
    channels_of: ClassVar[Mapping[str, slice]] = {"rgb": slice(0, 3)}


class HHADetector(_OfOne):
    """Fast R-CNN on HHA."""

    Config: ClassVar[type] = HHADetectorConfig
    sees: ClassVar[tuple[str, ...]] = ("hha", "boxes")
    field: ClassVar[str] = FIELDS["hha"]
    channels_of: ClassVar[Mapping[str, slice]] = {"hha": slice(0, 3)}


@dataclass(frozen=True, kw_only=True)
class RGBDDetectorConfig:
    """There is nothing to set."""


class RGBDDetector:
    """Two detectors in one: the mean of their probabilities, and of the ways from their windows.

    It is given them in the roles "rgb" and "hha", and learns nothing itself.
    """

    Config: ClassVar[type] = RGBDDetectorConfig
    sees: ClassVar[tuple[str, ...]] = ("image", "hha")
    knows: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = tuple(FIELDS.values())

    def __init__(self, config: RGBDDetectorConfig) -> None:
        self.config = config
        self.others: dict[str, Any] = {}

    def receive(self, role: str, other: Method) -> None:
        """Take a trained detector, which does not change any more."""
        self.others[role] = other.eval().requires_grad_(False)

    @property
    def classes(self) -> int:
        """How many classes its detectors know."""
        return self.others["rgb"].config.classes

    def find(self, pictures: Mapping[str, np.ndarray], device: torch.device) -> Boxes:
        """Return the objects of pictures by field, H x W x 3 in [0, 1], in their own pixels."""
        judged = [other.judged(pictures[other.field], device) for other in self.others.values()]
        probabilities, ways = (
            torch.stack(parts).mean(dim=0) for parts in zip(*judged, strict=True)
        )
        size = pictures[self.fields[0]].shape[:2]
        return self.others["rgb"].chosen(probabilities, ways, size)
