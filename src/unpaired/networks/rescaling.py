"""Weights rescaled so that all layers learn equally fast, before a network is fine-tuned.

Krähenbühl, Doersch, Donahue and Darrell, "Data-dependent initializations of convolutional neural
networks" (ICLR 2016), between-layer normalization: the gradient of a layer's weights, over the
weights themselves, is to be equal for all layers. They approach it in rounds; layers between which
there are only ReLU and max pooling are homogeneous, and there the factors follow at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Branch = Sequence[nn.Conv2d]


def gradient_ratios(
    branches: Sequence[Branch], run: Callable[[], list[Tensor]], generator: torch.Generator
) -> list[list[float]]:
    """Return the root mean square of the gradient over that of the weights, for every layer.

    branches: chains of layers side by side, in order. run: gives the output of every branch. At
    the outputs stands a gradient of normal random numbers.
    """
    weights = [layer.weight for branch in branches for layer in branch]
    outputs = run()
    tops = [torch.randn(one.shape, generator=generator, dtype=one.dtype) for one in outputs]
    gradients = iter(torch.autograd.grad(outputs, weights, tops))
    return [
        [float(_rms(next(gradients)) / _rms(layer.weight.detach())) for layer in branch]
        for branch in branches
    ]


def rescale(
    branches: Sequence[Branch], run: Callable[[], list[Tensor]], generator: torch.Generator
) -> None:
    """Scale every layer so that all have one ratio, and the outputs together deviation 1.

    arguments: as for `gradient_ratios`; a branch has three layers at least. What a branch gives is
    changed by one positive factor and nothing else.

    With factors s_k of product P, an output grows by P, and a ratio r_k becomes r_k P / s_k^2. All
    are T where s_k^2 = r_k P / T, so that P = (T / g)^(n / (n - 2)) for n layers, g the geometric
    mean of r_k. T follows from the deviation.
    """
    ratios = gradient_ratios(branches, run, generator)
    with torch.no_grad():
        squares = [float(one.double().var(correction=0)) for one in run()]
    means = [torch.tensor(own).double().log().mean().exp().item() for own in ratios]
    powers = [len(branch) / (len(branch) - 2) for branch in branches]
    target = _target(squares, means, powers)
    for branch, own, mean, power in zip(branches, ratios, means, powers, strict=True):
        growth = (target / mean) ** power
        grown = 1.0
        for layer, ratio in zip(branch, own, strict=True):
            factor = (ratio * growth / target) ** 0.5
            grown *= factor
            with torch.no_grad():
                layer.weight.mul_(factor)
                layer.bias.mul_(grown)  # What it is added to has grown so much.


def _target(squares: Sequence[float], means: Sequence[float], powers: Sequence[float]) -> float:
    """Return T such that the mean of the branches' variances is 1; branches have equal lengths."""
    (power,) = set(powers)
    total = sum(
        square * mean ** (-2 * power) for square, mean in zip(squares, means, strict=True)
    ) / len(squares)
    return total ** (-1 / (2 * power))


def _rms(values: Tensor) -> Tensor:
    return values.double().square().mean().sqrt()
