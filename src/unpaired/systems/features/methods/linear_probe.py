"""Linear classifiers on the frozen features of an encoder: a row of Tables 5.4 and 5.5."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.core.progress import Progress
from unpaired.data.packs import Pack
from unpaired.imaging.pixels import center_crop
from unpaired.learning.method import Method
from unpaired.networks.alexnet_caffe import LAYERS
from unpaired.systems.features.labeled import labels_of
from unpaired.systems.features.probing import (
    FeatureFiles,
    LinearClassifier,
    compute_features,
    fit_linear,
    resized,
)

BATCH = 100


@dataclass(frozen=True, kw_only=True)
class LinearProbeConfig:
    """numbers: features per layer, about. crop_px: side of the crop from the middle of a picture.

    penalty: on the squares of the weights. iterations: of L-BFGS, at most.
    """

    numbers: int = 9000
    crop_px: int = 227
    penalty: float = 3e-4
    iterations: int = 100


class LinearProbe:
    """A product that tells the class of a picture from each of five layers.

    It is given the encoder in the role "encoder", and labeled pictures by `take_pictures`.
    """

    Config: ClassVar[type] = LinearProbeConfig
    sees: ClassVar[tuple[str, ...]] = ("image", "label")
    knows: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: LinearProbeConfig) -> None:
        self.config = config
        self.others: dict[str, Method] = {}
        self.pack: Pack | None = None
        self.classes = 0

    def receive(self, role: str, other: Method) -> None:
        """Take the encoder, which does not change any more."""
        self.others[role] = other.eval().requires_grad_(False)

    def take_pictures(self, pack: Pack, seed: int) -> None:
        """Learn from these labeled pictures; the fit is the same for every seed.

        Raises UnpairedError for pictures without labels, or all of one class.
        """
        labels = torch.from_numpy(labels_of(pack))
        if len(labels.unique()) < 2:
            raise UnpairedError(f"data set '{pack.source}': a single class; there must be two")
        self.pack, self.labels, self.classes = pack, labels, int(labels.max()) + 1

    def fit(self, device: torch.device) -> dict[str, LinearClassifier]:
        """Return the classifier of every layer. Raises UnpairedError without labeled pictures."""
        if self.pack is None:
            raise UnpairedError("a linear probe learns from labeled pictures; there are none")
        with TemporaryDirectory(prefix="unpaired-features-") as folder:
            files = FeatureFiles(Path(folder), len(self.pack))
            batches = picture_batches(self.pack, self.config.crop_px, device)
            compute_features(self._encode, batches, files, self.config.numbers)
            how = {"penalty": self.config.penalty, "iterations": self.config.iterations}
            return {
                layer: fit_linear(files, layer, self.labels, self.classes, **how)
                for layer in LAYERS
            }

    def classify(
        self, classifiers: dict[str, LinearClassifier], pictures: Tensor
    ) -> dict[str, np.ndarray]:
        """Return the likeliest class of pictures, B x 3 x H x W in [0, 1], from every layer."""
        with torch.inference_mode():
            features = self._encode(pictures)
            return {
                layer: one.logits(resized(features[layer], self.config.numbers).float().cpu())
                .argmax(1)
                .numpy()
                for layer, one in classifiers.items()
            }

    def _encode(self, pictures: Tensor) -> dict[str, Tensor]:
        encoder: Any = self.others["encoder"]
        return encoder.features(pictures)


def picture_batches(pack: Pack, crop_px: int, device: torch.device) -> Iterator[Tensor]:
    """Yield the middles of a pack's pictures, B x 3 x P x P in [0, 1].

    Raises UnpairedError for a picture that is smaller.
    """
    with Progress(f"features of {pack.source}", len(pack)) as progress:
        for start in range(0, len(pack), BATCH):
            numbers = range(start, min(start + BATCH, len(pack)))
            yield torch.stack([_crop(pack, number, crop_px) for number in numbers]).to(device)
            progress.advance(len(numbers))


def _crop(pack: Pack, index: int, crop_px: int) -> Tensor:
    height, width = pack.shape(index)[:2]
    if min(height, width) < crop_px:
        raise UnpairedError(
            f"data set '{pack.source}': {pack.columns['name'][index]} ({width}x{height}) is "
            f"smaller than {crop_px} px; lower crop_px of linear_probe"
        )
    picture = np.ascontiguousarray(center_crop(pack.read_unit(index), crop_px))
    return torch.from_numpy(picture).permute(2, 0, 1)
