"""Encoders that are trained on for another task (Zhang 2018, section 5.5.1, Table 5.6).

The convolutions of an encoder are copied, perhaps rescaled, and trained with a new head. What the
text leaves to public frameworks of others is said where it is done otherwise here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import PositiveNumber, Share
from unpaired.core.randomness import seed_for
from unpaired.data.packs import Pack
from unpaired.learning.method import Method, Phase
from unpaired.learning.schedules import SCHEDULES
from unpaired.networks.alexnet_caffe import LAYERS, CaffeAlexNet
from unpaired.networks.rescaling import rescale
from unpaired.systems.features.methods.encoder import CHANNELS, scaled_lab
from unpaired.systems.features.voc_samples import Told, VOCSamples, squeezed

PIECES = ("all", "fc6_8")
RESCALED_ON = 16  # pictures
MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True)
class FineTunedConfig:
    """seen: what each network of the encoder sees, "lab", or "l ab" of a split-brain one.

    width, first_kernel_px, first_stride: of the encoder. top_channels: of fc6 and fc7. classes: of
    objects. trained: "all", or "fc6_8" for the head alone. rescaled: whether weights are rescaled
    before. dropout: in the head. patch_px: side that pictures are squeezed to.
    """

    seen: str = "lab"
    width: float = 1.0
    first_kernel_px: int = 11
    first_stride: int = 4
    top_channels: int = 4096
    classes: int = 20
    trained: str = "all"
    rescaled: bool = False
    dropout: Share = 0.5
    images_seen: int = 1_280_000
    batch_size: int = 16
    patch_px: int = 227
    learning_rate: PositiveNumber = 1e-3
    schedule: str = "tenth_midway"
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        check_choice("fine-tuning", "trained", self.trained, PIECES)


class FineTuned(Method):
    """The convolutions of an encoder, and what every task does with them.

    Optimized by gradient descent with momentum. ``told`` is what a task learns from, ``field`` the
    picture of a record that it sees, and ``channels_of`` what a network can be shown of it.
    """

    Config: ClassVar[type] = FineTunedConfig
    field: ClassVar[str] = "image"
    channels_of: ClassVar[Mapping[str, slice]] = CHANNELS
    told: ClassVar[Told]
    padded: ClassVar[bool] = True
    config: FineTunedConfig

    def __init__(self, config: FineTunedConfig) -> None:
        super().__init__(config)
        self.shown = config.seen.split()
        for what in self.shown or [""]:
            check_choice("fine-tuning", "seen", what, self.channels_of)
        self.trunks = nn.ModuleList(
            _trunk(config, self.channels_of[what], len(self.shown)) for what in self.shown
        )
        self.channels = sum(trunk.channels[-1] for trunk in self.trunks)
        self.stride_px = self.trunks[0].stride_px

    def samples(self, packs: Sequence[Pack], *, seed: int, **_: Any) -> Dataset:
        """Return squeezed pictures; raises UnpairedError for packs without what is learned from."""
        (pack,) = packs
        config = self.config
        return VOCSamples(pack, self.told, config.classes, config.patch_px, seed, self.field)

    def planes(self, picture: Tensor) -> Tensor:
        """Return what networks are shown channels of, of B x 3 x H x W in [0, 1]."""
        return scaled_lab(picture)

    def prepare(self, samples: Any, seed: int) -> None:
        """Copy the encoder's convolutions. Raises UnpairedError for one of another form."""
        encoder: Any = self.others["encoder"]
        if encoder.seen != self.shown:
            raise UnpairedError(
                f"fine-tuning: the encoder sees '{' '.join(encoder.seen)}'; set seen to that, "
                f"not '{self.config.seen}'"
            )
        for own, other in zip(self.trunks, encoder.networks, strict=True):
            if own.channels != other.channels:
                raise UnpairedError("fine-tuning: the encoder has another width; set width to it")
            own.convolutions.load_state_dict(other.convolutions.state_dict())
        if self.config.rescaled:
            self._rescale(samples, seed)

    def _rescale(self, samples: Any, seed: int) -> None:
        pictures = torch.stack([samples[number][self.field] for number in range(RESCALED_ON)])
        generator = torch.Generator().manual_seed(seed_for(seed, "rescaling"))
        branches = [list(trunk.convolutions) for trunk in self.trunks]
        rescale(branches, lambda: self._outputs(pictures), generator)

    def _outputs(self, picture: Tensor) -> list[Tensor]:
        planes = self.planes(picture)
        return [
            trunk.features(planes[:, self.channels_of[what]], padded=self.padded)[LAYERS[-1]]
            for what, trunk in zip(self.shown, self.trunks, strict=True)
        ]

    def conv5(self, picture: Tensor) -> Tensor:
        """Return conv5 of sRGB, B x 3 x H x W in [0, 1], all networks side by side."""
        if self.config.trained == "fc6_8":
            with torch.no_grad():
                return torch.cat(self._outputs(picture), dim=1)
        return torch.cat(self._outputs(picture), dim=1)

    def phases(self) -> list[Phase]:
        config = self.config
        check_choice("fine-tuning", "schedule", config.schedule, SCHEDULES)
        self.trunks.requires_grad_(config.trained == "all")
        optimizer = torch.optim.SGD(
            [weights for weights in self.parameters() if weights.requires_grad],
            lr=config.learning_rate,
            momentum=MOMENTUM,
            weight_decay=config.weight_decay,
        )
        return [Phase("train", config.images_seen, optimizer, SCHEDULES[config.schedule])]

    def shown_picture(self, picture: np.ndarray, device: torch.device) -> Tensor:
        """Return a picture, H x W x 3 in [0, 1], as the network has learned to see it."""
        return squeezed(picture, self.config.patch_px)[None].to(device)


def _trunk(config: FineTunedConfig, channels: slice, count: int) -> CaffeAlexNet:
    trunk = CaffeAlexNet(
        channels.stop - channels.start,
        1,
        width=config.width,
        share=1 / count,
        grouped=count == 1,
        first_kernel_px=config.first_kernel_px,
        first_stride=config.first_stride,
        top_channels=count,
        top_kernel_px=1,
    )
    trunk.head = nn.ModuleList()  # What an encoder has learned beyond conv5 is not used.
    return trunk


class Top(nn.Module):
    """fc6 and fc7 with dropout, of features of one size: B x C x N x N -> B x channels."""

    def __init__(self, inputs: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.fc6, self.fc7 = nn.Linear(inputs, channels), nn.Linear(channels, channels)
        self.dropout = dropout
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        found = features.flatten(1)
        for layer in (self.fc6, self.fc7):
            found = functional.dropout(functional.relu(layer(found)), self.dropout, self.training)
        return found
