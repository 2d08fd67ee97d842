"""Encoders of pictures with depth that learn one from the other (Zhang 2018, section 5.5.2).

A picture predicts the HHA encoding of its depth, and HHA predicts the picture in Lab. Both networks
are whole AlexNets; concatenated they are the split-brain autoencoder of RGB-D images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from unpaired.data.packs import Pack
from unpaired.imaging.color.ab_bins import BINS, hard_encode
from unpaired.learning.method import Phase, TrainingState
from unpaired.networks.alexnet_caffe import CaffeAlexNet
from unpaired.systems.features.crops import Crops
from unpaired.systems.features.methods.cross_channel import at_outputs
from unpaired.systems.features.methods.encoder import (
    SCALE,
    CaffeEncoder,
    EncoderConfig,
    scaled_lab,
)
from unpaired.systems.features.voc_samples import require_pictures

# What is seen -> the field of a record that has it, three channels each.
FIELDS = {"rgb": "image", "hha": "hha"}
COLOR_WEIGHT = 200.0  # beside squares of CIE's L, so that both branches pull about equally
BRANCHES = 2


def signed(picture: Tensor) -> Tensor:
    """Return what is in [0, 1] in [-1, 1], as networks of RGB and of HHA see it."""
    return 2 * picture - 1


class RGBDEncoder(CaffeEncoder):
    """A network that sees the pictures, or the HHA, of records with both.

    what: a key of FIELDS.
    """

    sees: ClassVar[tuple[str, ...]] = ("image", "hha")
    what: ClassVar[str]

    def __init__(self, config: Any, outputs: int, top_channels: int) -> None:
        network = CaffeAlexNet(
            3,
            outputs,
            width=config.width,
            first_kernel_px=config.first_kernel_px,
            first_stride=config.first_stride,
            top_channels=top_channels,
            top_kernel_px=config.top_kernel_px,
        )
        super().__init__(config, [network])
        self.seen = [self.what]

    @property
    def field(self) -> str:
        """Of a record: what the network sees."""
        return FIELDS[self.what]

    def given(self, picture: Tensor) -> list[Tensor]:
        return [signed(picture)]

    def samples(self, packs: Sequence[Pack], *, seed: int, **_: Any) -> Dataset:
        """Return crops; raises UnpairedError for packs without depth, or with small pictures."""
        (pack,) = packs
        require_pictures(pack, *self.sees)
        return Crops(pack, self.sees, self.config.patch_px, seed)


class RGBToHHA(RGBDEncoder):
    """Half the squared error of HHA, in [-1, 1], at every output."""

    what: ClassVar[str] = "rgb"
    config: EncoderConfig

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, 3, config.top_channels)

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """``batch["image"]``, ``batch["hha"]``: B x 3 x P x P in [0, 1]."""
        shown, network = self.mirrored(batch, state), self.networks[0]
        output = network(signed(shown["image"]))
        wanted = at_outputs(signed(shown["hha"]), tuple(output.shape[-2:]), network.stride_px)
        return {"loss": (output - wanted).square().sum(dim=1).mean() / 2}


@dataclass(frozen=True, kw_only=True)
class HHAToLabConfig(EncoderConfig):
    """top_channels: of fc6 and fc7 in each of the two branches."""

    top_channels: int = 512


class HHAToLab(RGBDEncoder):
    """Half the squared error of L, and 200 times the cross-entropy of 313 bins of ab.

    From conv5 on each has a branch fc6, fc7, fc8 of its own: the groups of one head. The thesis
    does not name the units of L; in CIE's (0 to 100) the weight does what it is said to.
    """

    Config: ClassVar[type] = HHAToLabConfig
    what: ClassVar[str] = "hha"
    config: HHAToLabConfig

    def __init__(self, config: HHAToLabConfig) -> None:
        channels = BRANCHES * config.top_channels
        # Groups are of equal size: the first gives L, and its other outputs are not used.
        super().__init__(config, BRANCHES * BINS, channels)
        head = self.networks[0].head
        head[1] = nn.Conv2d(channels, channels, 1, groups=BRANCHES)
        head[2] = nn.Conv2d(channels, BRANCHES * BINS, 1, groups=BRANCHES)
        nn.init.kaiming_normal_(head[1].weight, nonlinearity="relu")
        nn.init.normal_(head[2].weight, std=config.top_channels**-0.5)
        for layer in (head[1], head[2]):
            nn.init.zeros_(layer.bias)

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """``batch["image"]``, ``batch["hha"]``: B x 3 x P x P in [0, 1]."""
        shown, network = self.mirrored(batch, state), self.networks[0]
        lightness, color = self.predicted(shown["hha"])
        size = tuple(lightness.shape[-2:])
        wanted = SCALE * at_outputs(scaled_lab(shown["image"]), size, network.stride_px)
        of_lightness = (SCALE * lightness - wanted[:, :1]).square().mean() / 2
        of_color = functional.cross_entropy(color, hard_encode(wanted[:, 1:]))
        return {
            "loss": of_lightness + COLOR_WEIGHT * of_color,
            "lightness": of_lightness.detach(),
            "color": of_color.detach(),
        }

    def predicted(self, hha: Tensor) -> tuple[Tensor, Tensor]:
        """Return (L - 50) / 50, B x 1 x H' x W', and logits of ab's bins, B x 313 x H' x W'."""
        output = self.networks[0](signed(hha))
        return output[:, :1], output[:, BINS:]


class _RGBDInitial(RGBDEncoder):
    """A network as it is before any training."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, 1, config.top_channels)

    def phases(self) -> list[Phase]:
        """Return no phase: there is nothing to train."""
        return []


class RGBInitial(_RGBDInitial):
    """Gaussian weights, or k-means of patches, of pictures."""

    sees: ClassVar[tuple[str, ...]] = ("image",)
    what: ClassVar[str] = "rgb"


class HHAInitial(_RGBDInitial):
    """Gaussian weights, or k-means of patches, of HHA."""

    sees: ClassVar[tuple[str, ...]] = ("hha",)
    what: ClassVar[str] = "hha"
