"""Encoders: what learns features of pictures and gives them, networks that see channels of Lab."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.imaging.orientation import mirror_at_random
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.learning.phases import adam_phase
from unpaired.networks.alexnet_caffe import LAYERS, CaffeAlexNet
from unpaired.networks.kmeans_init import initialize_from_patches

PICTURES = ("image", "hha")  # What a batch may show, 3 channels in [0, 1] each.
# What a network can be shown of Lab.
CHANNELS = {"l": slice(0, 1), "ab": slice(1, 3), "lab": slice(0, 3)}
LIGHTNESS_CENTER = 50.0
SCALE = 50.0
INITIALIZATIONS = ("gaussian", "kmeans")
KMEANS_SAMPLES = 100


class Encoder(Protocol):
    """A product: features of every convolution."""

    def features(self, picture: Tensor) -> dict[str, Tensor]: ...


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The network of an encoder.

    width: factor on all channels of the convolutions. first_kernel_px, first_stride, top_channels,
    top_kernel_px: see `CaffeAlexNet`. initialization: "gaussian" (of He's deviation), or "kmeans"
    of patches of the first training samples, as the authors' networks start.
    """

    width: float = 1.0
    first_kernel_px: int = 11
    first_stride: int = 4
    top_channels: int = 4096
    top_kernel_px: int = 6
    initialization: str = "kmeans"
    images_seen: int = 18_000_000  # 450,000 iterations
    batch_size: int = 40
    patch_px: int = 180
    learning_rate: PositiveNumber = 3e-5
    schedule: str = "color_alexnet"
    beta2: ShareBelowOne = 0.999
    weight_decay: float = 1e-3


class CaffeEncoder(Method):
    """Networks side by side, each of which sees a part of what a record's ``field`` shows.

    `features` concatenates what they give, layer by layer, along the channels (section 5.3.2).
    """

    Config: ClassVar[type] = EncoderConfig
    field: ClassVar[str] = "image"
    config: Any

    def __init__(self, config: Any, networks: Iterable[CaffeAlexNet]) -> None:
        super().__init__(config)
        check_choice("features", "initialization", config.initialization, INITIALIZATIONS)
        self.networks = nn.ModuleList(networks)

    def given(self, picture: Tensor) -> list[Tensor]:
        """Return what each network sees of pictures, B x 3 x H x W in [0, 1]."""
        raise TypeError(f"{type(self).__name__} must define given()")

    def prepare(self, samples: Any, seed: int) -> None:
        """Initialize convolutions 1 to 5 by k-means of patches, where the settings say so."""
        if self.config.initialization != "kmeans":
            return
        pictures = torch.stack([samples[number][self.field] for number in range(KMEANS_SAMPLES)])
        for number, given in enumerate(self.given(pictures)):
            initialize_from_patches(_Trunk(self.networks[number]), given, seed, "features", number)

    def phases(self) -> list[Phase]:
        config = self.config
        for network in self.networks:
            network.normalize()
        options = {"betas": (0.9, config.beta2), "weight_decay": config.weight_decay}
        return [adam_phase(config, self.parameters(), **options, fused=True)]

    def mirrored(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """Return a batch's pictures, each with all of its fields mirrored left to right or not."""
        generators = state.generators(batch["sample"], "mirror")
        shown = {key: batch[key] for key in PICTURES if key in batch}
        return dict(zip(shown, mirror_at_random(generators, *shown.values()), strict=True))

    def finish(self) -> None:
        """Absorb batch normalization into the convolutions (section 5.4)."""
        for network in self.networks:
            network.fold()

    def features(self, picture: Tensor) -> dict[str, Tensor]:
        """Return conv1 .. conv5 after their ReLU, B x C x H' x W', of B x 3 x H x W in [0, 1].

        Padded as the classification network of Table 5.3. Raises UnpairedError for pictures that
        are too small for it.
        """
        side = min(picture.shape[-2:])
        least = self.config.first_kernel_px + 8 * self.config.first_stride
        if side < least:
            raise UnpairedError(f"pictures of {side} px; this network needs {least} px at least")
        shown = zip(self.networks, self.given(picture), strict=True)
        found = [network.features(given) for network, given in shown]
        return {name: torch.cat([one[name] for one in found], dim=1) for name in LAYERS}


class LabEncoder(CaffeEncoder):
    """Networks that see some channels of Lab: lightness is centered at 50, all is divided by 50."""

    sees: ClassVar[tuple[str, ...]] = ("image",)

    def __init__(self, config: Any, seen: list[str], outputs: list[int], share: float) -> None:
        """seen: of each network, a key of CHANNELS. share: of the channels that each has."""
        networks = (
            CaffeAlexNet(
                _count(what),
                count,
                width=config.width,
                share=share,
                grouped=share == 1,
                first_kernel_px=config.first_kernel_px,
                first_stride=config.first_stride,
                top_channels=config.top_channels,
                top_kernel_px=config.top_kernel_px,
            )
            for what, count in zip(seen, outputs, strict=True)
        )
        super().__init__(config, networks)
        self.seen = seen

    def given(self, picture: Tensor) -> list[Tensor]:
        lab = scaled_lab(picture)
        return [lab[:, CHANNELS[what]] for what in self.seen]

    def mirrored_lab(self, batch: dict[str, Tensor], state: TrainingState) -> Tensor:
        """Return a batch's pictures in scaled Lab, each mirrored left to right or not."""
        return scaled_lab(self.mirrored(batch, state)["image"])


class _Trunk(nn.Module):
    """The convolutions of a network, without its head."""

    def __init__(self, network: CaffeAlexNet) -> None:
        super().__init__()
        self.convolutions = network.convolutions
        self.run = network.features  # A bound method: the head is no module of this one.

    def forward(self, pictures: Tensor) -> Tensor:
        return self.run(pictures, padded=True)[LAYERS[-1]]


def _count(what: str) -> int:
    channels = CHANNELS[what]
    return channels.stop - channels.start


def scaled_lab(picture: Tensor) -> Tensor:
    """Return (L - 50) / 50 and ab / 50, B x 3 x H x W, of sRGB in [0, 1]."""
    lab = rgb_to_lab(picture)
    return torch.cat([lab[:, :1] - LIGHTNESS_CENTER, lab[:, 1:]], dim=1) / SCALE
