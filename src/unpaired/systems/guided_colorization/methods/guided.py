"""What both networks of user-guided colorization have in common (Zhang 2018, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.imaging.orientation import mirror_at_random
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.learning.phases import adam_phase
from unpaired.networks.colorization import ColorizationNet
from unpaired.networks.guided_colorization import MainNet

HUBER_DELTA = 1.0  # in ab units


@dataclass(frozen=True, kw_only=True)
class GuidedConfig:
    """Settings of both networks. What the thesis does not tell is that of the authors' port.

    width: channels of the first block. affine, output_scale: see `MainNet`. picture_px: shorter
    side of the pictures that the training patches are cut from, at which the network expects to see
    others too.
    """

    width: int = 64
    affine: bool = False
    output_scale: PositiveNumber = 100.0
    images_seen: int = 19_217_565  # 15 epochs of ImageNet
    batch_size: int = 25
    patch_px: int = 176
    picture_px: int = 256
    learning_rate: PositiveNumber = 1e-5
    schedule: str = "tenth_after_two_thirds"
    beta2: ShareBelowOne = 0.999


class GuidedColorizer(Method):
    """A network whose colors are compared with the true ones by Huber's loss (Equations 3.4, 3.5).

    The loss is the mean over pixels and pictures of the sum over a and b.
    """

    Config: ClassVar[type] = GuidedConfig
    sees: ClassVar[tuple[str, ...]] = ("image",)
    takes: ClassVar[tuple[str, ...]] = ()
    config: GuidedConfig
    network: MainNet

    @property
    def multiple_px(self) -> int:
        """Sides of training patches are multiples of this; `colorize` takes any size."""
        return self.network.multiple_px

    @property
    def picture_px(self) -> int:
        """Shorter side that pictures are shrunk to before the network sees them."""
        return self.config.picture_px

    def start_from(self, other: Method) -> None:
        """Take over blocks 1 to 8 of a network of automatic colorization (section 3.3.4).

        Raises UnpairedError if ``other`` has none of the same width and normalization.
        """
        network = getattr(other, "network", None)
        own, name = self.config, type(self).__name__
        if not isinstance(network, ColorizationNet):
            raise UnpairedError(f"{name}: can start only from a model of 'colorization'")
        if (other.config.width, other.config.affine) != (own.width, own.affine):
            raise UnpairedError(
                f"{name}: can start only from a colorizer of width {own.width} and affine "
                f"{own.affine}; its are {other.config.width} and {other.config.affine}"
            )
        self.network.start_from(network)

    def phases(self) -> list[Phase]:
        betas = (0.9, self.config.beta2)
        return [adam_phase(self.config, self.parameters(), betas=betas, fused=True)]

    def _mirrored(self, batch: dict[str, Tensor], state: TrainingState) -> tuple[Tensor, Tensor]:
        """Return pictures, each mirrored or not, in RGB and in Lab."""
        (rgb,) = mirror_at_random(state.generators(batch["sample"], "mirror"), batch["image"])
        return rgb, rgb_to_lab(rgb)

    def _padding(self, lightness: Tensor) -> tuple[int, int, int, int]:
        """Return what is missing on the right and at the bottom to multiples, for `pad`."""
        bottom, right = (-side % self.multiple_px for side in lightness.shape[-2:])
        return 0, right, 0, bottom


def huber(predicted: Tensor, true: Tensor) -> Tensor:
    """Return Equation 3.5 per pixel and picture: sum over a and b, both B x 2 x H x W."""
    losses = functional.huber_loss(predicted, true, reduction="none", delta=HUBER_DELTA)
    return losses.sum(1).mean()


def of_each(maps: Tensor, batch: int, device: torch.device) -> Tensor:
    """Return maps C x H x W of one picture for every picture of a batch; B x C x H x W stay."""
    here = maps.to(device)
    return here.expand(batch, *here.shape) if here.ndim == 3 else here
