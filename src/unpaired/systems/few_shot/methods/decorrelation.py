"""The penalty on latents that are alike: L_reg of SUD² (Chan et al. 2023, below Corollary 3.2).

The paper prints cov(A, B) / (sigma_A sigma_B) for latents of different samples, and wants them
uncorrelated. Neither layer, sign nor reduction is told.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unpaired.core.errors import check_choice

EPS = 1e-8
# What becomes of every correlation before the mean. "signed" is what is printed: it can be brought
# below 0, to -1 / (B - 1). "square" is what "uncorrelated" asks for.
FORMS = {
    "square": torch.square,
    "signed": lambda correlation: correlation,
    "absolute": torch.abs,
    "positive": lambda correlation: correlation.clamp(min=0),
}


def correlations(latent: Tensor) -> Tensor:
    """Return the correlation of every two of B latents, B x ..., as B (B - 1) numbers.

    Nothing that latents share is taken off first: a penalty on what is left of them can be lowered
    by making all latents alike.
    """
    rows = latent.flatten(1)
    rows = rows - rows.mean(dim=1, keepdim=True)
    rows = rows / (torch.linalg.vector_norm(rows, dim=1, keepdim=True) + EPS)
    apart = ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    return (rows @ rows.T)[apart]


def decorrelation(latent: Tensor, form: str) -> Tensor:
    """Return the mean over pairs of different samples, of one of FORMS.

    Raises UnpairedError for another form.
    """
    check_choice("the decorrelation", "form", form, FORMS)
    return FORMS[form](correlations(latent)).mean()
