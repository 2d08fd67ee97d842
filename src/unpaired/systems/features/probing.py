"""Linear classifiers on frozen features (Zhang 2018, section 5.5.1): one for every convolution.

Features after the ReLU are resized to about as many numbers per layer, each of which is normalized
by its mean and deviation over the training pictures. They are computed once per picture and kept in
files of half floats, from which the classifiers are fitted a block at a time: memory does not grow
with the number of pictures.

The authors' solver is not published. Here the mean cross-entropy with a quadratic penalty is
minimized over all pictures by L-BFGS, which has no learning rate to guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError

BLOCK = 1000  # pictures whose features are in memory as floats at a time
VARIANCE_MIN = 1e-5  # batch normalization's eps
HISTORY = 10

Encode = Callable[[Tensor], dict[str, Tensor]]


def resized(features: Tensor, numbers: int) -> Tensor:
    """Return B x D of B x C x H x W: resized bilinearly to n x n places, D = C n^2.

    n is such that D is near ``numbers``: for 9,000 that of Table 5.3, 10 for 96 channels, 6 for
    256 and 5 for 384.
    """
    side = max(1, round((numbers / features.shape[1]) ** 0.5))
    return functional.interpolate(features, size=(side, side), mode="bilinear").flatten(1)


class FeatureFiles:
    """Features of pictures in a folder, a file of half floats for every layer."""

    def __init__(self, folder: Path, count: int) -> None:
        """count: of the pictures."""
        self.folder, self.count, self.filled = folder, count, 0
        self.layers: dict[str, np.memmap] = {}

    def append(self, features: dict[str, Tensor]) -> None:
        """Add B x D of every layer; raises UnpairedError for what no half float can hold."""
        added = 0
        for layer, values in features.items():
            halves = values.to(torch.float16).cpu()
            if not torch.isfinite(halves).all():
                raise UnpairedError(f"features of {layer} that no half float can hold")
            if layer not in self.layers:
                shape = (self.count, halves.shape[1])
                path = self.folder / f"{layer}.f16"
                self.layers[layer] = np.memmap(path, np.float16, "w+", shape=shape)
            added = len(halves)
            self.layers[layer][self.filled : self.filled + added] = halves.numpy()
        self.filled += added

    def blocks(self, layer: str) -> Iterator[tuple[slice, Tensor]]:
        """Yield rows of a layer as float32, with their place, a block at a time."""
        for start in range(0, self.count, BLOCK):
            rows = slice(start, min(start + BLOCK, self.count))
            yield rows, torch.from_numpy(self.layers[layer][rows].astype(np.float32))


class Rows:
    """Some rows of feature files, such as a fold of a cross-validation."""

    def __init__(self, files: FeatureFiles, rows: np.ndarray) -> None:
        """rows: their numbers, in any order."""
        self.files, self.rows, self.count = files, rows, len(rows)

    def blocks(self, layer: str) -> Iterator[tuple[slice, Tensor]]:
        """Yield the rows as `FeatureFiles.blocks` does, with their place among these."""
        values = self.files.layers[layer]
        for start in range(0, self.count, BLOCK):
            place = slice(start, min(start + BLOCK, self.count))
            yield place, torch.from_numpy(values[self.rows[place]].astype(np.float32))


def compute_features(
    encode: Encode, batches: Sequence[Tensor] | Iterator[Tensor], files: FeatureFiles, numbers: int
) -> None:
    """Fill ``files`` with the resized features of all pictures, B x 3 x H x W each."""
    with torch.inference_mode():
        for pictures in batches:
            found = encode(pictures)
            files.append({layer: resized(one, numbers) for layer, one in found.items()})


@dataclass(frozen=True)
class LinearClassifier:
    """Logits are x W^T + b, of features that are not normalized: W and b hold the normalization."""

    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Return B x classes of B x D."""
        return functional.linear(features, self.weight, self.bias)


def fit_linear(
    files: FeatureFiles | Rows,
    layer: str,
    labels: Tensor,
    classes: int,
    *,
    penalty: float,
    iterations: int,
) -> LinearClassifier:
    """Fit a linear classifier to normalized features by L-BFGS.

    labels: N, int64. penalty: on the sum of squares of the weights, not on the bias; the loss is a
    mean over pictures. iterations: at most.
    """
    mean, std = _moments(files, layer)
    weight = torch.zeros(classes, len(mean), requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=iterations,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = penalty * weight.square().sum()
        loss.backward()
        for rows, block in files.blocks(layer):
            plain = _unnormalized(weight, bias, mean, std)
            errors = functional.cross_entropy(
                plain.logits(block), labels[rows], reduction="sum"
            ) / len(labels)
            errors.backward()
            loss = loss.detach() + errors.detach()
        return loss

    optimizer.step(closure)
    return _unnormalized(weight.detach(), bias.detach(), mean, std)


def _unnormalized(weight: Tensor, bias: Tensor, mean: Tensor, std: Tensor) -> LinearClassifier:
    scaled = weight / std
    return LinearClassifier(scaled, bias - scaled @ mean)


def _moments(files: FeatureFiles | Rows, layer: str) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of every number over all pictures, in double precision."""
    total = squares = torch.zeros(0)
    for _, block in files.blocks(layer):
        block = block.double()
        sums = block.sum(0), block.square().sum(0)
        total, squares = sums if len(total) == 0 else (total + sums[0], squares + sums[1])
    mean = total / files.count
    variance = (squares / files.count - mean.square()).clamp(min=0)
    return mean.float(), (variance + VARIANCE_MIN).sqrt().float()
