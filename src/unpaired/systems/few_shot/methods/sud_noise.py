"""SUD with noise on its outputs before they are denoised (Chan et al. 2023, Equation 9).

    gradient at f(y_u) = 2 [f(y_u) - D_sigma(f(y_u) + nu_2)] / |U_y|,  nu_2 of N(0, sigma_2^2)

So blurred outputs are compared with blurred pictures, and what is between pictures no longer
attracts them as much (Corollary 3.3). The label is compared with the output without the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unpaired.systems.few_shot.methods.pseudo_labels import require_positive
from unpaired.systems.few_shot.methods.sud import SUD, SUDConfig


@dataclass(frozen=True, kw_only=True)
class SUDNoiseConfig(SUDConfig):
    """injected_std: sigma_2, for pictures in [-1, 1]; equal to sigma unless told."""

    injected_std: float = 0.5


class SUDNoise(SUD):
    """Labels by one step of a denoiser, from outputs with noise."""

    Config: ClassVar[type] = SUDNoiseConfig

    def __init__(self, config: SUDNoiseConfig) -> None:
        super().__init__(config)
        require_positive("injected_std", config.injected_std)
