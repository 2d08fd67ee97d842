"""What the semi-supervised methods of SUD² share: pairs, and labels that are made of outputs.

    L = L_paired + lambda_1 L_denoiser + lambda_2 L_reg      (Chan et al. 2023, Equation 8)

L_denoiser is the mean over measurements of |f(y_u) - label|^2. A label is made without a gradient,
so that the gradient at f(y_u) is 2 (f(y_u) - label) / |U|: Equations 3 and 9. Every mean is one
over pixels too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import Share
from unpaired.learning.diffusion import to_signed
from unpaired.learning.method import Method, TrainingState
from unpaired.systems.few_shot.methods.decorrelation import correlations, decorrelation
from unpaired.systems.few_shot.methods.reconstruction import Reconstruction, ReconstructionConfig


@dataclass(frozen=True, kw_only=True)
class PseudoLabelConfig(ReconstructionConfig):
    """The paper prints none of these numbers.

    supervision_weight: lambda_1, of what the labels say. ramp_share: of the training, over which it
        grows from 0.
    decorrelation_weight: lambda_2, of latents that are alike; 0 leaves them.
    decorrelation_form: what becomes of a correlation, "square", or "signed" as printed, "absolute",
        "positive".
    """

    RENAMED: ClassVar[dict[str, str | None]] = {"decorrelation_less_mean": None}

    supervision_weight: float = 1.0
    ramp_share: Share = 0.3
    decorrelation_weight: float = 0.0
    decorrelation_form: str = "square"


class PseudoLabeled(Reconstruction):
    """A method says what the label of an output is, and which model it is made by."""

    Config: ClassVar[type] = PseudoLabelConfig
    sees: ClassVar[tuple[str, ...]] = ("pair_measured", "pair_clean", "measured")
    config: PseudoLabelConfig

    def __init__(self, config: PseudoLabelConfig) -> None:
        super().__init__(config)
        if not 0 < config.ramp_share <= 1:
            raise UnpairedError(f"ramp_share must lie in (0, 1], not {config.ramp_share}")

    def receive(self, role: str, other: Method) -> None:
        """Take the model that makes labels; it must be one of pictures of the same size."""
        own, given = ((config.patch_px, config.channels) for config in (self.config, other.config))
        if own != given:
            raise UnpairedError(
                f"the {role} is a model of pictures of {given[0]} px with {given[1]} channels, but "
                f"the reconstruction is of {own[0]} px with {own[1]}; give both the same patch_px"
            )
        super().receive(role, other)

    def labels(self, outputs: Tensor, batch: dict[str, Tensor], state: TrainingState) -> Tensor:
        """Return what outputs, B x C x H x W in [-1, 1] or beyond, should have been."""
        raise TypeError(f"{type(self).__name__} must define labels()")

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        measured = to_signed(torch.cat([batch["pair_measured"], batch["measured"]]))
        outputs, latent = self.reconstruct(measured)
        pairs = len(batch["pair_measured"])
        paired = functional.mse_loss(outputs[:pairs], to_signed(batch["pair_clean"]))
        unpaired, latent = outputs[pairs:], latent[pairs:].float()
        with torch.no_grad():
            label = self.labels(unpaired.detach().float(), batch, state)
        supervision = functional.mse_loss(unpaired, label)
        weight = self.config.supervision_weight * min(1.0, state.fraction / self.config.ramp_share)
        loss = paired + weight * supervision
        told = {"paired": paired, "supervision": supervision}
        if self.config.decorrelation_weight:
            penalty = decorrelation(latent, self.config.decorrelation_form)
            loss = loss + self.config.decorrelation_weight * penalty
            told["penalty"] = penalty
        told["latent_correlation"] = correlations(latent.detach()).mean()
        return {"loss": loss, **told}


def of_role(others: dict[str, Method], role: str) -> Method:
    """Return the model in a role; raises UnpairedError if none was received."""
    if role not in others:
        raise UnpairedError(f"no {role} was given; a table's row names it by `needs`")
    return others[role]


def require_positive(name: str, value: float) -> None:
    """Raise UnpairedError for a standard deviation that is not positive."""
    if not value > 0:
        raise UnpairedError(f"{name} = {value} must be positive")
