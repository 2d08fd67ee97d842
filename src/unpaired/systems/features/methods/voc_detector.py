"""Where objects are: torchvision's heads of Fast R-CNN on the convolutions of an encoder.

Fast R-CNN is given proposals, by selective search. None of the libraries here has that: windows of
several sizes and shapes at regular places take its part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import roi_align

from unpaired.learning.method import TrainingState
from unpaired.metrics.voc import Boxes
from unpaired.systems.features.methods.fine_tuned import FineTuned, FineTunedConfig, Top
from unpaired.systems.features.voc_samples import ABSENT, BOXES_MAX, Told

SIZES = (0.2, 0.3, 0.42, 0.6, 0.9)  # of the picture's side, of windows
SHAPES = (0.5, 1.0, 2.0)  # height over width
STEP = 0.25  # of a window's sides
OVERLAP_MIN = 0.5  # with an object, for a window to be one of its class
SHARE_OF_OBJECTS = 0.25
SUPPRESSED_FROM = 0.3
SCORE_MIN = 0.02
FOUND_MAX = 100
SAMPLES_PER_CELL = 2


@dataclass(frozen=True, kw_only=True)
class VOCDetectorConfig(FineTunedConfig):
    """pooled: cells a side that a window's features are pooled to. windows: learned per picture."""

    pooled: int = 6
    windows: int = 64
    patch_px: int = 600
    images_seen: int = 80_000
    batch_size: int = 2


class VOCDetector(FineTuned):
    """Cross-entropy of a window's class, and smooth L1 of the way to its object."""

    Config: ClassVar[type] = VOCDetectorConfig
    sees: ClassVar[tuple[str, ...]] = ("image", "boxes")
    told: ClassVar[Told] = "boxes"
    task = "detection"
    config: VOCDetectorConfig

    def __init__(self, config: VOCDetectorConfig) -> None:
        super().__init__(config)
        self.heads = RoIHeads(
            WindowPooling(config.pooled, self.stride_px),
            Top(self.channels * config.pooled**2, config.top_channels, config.dropout),
            FastRCNNPredictor(config.top_channels, config.classes + 1),
            fg_iou_thresh=OVERLAP_MIN,
            bg_iou_thresh=OVERLAP_MIN,
            batch_size_per_image=config.windows,
            positive_fraction=SHARE_OF_OBJECTS,
            bbox_reg_weights=None,
            score_thresh=SCORE_MIN,
            nms_thresh=SUPPRESSED_FROM,
            detections_per_img=FOUND_MAX,
        )
        self.windows = windows(config.patch_px)

    def timing_batch(self, device: torch.device) -> dict[str, Tensor]:
        boxes = torch.full((1, BOXES_MAX, 5), float(ABSENT), device=device)
        boxes[:, 0] = torch.tensor([0.0, 0.0, 0.0, 50.0, 50.0])
        return super().timing_batch(device) | {"boxes": boxes}

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """``batch["boxes"]``: B x 64 x 5, as `VOCSamples` gives them."""
        picture = batch[self.field]
        targets = [
            {"labels": own[:, 0].long() + 1, "boxes": own[:, 1:]}
            for boxes in batch["boxes"]
            for own in [boxes[boxes[:, 0] != ABSENT]]
        ]
        _, found = self.heads(self._features(picture), *self._shown(picture), targets)
        return {"loss": torch.stack(list(found.values())).sum(), **found}

    def _features(self, picture: Tensor) -> dict[str, Tensor]:
        return {"conv5": self.conv5(picture).float()}

    def _shown(self, picture: Tensor) -> tuple[list[Tensor], list[tuple[int, int]]]:
        count, side = len(picture), picture.shape[-1]
        return [self.windows.to(picture.device)] * count, [(side, side)] * count

    def detect(self, picture: np.ndarray, device: torch.device) -> Boxes:
        """Return the objects of a picture, H x W x 3 in [0, 1], in its own pixels."""
        return self.chosen(*self.judged(picture, device), picture.shape[:2])

    def judged(self, picture: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return for every window the probability of each class, and its way to an object of it.

        N x (1 + classes), the background first, and N x 4 (1 + classes).
        """
        shown = self.shown_picture(picture, device)
        pooled = self.heads.box_roi_pool(self._features(shown), *self._shown(shown))
        logits, ways = self.heads.box_predictor(self.heads.box_head(pooled))
        return logits.softmax(dim=1), ways

    def chosen(self, probabilities: Tensor, ways: Tensor, size: tuple[int, ...]) -> Boxes:
        """Return the objects of a picture of ``size``, height and width, from `judged` windows."""
        side = self.config.patch_px
        windows = [self.windows.to(ways.device)]
        (boxes,), (scores,), (labels,) = self.heads.postprocess_detections(
            probabilities.log(), ways, windows, [(side, side)]
        )
        height, width = size
        within = boxes.cpu().numpy() / side * np.array([width, height, width, height])
        return Boxes(within, labels.cpu().numpy() - 1, scores.cpu().numpy())


class WindowPooling(nn.Module):
    """Features of windows, N x C x cells x cells; feature (i, j) is at pixel (s i, s j)."""

    def __init__(self, cells: int, stride: int) -> None:
        super().__init__()
        self.cells, self.stride = cells, stride

    def forward(
        self, features: dict[str, Tensor], boxes: list[Tensor], sizes: list[tuple[int, int]]
    ) -> Tensor:
        """sizes: of the pictures; they have no meaning here."""
        # roi_align takes feature 0 for the middle of the first s pixels; ours is at the first.
        shift = (self.stride - 1) / 2
        (maps,) = features.values()
        return roi_align(
            maps,
            [own + shift for own in boxes],
            self.cells,
            1 / self.stride,
            SAMPLES_PER_CELL,
            aligned=True,
        )


def windows(side_px: int) -> Tensor:
    """Return windows of all sizes and shapes over a square picture: N x 4, within it."""
    found = []
    for size in SIZES:
        for shape in SHAPES:
            height, width = (min(1.0, size * ratio) for ratio in (shape**0.5, shape**-0.5))
            tops, lefts = (_places(length) for length in (height, width))
            for top in tops:
                found += [(left, top, left + width, top + height) for left in lefts]
    return side_px * torch.tensor(found)


def _places(length: float) -> list[float]:
    """Return where windows of a length begin, in [0, 1 - length], evenly."""
    steps = round((1 - length) / (STEP * length))
    return [(1 - length) * number / steps for number in range(steps + 1)] if steps else [0.0]
