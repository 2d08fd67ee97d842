"""Which classes are in a picture: AlexNet's own head on the convolutions of an encoder."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.learning.method import TrainingState
from unpaired.systems.features.methods.fine_tuned import FineTuned, FineTunedConfig, Top
from unpaired.systems.features.voc_samples import ABSENT, Told


class VOCClassifier(FineTuned):
    """Cross-entropy of every class by itself; what is difficult in a picture counts nothing.

    The form is that of Table 5.3: without padding in conv1 and pooling, and pool5 before fc6.
    """

    sees: ClassVar[tuple[str, ...]] = ("image", "present")
    told: ClassVar[Told] = "present"
    padded: ClassVar[bool] = False
    task = "classification"

    def __init__(self, config: FineTunedConfig) -> None:
        super().__init__(config)
        with torch.no_grad():
            side = config.patch_px
            cells = self._pooled(torch.zeros(1, 3, side, side))[0].numel()
        self.top = Top(cells, config.top_channels, config.dropout)
        self.told_classes = nn.Linear(config.top_channels, config.classes)

    def _pooled(self, picture: Tensor) -> Tensor:
        return functional.max_pool2d(self.conv5(picture), 3, stride=2, ceil_mode=True)

    def logits(self, picture: Tensor) -> Tensor:
        """Return B x classes of B x 3 x P x P in [0, 1]."""
        return self.told_classes(self.top(self._pooled(picture)))

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """``batch["present"]``: B x classes; 1, 0, or -1 for what counts nothing."""
        present = batch["present"]
        counts = (present != ABSENT).float()
        errors = functional.binary_cross_entropy_with_logits(
            self.logits(batch["image"]), present.clamp(min=0), reduction="none"
        )
        return {"loss": (counts * errors).sum() / counts.sum()}

    def classify(self, picture: np.ndarray, device: torch.device) -> np.ndarray:
        """Return a score for every class of a picture, H x W x 3 in [0, 1]."""
        return self.logits(self.shown_picture(picture, device))[0].float().cpu().numpy()
