"""An exponential moving average of weights: what generative models publish in place of the last."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn


class AveragedWeights(nn.Module):
    """The average of a network's weights over the steps of its training.

    A method makes it in ``phases()``, moves it in ``after_step()``, and in ``finish()`` puts it in
    place of the weights and deletes it. As a module of the method it is part of checkpoints.

    half_life_images: after so many images the weights of a step count half. warm_up: the half-life
    is at most this share of the images seen so far, as in EDM (Karras et al. 2022, 0.05 there), so
    that the first weights do not count for long; None leaves it as it is.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        half_life_images: float,
        batch_size: int,
        warm_up: float | None = None,
    ) -> None:
        super().__init__()
        self.half_life_images, self.batch_size = half_life_images, batch_size
        self.warm_up = warm_up
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        device = next(network.parameters()).device
        # A tensor, so that a checkpoint holds it and no GPU waits for its value.
        self.register_buffer("images_seen", torch.zeros((), dtype=torch.int64, device=device))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average after a step of ``network``; its buffers are copied."""
        new_share = self._new_share()
        for average, weights in zip(self.average.parameters(), network.parameters(), strict=True):
            average.lerp_(weights, new_share.to(weights.dtype))
        for average, buffer in zip(self.average.buffers(), network.buffers(), strict=True):
            average.copy_(buffer)
        self.images_seen += self.batch_size

    def _new_share(self) -> Tensor:
        """Return how much the weights of this step count; the first ones wholly in a warm-up."""
        half_life = torch.full_like(self.images_seen, self.half_life_images, dtype=torch.float32)
        if self.warm_up is not None:
            half_life = half_life.minimum(self.warm_up * self.images_seen)
        return -torch.expm1(-math.log(2) * self.batch_size / half_life)

    def put_into(self, network: nn.Module) -> None:
        """Put the average in place of the weights of ``network``."""
        network.load_state_dict(self.average.state_dict())
