"""Synthetic noise: float, unclipped, unquantized.

Four kinds are Neighbor2Neighbor's (section 5.1), ``awgn`` is the baseline of LUD-VAE (section 4.4),
which does not say whether it clips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from unpaired.core.errors import UnpairedError, suggest


@dataclass(frozen=True)
class Noise:
    """Independent noise on an image in [0, 1], with one level per image drawn uniformly.

    Gaussian levels are standard deviations in units of the [0, 1] range; Poisson levels are the
    photon count lambda at intensity 1 (uniform in lambda, not in 1 / lambda).
    """

    name: str
    family: Literal["gaussian", "poisson"]
    level_min: float
    level_max: float

    def draw_level(self, rng: np.random.Generator) -> float:
        """Return the level of one image."""
        if self.level_min == self.level_max:
            return self.level_min
        return float(rng.uniform(self.level_min, self.level_max))

    def apply(self, clean: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
        """Return a noisy float32 copy of ``clean`` (any shape, float32, in [0, 1])."""
        if self.family == "gaussian":
            noise = rng.standard_normal(clean.shape, dtype=np.float32)
            return clean + np.float32(level) * noise
        counts = rng.poisson(clean * np.float32(level))
        return counts.astype(np.float32) / np.float32(level)


NOISES = {
    noise.name: noise
    for noise in (
        Noise("gauss25", "gaussian", 25 / 255, 25 / 255),
        Noise("gauss5_50", "gaussian", 5 / 255, 50 / 255),
        Noise("awgn", "gaussian", 0.05, 0.5),
        Noise("poisson30", "poisson", 30.0, 30.0),
        Noise("poisson5_50", "poisson", 5.0, 50.0),
    )
}


# Not made here: a data set of pairs holds noisy pictures already, as a camera took them.
CAMERA = "camera"
# Of tables whose pictures are not noisy at all.
NONE = "none"


def get_noise(name: str) -> Noise | None:
    """Return a noise by name; None where nothing is added.

    That is ``camera``, pictures that are noisy already, and ``none``, pictures without noise.

    Raises UnpairedError naming the nearest valid one.
    """
    if name in (CAMERA, NONE):
        return None
    if name not in NOISES:
        raise UnpairedError(f"unknown noise '{name}'{suggest(name, [*NOISES, CAMERA, NONE])}")
    return NOISES[name]
