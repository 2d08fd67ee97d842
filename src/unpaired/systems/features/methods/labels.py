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
from unpaired.data.packs import Pack
from unpaired.learning.method import TrainingState
from unpaired.systems.features.crops import Crops
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


class LabeledCrops(Crops):
    """``self[k]`` -> {"image": 3 x P x P in [0, 1], "label": int, "sample": k}."""

    def __init__(self, pack: Pack, classes: int, patch_px: int, seed: int) -> None:
        self.labels = labels_of(pack)
        if self.labels.max() >= classes:
            raise UnpairedError(
                f"data set '{pack.source}': {self.labels.max() + 1} classes; set classes of "
                f"image_labels to as many, not {classes}"
            )
        super().__init__(pack, ("image",), patch_px, seed)

    def __getitem__(self, sample: int) -> dict[str, Any]:
        label = int(self.labels[self.record_of(sample)])
        return super().__getitem__(sample) | {"label": label}
