"""Supervision by denoising: SUD (Young et al. 2022) as SUD² describes it (Chan et al. 2023).

The label of an output is what a Gaussian denoiser makes of the output itself (Equation 2), and no
gradient goes through the denoiser (Equation 3):

    gradient at f(y_u) = 2 [f(y_u) - D_sigma(f(y_u))] / |U_y|

With a denoiser of least mean squared error this goes up the density of pictures blurred by sigma
(Equation 6), and in the end all outputs are its mode (Theorem 3.1, Corollary 3.2). Without temporal
ensembling and mean teacher, as in SUD². D_sigma is a diffusion model, asked once at the time whose
noise is sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unpaired.learning.diffusion import draw
from unpaired.learning.method import TrainingState
from unpaired.systems.few_shot.methods.pseudo_labels import (
    PseudoLabelConfig,
    PseudoLabeled,
    of_role,
    require_positive,
)


@dataclass(frozen=True, kw_only=True)
class SUDConfig(PseudoLabelConfig):
    """noise_std: sigma, for pictures in [-1, 1]. injected_std: sigma_2, of Equation 9; 0 in SUD."""

    noise_std: float = 0.5
    injected_std: float = 0.0


class SUD(PseudoLabeled):
    """Labels by one step of a denoiser."""

    Config: ClassVar[type] = SUDConfig
    config: SUDConfig

    def __init__(self, config: SUDConfig) -> None:
        super().__init__(config)
        require_positive("noise_std", config.noise_std)

    def labels(self, outputs: Tensor, batch: dict[str, Tensor], state: TrainingState) -> Tensor:
        """Return D_sigma(f(y_u) + nu_2)."""
        if self.config.injected_std:
            generators = state.generators(batch["sample"], "injected noise")
            noise = draw(generators, tuple(outputs.shape[1:]))
            outputs = outputs + self.config.injected_std * noise
        return of_role(self.others, "prior").denoise(outputs, self.config.noise_std)
