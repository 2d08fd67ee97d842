"""Intermediate layer optimization (Daras et al., ICML 2021): a generator fitted to a picture.

A round for each block of the generator. The first one moves the latents and the noise that the
generator adds; round k moves in their place, from block k on, what block k - 1 has left as well:
features that no latent need lead to. Latents and noise stay on the spheres that they were drawn on
(PULSE); features may be kept in an l1 ball around where their round began, as the paper has it and
the authors' settings leave off.

Two things of the authors' code are not followed. It starts every round but the first without the
picture that the blocks before have made: here that picture is kept, so that a round begins where
the last one ended. It cuts the batch in the cross term, where latents are meant: here latents that
a round has no use for are cut. Every picture of a batch is fitted for itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError, list_some
from unpaired.networks.stylegan2 import Inside

RISE, FALL = 0.05, 0.75  # Shares of a round in which the learning rate rises, and falls.
FIRST_NOISES = 5  # So many are moved in the first round, and two more in each that follows.
NORM_EPS = 1e-9

Distance = Callable[[Tensor], tuple[Tensor, Tensor]]
# A picture, B x 3 x P x P in [-1, 1] -> its mean squared error and the whole distance, B each.


@dataclass(frozen=True)
class Rounds:
    """steps: of each round, from the first block on. radii: of the l1 balls of features, from the
    second round on; empty: none. cross_weight: of `geodesic_cross`.
    """

    steps: Sequence[int]
    learning_rate: float
    cross_weight: float
    radii: Sequence[float] = ()


def rate(fraction: float) -> float:
    """Return the factor on the learning rate at a fraction of a round, in [0, 1)."""
    falling = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - fraction) / FALL))
    return falling * min(1.0, fraction / RISE)


def geodesic_cross(latents: Tensor) -> Tensor:
    """Return how far the rows of latents, B x rows x D, are apart on their sphere, B (PULSE).

    The mean over pairs of the squared angle, times D / 8: 0 where all rows are the same.
    """
    first, second = latents[:, :, None], latents[:, None]
    apart = ((first - second).square().sum(dim=-1) + NORM_EPS).sqrt()
    together = ((first + second).square().sum(dim=-1) + NORM_EPS).sqrt()
    angle = 2 * torch.atan2(apart, together)
    return angle.square().mean(dim=(1, 2)) * latents.shape[-1] / 8


def onto_l1_ball(offset: Tensor, radius: float) -> Tensor:
    """Return the point of the l1 ball that is next to each offset, B x anything.

    All sizes are lowered by the same number, and none below 0 (Duchi et al. 2008).
    """
    flat = offset.flatten(1)
    sizes = flat.abs()
    falling = sizes.sort(dim=1, descending=True).values
    count = torch.arange(1, flat.shape[1] + 1, device=flat.device)
    lowered = (falling.cumsum(dim=1) - radius) / count
    kept = (falling > lowered).sum(dim=1, keepdim=True).clamp(min=1)
    threshold = lowered.gather(1, kept - 1).clamp(min=0)
    return (flat.sign() * (sizes - threshold).clamp(min=0)).view_as(offset)


class Spheres:
    """Where tensors were, as their lengths along all dimensions behind the second."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors
        self.radii = [_length(one) for one in tensors]

    @torch.no_grad()
    def project(self) -> None:
        """Give all tensors the lengths again that they had."""
        for one, radius in zip(self.tensors, self.radii, strict=True):
            one.mul_(radius / _length(one))


def _length(values: Tensor) -> Tensor:
    dims = tuple(range(2, values.ndim))
    return (values.detach().square().sum(dim=dims, keepdim=True) + NORM_EPS).sqrt()


