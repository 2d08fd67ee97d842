"""A stretch of training with Adam, as long and as fast as a method's settings say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_

from unpaired.core.errors import check_choice
from unpaired.learning.method import Phase
from unpaired.learning.schedules import SCHEDULES


class TrainingConfig(Protocol):
    """What every method's settings hold that is trained in one stretch. schedule: of SCHEDULES."""

    images_seen: int
    learning_rate: float
    schedule: str


def adam_phase(
    config: TrainingConfig,
    parameters: Iterable[Parameter],
    *,
    clip_norm: float | None = None,
    **options: Any,
) -> Phase:
    """Return the phase "train" of all images.

    Gradients of a norm above ``clip_norm`` are shortened to it. options: of Adam, where "fused"
    changes bits. Raises UnpairedError for an unknown schedule.
    """
    check_choice("training", "schedule", config.schedule, SCHEDULES)
    parameters = list(parameters)
    optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, **options)
    if clip_norm is not None:

        def shorten(*_: object) -> None:
            clip_grad_norm_(parameters, clip_norm)

        optimizer.register_step_pre_hook(shorten)
    return Phase("train", config.images_seen, optimizer, SCHEDULES[config.schedule])
