"""Features learned by predicting channels of a picture from others (Zhang 2018, section 5.3).

One class for all rows of Tables 5.4 and 5.5 that learn from pictures alone: cross-channel encoders,
the split-brain autoencoder (a half of the network for each of two of them), autoencoders, and one
network for several tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import Share
from unpaired.imaging.color.ab_bins import BINS, hard_encode
from unpaired.learning.method import TrainingState
from unpaired.systems.features.methods.encoder import (
    CHANNELS,
    LIGHTNESS_CENTER,
    SCALE,
    EncoderConfig,
    LabEncoder,
)

TASKS = {"l_to_ab": ("l", "ab"), "ab_to_l": ("ab", "l"), "lab_to_lab": ("lab", "lab")}
LOSSES = ("classification", "regression")
LIGHTNESS_BINS = 50
LIGHTNESS_BIN_SIDE = 2.0


@dataclass(frozen=True, kw_only=True)
class CrossChannelConfig(EncoderConfig):
    """tasks: of TASKS, with spaces between them. losses: of each task, or one for all.

    is_shared: one network sees all of Lab, with the channels zeroed that a task is not given, and
    learns all tasks (Equations 5.4, 5.5); else every task has a network of its own with an equal
    share of the channels. dropped: share of the input's numbers that are zeroed at random.
    """

    tasks: str = "l_to_ab ab_to_l"
    losses: str = "classification"
    is_shared: bool = False
    dropped: Share = 0.0

    def __post_init__(self) -> None:
        for task in self.tasks.split() or [""]:
            check_choice("cross_channel", "tasks", task, TASKS)
        for loss in self.losses.split() or [""]:
            check_choice("cross_channel", "losses", loss, LOSSES)
        if len(self.losses.split()) not in (1, len(self.tasks.split())):
            raise UnpairedError(
                f"cross_channel: losses '{self.losses}': name one for all tasks, or one for each "
                f"of '{self.tasks}'"
            )
        classified = "classification" in self.losses
        if classified and (self.is_shared or "lab_to_lab" in self.tasks):
            raise UnpairedError(
                "cross_channel: classification is for l_to_ab and ab_to_l in networks of their "
                "own; set losses to regression"
            )
        if not 0 <= self.dropped < 1:
            raise UnpairedError(f"cross_channel: dropped must be in [0, 1), not {self.dropped}")


class CrossChannel(LabEncoder):
    """Cross-entropy of one-hot bins, or half the squared error, at every 16th pixel.

    Bins are the 313 of ab, without rebalancing, and 50 of lightness. Losses of tasks are summed; a
    network that learns several gets their mean, as Equation 5.5 does with lambda = 1/3.
    """

    Config: ClassVar[type] = CrossChannelConfig
    config: CrossChannelConfig

    def __init__(self, config: CrossChannelConfig) -> None:
        self.tasks = config.tasks.split()
        losses = config.losses.split()
        self.task_losses = losses * len(self.tasks) if len(losses) == 1 else losses
        if config.is_shared:
            super().__init__(config, ["lab"], [3], 1.0)
            return
        seen = [TASKS[task][0] for task in self.tasks]
        outputs = [
            _outputs(task, loss) for task, loss in zip(self.tasks, self.task_losses, strict=True)
        ]
        super().__init__(config, seen, outputs, 1 / len(self.tasks))

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """``batch["image"]``: sRGB in [0, 1], B x 3 x P x P."""
        lab = self.mirrored_lab(batch, state)
        found = {}
        for number, (task, loss) in enumerate(zip(self.tasks, self.task_losses, strict=True)):
            output, stride = self._predicted(task, number, lab)
            wanted = at_outputs(lab, tuple(output.shape[-2:]), stride)
            found[f"{number}_{task}"] = _loss(output, wanted[:, CHANNELS[TASKS[task][1]]], loss)
        total = torch.stack(list(found.values())).sum()
        if self.config.is_shared:
            total = total / len(self.tasks)
        return {"loss": total, **{key: value.detach() for key, value in found.items()}}

    def _predicted(self, task: str, number: int, lab: Tensor) -> tuple[Tensor, int]:
        """Return what a task's network makes of what it is given, and its stride."""
        given, wanted = (CHANNELS[what] for what in TASKS[task])
        network: Any = self.networks[0 if self.config.is_shared else number]
        if self.config.is_shared:
            shown = torch.zeros_like(lab)
            shown[:, given] = lab[:, given]
        else:
            shown = lab[:, given]
        output = network(functional.dropout(shown, self.config.dropped))
        return (output[:, wanted] if self.config.is_shared else output), network.stride_px


def _outputs(task: str, loss: str) -> int:
    wanted = CHANNELS[TASKS[task][1]]
    if loss == "regression":
        return wanted.stop - wanted.start
    return BINS if TASKS[task][1] == "ab" else LIGHTNESS_BINS


def at_outputs(planes: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Return the pixels of B x C x H x W that outputs of ``size`` stand for: every ``stride``-th.

    The thesis does not say how targets are made small; its colorizer takes single pixels, too. An
    output beyond the last pixel has that one.
    """
    rows, columns = (
        torch.arange(count, device=planes.device).mul(stride).clamp(max=side - 1)
        for count, side in zip(size, planes.shape[-2:], strict=True)
    )
    return planes[..., rows[:, None], columns]


def _loss(output: Tensor, wanted: Tensor, loss: str) -> Tensor:
    """Return the mean over pictures and places; wanted: channels of scaled Lab."""
    if loss == "regression":
        return (output - wanted).square().sum(dim=1).mean() / 2
    is_color = wanted.shape[1] == 2
    bins = hard_encode(SCALE * wanted) if is_color else lightness_bins(wanted[:, 0])
    return functional.cross_entropy(output, bins)


def lightness_bins(scaled: Tensor) -> Tensor:
    """Return which of 50 bins of width 2 a lightness is in, given as (L - 50) / 50: int64."""
    lightness = SCALE * scaled + LIGHTNESS_CENTER
    return (lightness / LIGHTNESS_BIN_SIDE).long().clamp(0, LIGHTNESS_BINS - 1)
