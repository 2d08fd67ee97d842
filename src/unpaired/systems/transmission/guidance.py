"""Algorithm 1 of CommIN: a diffusion model drawn towards a picture that fits what was received.

A step from time t takes what the model holds for the clean picture, x_0, within [-1, 1]; replaces
its coarse part by y, x_0' = INN^-1(y, d); goes to the earlier time as DDPM does; and then moves
against the gradient with respect to x_t, through the model and both directions of the network, of

    |x_0' - x_0|  ("l2", of each picture)    or    |x_0' - x_0|^2  ("squared", as printed).

The paper prints the square. Its step sizes, 0.3 to 0.5, are those that DPS and the code of the same
authors' INDIGO use with the norm, so that is the default. Equation 11 prints sqrt(alpha bar_t) in
front of x_t; the posterior of DDPM has sqrt(alpha_t), and that is what is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from unpaired.core.errors import UnpairedError, check_choice, list_some
from unpaired.learning.diffusion import draw, implicit_mean

NORMS = ("l2", "squared")
TakeBack = Callable[[Tensor, Tensor], Tensor]  # x_0 and y -> INN^-1(y, d of x_0)
PAPERS_STEPS, PAPERS_NUMBERS = 1000, 3 * 256 * 256
# Up to which SNR in dB which step size holds (section 4).
PAPERS_ZETA = ((-2.0, 0.3), (2.0, 0.4), (float("inf"), 0.5))


def papers_zeta(snr_db: float) -> float:
    """Return the paper's step size: 0.3 at -5 and -3 dB, 0.4 at -1 and 1 dB, 0.5 at 3 and 5 dB."""
    return next(zeta for limit, zeta in PAPERS_ZETA if snr_db < limit)


def scaled_zeta(zeta: float, numbers: int, steps: float, norm: str) -> float:
    """Return a step size for pictures of so many numbers, and so many steps over all times.

    Fewer steps must each go farther. The gradient of the norm, whose length does not depend on the
    size of a picture, moves each number of a larger one by less, in proportion to the root of how
    many there are; that of the square moves each number by what it is off.
    """
    size = (numbers / PAPERS_NUMBERS) ** 0.5 if norm == "l2" else 1.0
    return zeta * size * PAPERS_STEPS / steps


def distance(taken_back: Tensor, picture: Tensor, norm: str) -> Tensor:
    """Return the distance of each picture, B."""
    check_choice("guidance", "norm", norm, NORMS)
    squares = (taken_back - picture).square().flatten(1).sum(dim=1)
    # At 0 the root has no gradient, and no direction is better than another.
    return squares if norm == "squared" else squares.clamp(min=1e-12).sqrt()


def guided_chain(
    prior: Any,
    take_back: TakeBack,
    received: Tensor,
    noisy: Tensor,
    times: Tensor,
    *,
    zeta: float,
    norm: str,
    eta: float,
    generators: list[Generator],
) -> Tensor:
    """Return pictures in [-1, 1] at the end of a chain through ``times``, B x steps, falling.

    prior: a diffusion model with ``predict`` and ``noise_schedule``. received: y in [-1, 1]. noisy:
    x_t of the first time. eta: 1 is the step of DDPM, 0 that of DDIM. Raises UnpairedError, naming
    the step, where the guidance is not finite.
    """
    latest, steps = noisy, times.shape[1]
    for step in range(steps):
        here, is_last = times[:, step], step + 1 == steps
        latest = latest.detach().requires_grad_()
        with torch.enable_grad():
            picture = prior.predict(latest, here)
            guided = distance(take_back(picture, received), picture, norm).sum()
            (gradient,) = torch.autograd.grad(guided, latest)
        _require_finite(gradient, int(here[0]), step, steps)
        earlier = torch.full_like(here, -1) if is_last else times[:, step + 1]
        latest, picture = latest.detach(), picture.detach()
        moved, variance = implicit_mean(
            prior.noise_schedule, latest, picture, here, earlier, 0.0 if is_last else eta
        )
        if eta > 0 and not is_last:
            moved = moved + variance.sqrt() * draw(generators, tuple(moved.shape[1:]))
        latest = moved - zeta * gradient
    return latest.clamp(-1, 1)


def _require_finite(gradient: Tensor, time: int, step: int, steps: int) -> None:
    finite = gradient.flatten(1).isfinite().all(dim=1)
    if not finite.all():
        bad = [str(index) for index in (~finite).nonzero().flatten().tolist()]
        raise UnpairedError(
            f"step {step + 1} of {steps}, t = {time}: the guidance of pictures {list_some(bad)} of "
            "this batch is not finite; take a smaller step size (guidance), or look at the models"
        )
