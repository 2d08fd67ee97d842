"""Diffusion: a schedule of noise, and the chains that take it off again.

Pictures are in [-1, 1]. At time t, from 0 to T - 1, a share ``kept[t]`` of the picture's power is
left (alpha bar): x_t = sqrt(kept) x_0 + sqrt(1 - kept) noise. A chain goes from one time to an
earlier one by what a network takes the clean picture for, and ends with that picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from unpaired.core.errors import UnpairedError

Predict = Callable[[Tensor, Tensor], Tensor]
# How the likeliest clean picture is told: x_t and times, B, -> x_0.


def to_signed(picture: Tensor) -> Tensor:
    """Return a picture in [0, 1] in [-1, 1]."""
    return 2 * picture - 1


def from_signed(picture: Tensor) -> Tensor:
    """Return a picture in [-1, 1] in [0, 1]."""
    return (picture + 1) / 2


def draw(generators: list[Generator], shape: tuple[int, ...]) -> Tensor:
    """Return standard normal numbers, one sample of ``shape`` for each generator."""
    return torch.stack([torch.randn(shape, generator=g, device=g.device) for g in generators])


@dataclass(frozen=True)
class Schedule:
    """The noise of every time: a variance of each step that grows linearly (Ho et al. 2020).

    steps: T. first, last: the variance that the first step and the last one add.
    """

    steps: int = 1000
    first: float = 1e-4
    last: float = 0.02

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 < self.first <= self.last < 1:
            raise UnpairedError(
                f"a schedule of {self.steps} steps with variances from {self.first} to "
                f"{self.last}: there must be one at least, and they must rise between 0 and 1"
            )

    @property
    def kept(self) -> Tensor:
        """The share of the picture's power at every time, T, float64."""
        added = torch.linspace(self.first, self.last, self.steps, dtype=torch.float64)
        return torch.cumprod(1 - added, dim=0)

    def kept_at(self, times: Tensor) -> Tensor:
        """Return the share at times, B, as B x 1 x 1 x 1; 1 at -1, before the first noise."""
        shares = torch.cat([self.kept, torch.ones(1, dtype=torch.float64)])
        return shares.to(times.device)[times].float().view(-1, 1, 1, 1)

    def noisy(self, picture: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Return x_t of x_0."""
        kept = self.kept_at(times)
        return kept.sqrt() * picture + (1 - kept).sqrt() * noise

    def clean(self, noisy: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Return x_0 of x_t and the noise in it."""
        kept = self.kept_at(times)
        return (noisy - (1 - kept).sqrt() * noise) / kept.sqrt()

    def time_of(self, std: float) -> int:
        """Return the time whose noise is nearest to ``std`` beside a picture of full strength."""
        wanted = 1 / (1 + std**2)
        return int((self.kept - wanted).abs().argmin())

    def std_of(self, time: int) -> float:
        """Return the noise of a time beside a picture of full strength."""
        kept = float(self.kept[time])
        return ((1 - kept) / kept) ** 0.5


def posterior(
    schedule: Schedule, noisy: Tensor, picture: Tensor, times: Tensor, earlier: Tensor
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of x_s, s earlier than t, given x_t and x_0 (Ho et al., Eq. 7).

    The mean has sqrt(alpha_t), not sqrt(alpha bar_t), in front of x_t; both are that of the steps
    between s and t where these are several. earlier: B, -1 for the clean picture.
    """
    kept, before = schedule.kept_at(times), schedule.kept_at(earlier)
    between = kept / before
    of_picture = before.sqrt() * (1 - between) / (1 - kept)
    of_noisy = between.sqrt() * (1 - before) / (1 - kept)
    return of_picture * picture + of_noisy * noisy, (1 - before) / (1 - kept) * (1 - between)


def implicit_mean(
    schedule: Schedule,
    noisy: Tensor,
    picture: Tensor,
    times: Tensor,
    earlier: Tensor,
    eta: float,
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of a step of DDIM (Song et al. 2021, Eq. 12 and 16).

    eta: 0 adds no noise, 1 is the step of `posterior`.
    """
    kept, before = schedule.kept_at(times), schedule.kept_at(earlier)
    variance = eta**2 * (1 - before) / (1 - kept) * (1 - kept / before)
    noise = (noisy - kept.sqrt() * picture) / (1 - kept).sqrt()
    direction = (1 - before - variance).clamp(min=0).sqrt()
    return before.sqrt() * picture + direction * noise, variance


def spaced(start: Tensor, steps: int) -> Tensor:
    """Return times that fall evenly from ``start``, B, towards 0: B x steps, whole numbers.

    With a step for every time they are all times: start, start - 1, ..., 0.
    """
    left = steps - torch.arange(steps, device=start.device)
    return start[:, None] * left // steps


def chain(
    schedule: Schedule,
    predict: Predict,
    noisy: Tensor,
    times: Tensor,
    *,
    eta: float,
    generators: list[Generator],
) -> Tensor:
    """Return the clean picture at the end of a chain through ``times``, B x steps, falling.

    noisy: x_t of the first of them. eta: see `implicit_mean`. generators: one for each picture.
    """
    latest = noisy
    for step in range(times.shape[1]):
        picture = predict(latest, times[:, step])
        if step + 1 == times.shape[1]:
            return picture
        here, earlier = times[:, step], times[:, step + 1]
        mean, variance = implicit_mean(schedule, latest, picture, here, earlier, eta)
        latest = mean
        if eta > 0:
            latest = mean + variance.sqrt() * draw(generators, tuple(mean.shape[1:]))
    raise UnpairedError("a chain needs at least one step")
