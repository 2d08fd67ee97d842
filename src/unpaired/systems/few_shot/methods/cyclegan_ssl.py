"""CycleGAN-SSL: the outputs of a trained CycleGAN as labels (Chan et al. 2023, section 4).

    L = L_paired + lambda |f(y_u) - G(y_u)|^2

G does not change any more, so its labels are fixed.
"""

from __future__ import annotations

from torch import Tensor

from unpaired.learning.diffusion import to_signed
from unpaired.learning.method import TrainingState
from unpaired.systems.few_shot.methods.pseudo_labels import PseudoLabeled, of_role


class CycleGANSSL(PseudoLabeled):
    """Labels that do not depend on the output."""

    def labels(self, outputs: Tensor, batch: dict[str, Tensor], state: TrainingState) -> Tensor:
        """Return G(y_u)."""
        return of_role(self.others, "labeler").translate(to_signed(batch["measured"]))
