"""SUD²: supervision by a diffusion model (Chan et al. 2023, section 3.1).

The one step of a denoiser in Equation 9 becomes D(f(y_u) + nu) = R(F(f(y_u))): F puts the noise of
a time t* on an output, and R takes it off in several steps. Neither t*, the number of steps nor the
sampler is told. Here t* is drawn anew for every output, and R is DDIM: an ancestral chain has, in
the mean, the label of one single step however many it takes, since E[x_0 | x_t] is the mean of what
it draws. Fewer than three steps of DDIM differ little from one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import Share
from unpaired.learning.method import Method, TrainingState
from unpaired.systems.few_shot.methods.pseudo_labels import (
    PseudoLabelConfig,
    PseudoLabeled,
    of_role,
)


@dataclass(frozen=True, kw_only=True)
class SUD2Config(PseudoLabelConfig):
    """time_min, time_max: t* as a share of all T steps, drawn evenly between.

    reverse_steps: of R. eta: 0 is DDIM, 1 ancestral sampling. adds_noise: whether F adds any; else
    an output is taken for one that is noisy already.
    """

    supervision_weight: float = 0.1
    decorrelation_weight: float = 0.02
    time_min: Share = 0.02
    time_max: Share = 0.15
    reverse_steps: int = 10
    eta: Share = 0.0
    adds_noise: bool = True


class SUD2(PseudoLabeled):
    """Labels by a chain of a diffusion model."""

    Config: ClassVar[type] = SUD2Config
    config: SUD2Config

    def __init__(self, config: SUD2Config) -> None:
        super().__init__(config)
        if not 0 < config.time_min <= config.time_max < 1:
            raise UnpairedError(
                f"sud2: t* from {config.time_min} T to {config.time_max} T: time_min and time_max "
                "must rise between 0 and 1"
            )
        if config.reverse_steps < 1 or not 0 <= config.eta <= 1:
            raise UnpairedError(
                f"sud2: reverse_steps = {config.reverse_steps} must be 1 at least, and eta = "
                f"{config.eta} between 0 and 1"
            )

    def receive(self, role: str, other: Method) -> None:
        super().receive(role, other)
        first = round(self.config.time_min * other.config.timesteps)
        if first < self.config.reverse_steps:
            raise UnpairedError(
                f"sud2: time_min = {self.config.time_min} is step {first} of this {role}, which "
                f"leaves no {self.config.reverse_steps} reverse_steps; raise it, or take fewer"
            )

    def labels(self, outputs: Tensor, batch: dict[str, Tensor], state: TrainingState) -> Tensor:
        """Return R(F(f(y_u)))."""
        prior, config = of_role(self.others, "prior"), self.config
        generators = state.generators(batch["sample"], "chain")
        drawn = torch.stack([torch.rand((), generator=g, device=g.device) for g in generators])
        shares = config.time_min + (config.time_max - config.time_min) * drawn
        start = (shares * prior.config.timesteps).long()
        return prior.project(
            outputs,
            start,
            config.reverse_steps,
            eta=config.eta,
            generators=generators,
            adds_noise=config.adds_noise,
        )