def invert(
    model: Any, distance: Distance, latents: Tensor, noises: Sequence[Tensor], rounds: Rounds
) -> Tensor:
    """Return pictures of a generator that are near to what ``distance`` measures from.

    model: has ``network`` and ``to_w``, see `methods.stylegan2`. latents: z, B x rows x D; noises:
    B x 1 x h x w each; both are where the search begins, and are left alone. Of the steps of the
    last round, each picture is taken from where its mean squared error was the least. Raises
    UnpairedError for more rounds than blocks, and, naming round and step, for a distance that is
    not finite.
    """
    blocks = len(model.network.blocks)
    if len(rounds.steps) > blocks or not any(rounds.steps):
        raise UnpairedError(
            f"{len(rounds.steps)} rounds of {sum(rounds.steps)} steps: this generator has {blocks} "
            "blocks, and there must be a step"
        )
    latents, noises = latents.clone(), [one.clone() for one in noises]
    inside, best = None, None
    for block, steps in enumerate(rounds.steps):
        fit = OneRound(model, distance, latents, noises, block, inside, rounds)
        if steps:
            best = fit.run(steps)
        inside = fit.left()
    return best


class OneRound:
    """One round: what is moved from a block on. The tensors given are moved in place."""

    def __init__(
        self,
        model: Any,
        distance: Distance,
        latents: Tensor,
        noises: list[Tensor],
        block: int,
        inside: Inside | None,
        rounds: Rounds,
    ) -> None:
        self.model, self.distance, self.rounds = model, distance, rounds
        self.latents, self.noises = latents, noises
        self.block, self.inside = block, inside

    def run(self, steps: int) -> Tensor:
        """Return each picture from where its mean squared error was the least."""
        moved = [self.latents, *self.noises[: FIRST_NOISES + 2 * self.block]]
        spheres = Spheres(moved)
        if self.inside is not None:
            begun = self.inside.features.clone()
            moved = [*moved, self.inside.features]
        for one in moved:
            one.requires_grad_()
        optimizer = torch.optim.Adam(moved, lr=self.rounds.learning_rate)
        best, least = None, None
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = self.rounds.learning_rate * rate(step / steps)
            with torch.enable_grad():
                picture = self._picture()
                error, whole = self.distance(picture)
                first = self.model.network.first_latent(self.block)
                cross = geodesic_cross(self.latents[:, first:])
                loss = whole + self.rounds.cross_weight * cross
            self._require_finite(loss, step, steps)
            best, least = _better(picture.detach(), error.detach(), best, least)
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            spheres.project()
            if self.inside is not None:
                self._keep_in_ball(begun)
        for one in moved:
            one.requires_grad_(requires_grad=False).grad = None
        return best

    @torch.no_grad()
    def left(self) -> Inside:
        """Return what the block of this round leaves, where the round has ended."""
        found = self.model.network.run(
            self.model.to_w(self.latents),
            self.noises,
            first=self.block,
            last=self.block,
            inside=self.inside,
        )
        return Inside(*(one.clone() for one in found))

    def _picture(self) -> Tensor:
        w = self.model.to_w(self.latents)
        return self.model.network(w, self.noises, first=self.block, inside=self.inside)

    @torch.no_grad()
    def _keep_in_ball(self, begun: Tensor) -> None:
        if self.block <= len(self.rounds.radii):
            features, radius = self.inside.features, self.rounds.radii[self.block - 1]
            features.copy_(begun + onto_l1_ball(features - begun, radius))

    def _require_finite(self, loss: Tensor, step: int, steps: int) -> None:
        finite = loss.isfinite()
        if not finite.all():
            bad = [str(index) for index in (~finite).nonzero().flatten().tolist()]
            raise UnpairedError(
                f"round {self.block + 1}, step {step + 1} of {steps}: the distance of pictures "
                f"{list_some(bad)} of this batch is not finite; take a smaller learning_rate, or "
                "look at the models"
            )


def _better(
    picture: Tensor, error: Tensor, best: Tensor | None, least: Tensor | None
) -> tuple[Tensor, Tensor]:
    if best is None or least is None:
        return picture, error
    is_better = error < least
    return torch.where(is_better[:, None, None, None], picture, best), torch.minimum(error, least)
