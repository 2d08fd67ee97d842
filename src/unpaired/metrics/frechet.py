"""The Fréchet distance of two sets of features, each taken for normal (Heusel et al. 2017).

It is called FID where the features are those of Inception, and of nothing else.
"""

from __future__ import annotations

import numpy as np

from unpaired.core.errors import UnpairedError


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the squared distance of N x D and M x D features, N and M at least 2.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), covariances with N - 1.
    """
    if min(len(first), len(second)) < 2 or first.shape[1:] != second.shape[1:]:
        raise UnpairedError(
            f"features of shapes {first.shape} and {second.shape}: two rows each at least, and "
            "equally many columns"
        )
    means, factors = [], []
    for features in (first, second):
        features = features.astype(np.float64)
        means.append(features.mean(axis=0))
        factors.append(_narrow((features - means[-1]) / np.sqrt(len(features) - 1)))
    spread = sum(float(np.square(factor).sum()) for factor in factors)
    # C = F' F, so the square roots of the eigenvalues of C1 C2 are the singular values of F1 F2'.
    shared = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    return float(np.square(means[0] - means[1]).sum() + spread - 2 * shared)


def _narrow(factor: np.ndarray) -> np.ndarray:
    """Return a factor of the same covariance, of no more rows than columns."""
    return factor if len(factor) <= factor.shape[1] else np.linalg.qr(factor, mode="r")
