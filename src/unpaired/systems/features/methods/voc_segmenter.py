"""Which class every pixel is of: a fully convolutional head on the convolutions of an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.learning.method import TrainingState
from unpaired.networks.alexnet_caffe import TOP_DILATION
from unpaired.systems.features.methods.fine_tuned import FineTuned, FineTunedConfig
from unpaired.systems.features.voc_samples import VOID, Told


@dataclass(frozen=True, kw_only=True)
class VOCSegmenterConfig(FineTunedConfig):
    """top_kernel_px: of fc6, whose dilation is 2."""

    top_kernel_px: int = 6
    patch_px: int = 500
    images_seen: int = 3_000_000  # 150,000 iterations of 20
    batch_size: int = 20


class VOCSegmenter(FineTuned):
    """Cross-entropy of every pixel, of scores that are enlarged bilinearly (Long et al. 2015)."""

    Config: ClassVar[type] = VOCSegmenterConfig
    sees: ClassVar[tuple[str, ...]] = ("image", "labels")
    told: ClassVar[Told] = "labels"
    task = "segmentation"
    config: VOCSegmenterConfig

    def __init__(self, config: VOCSegmenterConfig) -> None:
        super().__init__(config)
        kernel, top = config.top_kernel_px, config.top_channels
        padding = TOP_DILATION * (kernel - 1) // 2
        fc6 = nn.Conv2d(self.channels, top, kernel, padding=padding, dilation=TOP_DILATION)
        fc7, fc8 = nn.Conv2d(top, top, 1), nn.Conv2d(top, config.classes + 1, 1)
        for layer in (fc6, fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        drop = nn.Dropout(config.dropout)
        self.head = nn.Sequential(fc6, nn.ReLU(), drop, fc7, nn.ReLU(), drop, fc8)

    def logits(self, picture: Tensor) -> Tensor:
        """Return B x (1 + classes) x P x P of B x 3 x P x P in [0, 1]."""
        pooled = functional.max_pool2d(self.conv5(picture), 3, stride=1, padding=1)
        return enlarged(self.head(pooled), self.stride_px, picture.shape[-1])

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """``batch["labels"]``: B x P x P, 255 for what counts nothing."""
        logits = self.logits(batch["image"])
        return {"loss": functional.cross_entropy(logits, batch["labels"], ignore_index=VOID)}

    def segment(self, picture: np.ndarray, device: torch.device) -> np.ndarray:
        """Return the class of every pixel of H x W x 3 in [0, 1]: H x W, 0 for the background."""
        logits = self.logits(self.shown_picture(picture, device)).float()
        whole = functional.interpolate(logits, size=picture.shape[:2], mode="bilinear")
        return whole[0].argmax(0).cpu().numpy()


def enlarged(scores: Tensor, stride: int, side_px: int) -> Tensor:
    """Return B x C x P x P of B x C x N x N scores that stand at every ``stride``-th pixel."""
    reach = stride * (scores.shape[-1] - 1) + 1
    grown = functional.interpolate(scores, size=(reach, reach), mode="bilinear", align_corners=True)
    missing = max(0, side_px - reach)
    grown = functional.pad(grown, (0, missing, 0, missing), mode="replicate")
    return grown[..., :side_px, :side_px]
