"""How alike the outputs of a network are where it must invent: the collapse of SUD² (section 3).

All numbers are of the pixels that are missing in nearly every picture, since what is visible is
copied and hides a collapse.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unpaired.core.errors import UnpairedError

CORE_SHARE = 0.9
PICTURES_MIN = 3


class Collapse(NamedTuple):
    """correlation: mean pairwise correlation (Pearson) of pictures less the mean true one.

    variance_ratio: of the outputs over pictures, summed over pixels, over that of the truth.
    participation: (sum of eigenvalues)^2 / sum of squares of the covariance, from 1, where all
    differ in one way, to the number of pictures less one. Those of the truth stand beside.
    """

    correlation: float
    truth_correlation: float
    variance_ratio: float
    participation: float
    truth_participation: float


def core_of(holes: np.ndarray) -> np.ndarray:
    """Return where more than CORE_SHARE of N x H x W holes are: H x W bool.

    Raises UnpairedError if that is nowhere.
    """
    core = holes.mean(axis=0) > CORE_SHARE
    if not core.any():
        raise UnpairedError(
            f"no pixel is missing in more than {CORE_SHARE:.0%} of the pictures, so nothing tells "
            "whether outputs are alike there"
        )
    return core


def collapse(outputs: np.ndarray, truths: np.ndarray, core: np.ndarray) -> Collapse:
    """Return how alike outputs and truths are, both N x H x W x C; core: H x W bool.

    Raises UnpairedError for fewer than three pictures.
    """
    if len(outputs) < PICTURES_MIN:
        raise UnpairedError(f"{len(outputs)} pictures: {PICTURES_MIN} at least can be alike")
    mean = truths.mean(axis=0)
    own, true = ((some - mean)[:, core].reshape(len(some), -1) for some in (outputs, truths))
    return Collapse(
        _correlation(own),
        _correlation(true),
        float(own.var(axis=0).sum() / true.var(axis=0).sum()),
        _participation(own),
        _participation(true),
    )


def _correlation(rows: np.ndarray) -> float:
    pairs = np.corrcoef(rows.astype(np.float64))
    count = len(pairs)
    return float((pairs.sum() - np.trace(pairs)) / (count * (count - 1)))


def _participation(rows: np.ndarray) -> float:
    """A collapse onto one picture has no direction at all, and counts as 1."""
    singular = np.linalg.svd(rows.astype(np.float64) - rows.mean(axis=0), compute_uv=False)
    powers = singular**2
    return float(powers.sum() ** 2 / (powers**2).sum()) if powers.any() else 1.0
