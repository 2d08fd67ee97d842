"""A stretch of training with Adam, as long and as fast as a method's settings say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch.nn import Parameter

from unpaired.learning.method import Phase
from unpaired.learning.schedules import SCHEDULES


class TrainingConfig(Protocol):
    """What every method's settings hold that is trained in one stretch. schedule: of SCHEDULES."""

    images_seen: int
    learning_rate: float
    schedule: str


def adam_phase(config: TrainingConfig, parameters: Iterable[Parameter], **options: Any) -> Phase:
    """Return the phase "train" of all images; options: of Adam, where "fused" changes bits."""
    optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, **options)
    return Phase("train", config.images_seen, optimizer, SCHEDULES[config.schedule])
