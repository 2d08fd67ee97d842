"""Features learned from labels: the supervised row of Tables 5.4 and 5.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import EpochOrder, numpy_generator
from unpaired.data.packs import Pack
from unpaired.learning.method import TrainingState
from unpaired.systems.features.labeled import labels_of
from unpaired.systems.features.methods.encoder import EncoderConfig, LabEncoder


@dataclass(frozen=True, kw_only=True)
class LabelsConfig(EncoderConfig):
    """classes: how many labels there are."""

    classes: int = 1000


class Labels(LabEncoder):
    """Cross-entropy of the class, of logits averaged over all places of the picture.

    The network is that of the other rows, and sees Lab, so that rows differ in what they learn.
    """

    Config: ClassVar[type] = LabelsConfig
    sees: ClassVar[tuple[str, ...]] = ("image", "label")
    config: LabelsConfig

    def __init__(self, config: LabelsConfig) -> None:
        super().__init__(config, ["lab"], [config.classes], 1.0)

    def samples(self, packs: Sequence[Pack], *, seed: int, **_: Any) -> Dataset:
        """Return crops with labels; raises UnpairedError for packs without, or of other classes."""
        (pack,) = packs
        return LabeledCrops(pack, self.config.classes, self.config.patch_px, seed)

    def timing_batch(self, device: torch.device) -> dict[str, Tensor]:
        return super().timing_batch(device) | {"label": torch.tensor([0], device=device)}

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """``batch["image"]``: sRGB in [0, 1]. ``batch["label"]``: B, int64."""
        logits = self.networks[0](self.mirrored_lab(batch, state)).mean(dim=(2, 3))
        loss = functional.cross_entropy(logits, batch["label"])
        right = (logits.argmax(1) == batch["label"]).float().mean()
        return {"loss": loss, "told_right": right}


class LabeledCrops(Dataset):
    """``self[k]`` -> {"image": 3 x P x P in [0, 1], "label": int, "sample": k}."""

    def __init__(self, pack: Pack, classes: int, patch_px: int, seed: int) -> None:
        self.labels = labels_of(pack)
        if self.labels.max() >= classes:
            raise UnpairedError(
                f"data set '{pack.source}': {self.labels.max() + 1} classes; set classes of "
                f"image_labels to as many, not {classes}"
            )
        small = next((i for i in pack if min(pack.shape(i)[:2]) < patch_px), None)
        if small is not None:
            raise UnpairedError(
                f"data set '{pack.source}': {pack.columns['name'][small]} is smaller than the "
                f"{patch_px} px that are learned from; lower patch_px"
            )
        self.pack, self.patch_px, self.seed = pack, patch_px, seed
        self._order = EpochOrder(seed, len(pack))

    def __len__(self) -> int:
        return len(self.pack)

    def __getitem__(self, sample: int) -> dict[str, Any]:
        record = self._order.record_of(sample)
        rng = numpy_generator(self.seed, "sample", sample)
        sides = self.pack.shape(record)[:2]
        top, left = (int(rng.integers(0, side - self.patch_px + 1)) for side in sides)
        rows, columns = slice(top, top + self.patch_px), slice(left, left + self.patch_px)
        picture = self.pack.read_unit(record, "image", rows, columns)
        return {
            "image": torch.from_numpy(picture).permute(2, 0, 1),
            "label": int(self.labels[record]),
            "sample": sample,
        }
