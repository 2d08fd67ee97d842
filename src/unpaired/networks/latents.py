"""Latent variables of variational autoencoders: diagonal Gaussians, and where they lie."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Posteriors start with this logarithm of the standard deviation, nearly certain. Started at that of
# the prior, their noise hides what the encoder says, the decoder learns to ignore it, and the
# divergence vanishes before its weight has grown.
START_LOG_STD = -4.0


class LatentLevel(NamedTuple):
    """A grid of latent variables over an image: how many per place, one place per px x px."""

    channels: int
    px: int


class Gaussian(NamedTuple):
    """Independent normal variables: mean and natural logarithm of the standard deviation."""

    mean: Tensor
    log_std: Tensor

    @classmethod
    def standard(cls, like: Tensor) -> Gaussian:
        """Return N(0, I) of a shape."""
        return cls(torch.zeros_like(like), torch.zeros_like(like))

    def sample(self, noise: Tensor) -> Tensor:
        """Return mean + std * noise, where ``noise`` is standard normal."""
        return self.mean + self.log_std.exp() * noise

    def divergence(self, prior: Gaussian) -> Tensor:
        """Return the Kullback-Leibler divergence of every variable from ``prior``, in nats."""
        ratio = (2 * (self.log_std - prior.log_std)).exp()
        distance = (self.mean - prior.mean).square() * (-2 * prior.log_std).exp()
        return (ratio + distance - 1) / 2 + prior.log_std - self.log_std
