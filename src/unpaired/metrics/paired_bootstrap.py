"""The interval of a mean difference over the same pictures, by bootstrap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator

DRAWS = 5000
CONFIDENCE = 0.95


class Difference(NamedTuple):
    """The mean of the second less the first, and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def paired_difference(first: np.ndarray, second: np.ndarray, *key: object) -> Difference:
    """Return how much larger the second is, both N numbers of the same N pictures.

    Pictures are drawn again with replacement, whole, so that what makes a picture hard for both
    cancels; percentiles of the means of the draws, which ``key`` decides. Raises UnpairedError for
    different lengths and fewer than two pictures.
    """
    if first.shape != second.shape or len(first) < 2:
        raise UnpairedError(
            f"{len(first)} and {len(second)} pictures: the same ones are needed, two at least"
        )
    differences = second - first
    rng = numpy_generator("paired bootstrap", *key)
    counts = rng.multinomial(len(first), np.full(len(first), 1 / len(first)), size=DRAWS)
    means = counts @ differences / len(first)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Difference(float(differences.mean()), float(low), float(high))
