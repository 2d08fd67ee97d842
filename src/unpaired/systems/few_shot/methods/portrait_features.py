"""A small network that knows portraits: its features stand in for those of Inception and LPIPS.

It learns to tell the attributes of a portrait (CelebAMask-HQ lists 40 of every picture, drawn ones
have those that they were drawn with). Distances in its features are called by its name, never FID
or LPIPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber
from unpaired.core.randomness import EpochOrder
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.data.samples import NoiseDraw
from unpaired.learning.diffusion import draw, to_signed
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.learning.phases import adam_phase

EPS = 1e-8


@dataclass(frozen=True, kw_only=True)
class PortraitFeaturesConfig:
    """width: channels of the first of four layers; the others have 2, 3 and 4 times as many.

    attributes: how many there are to tell. noise_std: added to pictures, in [-1, 1], so that the
    network looks at more than single pixels. patch_px: side of the pictures, a multiple of 8.
    """

    width: int = 64
    attributes: int = 40
    noise_std: float = 0.05
    images_seen: int = 640_000
    batch_size: int = 64
    patch_px: int = 128
    learning_rate: PositiveNumber = 1e-3
    schedule: str = "warmup_cosine"


class PortraitFeatures(Method):
    """Cross-entropy of every attribute; one that is rare in a batch counts like any other."""

    Config: ClassVar[type] = PortraitFeaturesConfig
    sees: ClassVar[tuple[str, ...]] = ("image", "attributes")

    def __init__(self, config: PortraitFeaturesConfig) -> None:
        super().__init__(config)
        if config.patch_px % 8:
            raise UnpairedError("portrait_features: patch_px must be a multiple of 8")
        widths = [config.width * factor for factor in (1, 2, 3, 4)]
        self.layers = nn.ModuleList(
            nn.Sequential(_layer(before, width, 1 if number == 0 else 2), _layer(width, width, 1))
            for number, (before, width) in enumerate(zip([3, *widths], widths, strict=False))
        )
        cells = (config.patch_px // 8) ** 2
        pooled = min(cells, 16)
        self.pool = nn.AdaptiveAvgPool2d(int(pooled**0.5))
        self.head = nn.Linear(widths[-1] * int(pooled**0.5) ** 2, config.attributes)

    def samples(
        self,
        packs: Sequence[Pack],
        *,
        seed: int,
        noise: Noise | Condition | None,
        noise_draw: NoiseDraw,
    ) -> Dataset:
        """Return portraits with their attributes.

        Raises UnpairedError for a pack without as many, and for pictures of another size.
        """
        (pack,) = packs
        return PortraitSamples(pack, self.config.attributes, self.config.patch_px, seed)

    def timing_batch(self, device: torch.device) -> dict[str, Tensor]:
        batch = super().timing_batch(device)
        return batch | {"attributes": torch.zeros(1, self.config.attributes, device=device)}

    def phases(self) -> list[Phase]:
        return [adam_phase(self.config, self.parameters(), fused=True)]

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        picture = to_signed(batch["image"])
        generators = state.generators(batch["sample"], "noise")
        picture = picture + self.config.noise_std * draw(generators, tuple(picture.shape[1:]))
        told = self.head(self.pool(self._features(picture)[-1]).flatten(1))
        loss = functional.binary_cross_entropy_with_logits(told, batch["attributes"])
        right = ((told > 0) == (batch["attributes"] > 0.5)).float().mean()
        return {"loss": loss, "told_right": right}

    def _features(self, picture: Tensor) -> list[Tensor]:
        found, features = [], picture
        for layer in self.layers:
            features = layer(features)
            found.append(features)
        return found

    def pooled(self, picture: Tensor) -> Tensor:
        """Return the means of the two deepest layers over a picture in [0, 1], B x D."""
        return torch.cat(
            [one.mean(dim=(2, 3)) for one in self._features(to_signed(picture))[-2:]], 1
        )

    def distances(self, reference: Tensor, other: Tensor) -> Tensor:
        """Return distances of pictures in [0, 1], B: in the form of LPIPS, without weights.

        Features of unit length, squared differences, a mean over places and layers.
        """
        both = zip(*(self._features(to_signed(one)) for one in (reference, other)), strict=True)
        layers = [
            (_unit(first) - _unit(second)).square().sum(dim=1).mean(dim=(1, 2))
            for first, second in both
        ]
        return torch.stack(layers).mean(dim=0)


class PortraitSamples(Dataset):
    """``self[k]`` -> {"image": C x P x P in [0, 1], "attributes": A, 0 or 1, "sample": k}."""

    def __init__(self, pack: Pack, attributes: int, side_px: int, seed: int) -> None:
        if "attributes" not in pack.fields:
            raise UnpairedError(
                f"data set '{pack.source}': no attributes, which this network learns from; name a "
                "set that has them"
            )
        found = pack.shape(0, "attributes")[-1]
        if found != attributes:
            raise UnpairedError(
                f"data set '{pack.source}': {found} attributes; set attributes of "
                f"portrait_features to {found}, not {attributes}"
            )
        other = {pack.shape(index)[:2] for index in pack} - {(side_px, side_px)}
        if other:
            height, width = min(other)
            raise UnpairedError(
                f"data set '{pack.source}': pictures of {width}x{height}; set patch_px of "
                f"portrait_features to their side, not {side_px}"
            )
        self.pack, self._order = pack, EpochOrder(seed, len(pack))

    def __getitem__(self, sample: int) -> dict[str, Any]:
        record = self._order.record_of(sample)
        attributes = self.pack.read(record, "attributes").ravel()
        return {
            "image": torch.from_numpy(self.pack.read_unit(record)).permute(2, 0, 1),
            "attributes": torch.from_numpy(attributes.astype("float32")),
            "sample": sample,
        }


def _layer(before: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def _unit(features: Tensor) -> Tensor:
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + EPS)
