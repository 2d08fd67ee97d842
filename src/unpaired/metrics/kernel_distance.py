"""The kernel distance of two sets of features (Bińkowski et al. 2018): a squared MMD, unbiased.

It is called KID where the features are those of Inception, and of nothing else. Unlike a Fréchet
distance, it is in expectation the same for few and for many pictures.
"""

from __future__ import annotations

import numpy as np

from unpaired.core.errors import UnpairedError

DEGREE = 3


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the distance of N x D and M x D features, N and M at least 2; it may be below 0.

    The mean over pairs of k(x, x') + k(y, y') - 2 k(x, y), with k(x, y) = (x . y / D + 1)^3 and no
    picture paired with itself.
    """
    if min(len(first), len(second)) < 2 or first.shape[1:] != second.shape[1:]:
        raise UnpairedError(
            f"features of shapes {first.shape} and {second.shape}: two rows each at least, and "
            "equally many columns"
        )
    first, second = first.astype(np.float64), second.astype(np.float64)
    within = sum(_mean_of_pairs(_kernel(one, one)) for one in (first, second))
    return float(within - 2 * _kernel(first, second).mean())


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first @ second.T / first.shape[1] + 1) ** DEGREE


def _mean_of_pairs(kernel: np.ndarray) -> float:
    count = len(kernel)
    return (kernel.sum() - np.trace(kernel)) / (count * (count - 1))
