"""Which networks make the CNN family of distortions of BAPPS: their settings, drawn at random.

Zhang 2018 (section 6.2.1, Table 6.2 right) trained 96 of them with random settings. The ranges were
never published. Those below are chosen for short trainings of narrow networks that still leave the
colors of a patch about as they are: a color cast outweighs all else that a network leaves, and then
judging its patches is ordering networks. No torch: the DAG is planned from them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.networks.distorting_choices import NORMALIZATIONS, UPSAMPLINGS

NETWORKS = 96
METHOD = "distorting_autoencoder"

CORRUPTIONS = ("none", "pink_noise", "white_noise", "gray", "downsampling")
LAYERS = (2, 4)  # at least 2 x 2 features are left of a 32-pixel patch
DROPOUT_LAYERS_MAX = 2  # pix2pix has three in eight layers
FIRST_CHANNELS = (4, 8, 16)
MAX_CHANNELS = (16, 32, 64)
DISCRIMINATOR_LAYERS = (1, 3)  # as deep as a patch of 32 pixels bears
NOISE_STD = (0.05, 0.2)  # from weak to the strongest of the denoising papers (51/255)
DOWNSAMPLING = (2, 3, 4)  # the factors of the super-resolution sets of section 6.2.1
# Beside an absolute loss of weight 1: off in half of the networks, else below where colors suffer.
FEATURE_WEIGHT = (0.03, 0.3)
ADVERSARIAL_WEIGHT = (0.003, 0.03)
LEARNING_RATE = (2e-3, 1e-2)  # at its peak; below, a short training does not get far


def draw_settings(number: int) -> dict[str, Any]:
    """Return the settings of network ``number``, 0 to 95; raises UnpairedError for another.

    They are fields of the method's ``Config``, plain values. The length of the training is left to
    its default, which is the paper's.
    """
    if not 0 <= number < NETWORKS:
        raise UnpairedError(
            f"there is no distorting network {number}; they are 0 to {NETWORKS - 1}"
        )
    rng = numpy_generator("distorting autoencoder", number)
    layers = int(rng.integers(LAYERS[0], LAYERS[1] + 1))
    corruption = str(rng.choice(CORRUPTIONS))
    settings = {
        "corruption": corruption,
        "corruption_level": _draw_level(corruption, rng),
        "layers": layers,
        "skips": int(rng.integers(layers)),
        "top_skip": bool(rng.integers(2)),
        "dropout_layers": int(rng.integers(DROPOUT_LAYERS_MAX + 1)),
        "upsampling": str(rng.choice(UPSAMPLINGS)),
        "normalization": str(rng.choice(NORMALIZATIONS)),
        "first_stride": int(rng.integers(1, 3)),
        "first_channels": int(rng.choice(FIRST_CHANNELS)),
        "max_channels": int(rng.choice(MAX_CHANNELS)),
        "discriminator_layers": int(
            rng.integers(DISCRIMINATOR_LAYERS[0], DISCRIMINATOR_LAYERS[1] + 1)
        ),
        "feature_weight": _log_uniform(FEATURE_WEIGHT, rng) * int(rng.integers(2)),
        "adversarial_weight": _log_uniform(ADVERSARIAL_WEIGHT, rng) * int(rng.integers(2)),
        "learning_rate": _log_uniform(LEARNING_RATE, rng),
    }
    # It takes away what a patch is in the mean, its color above all; a skip brings that back.
    settings["top_skip"] |= settings["normalization"] == "instance"
    # Not in the paper: short trainings of small networks do not learn to keep colors. Without a
    # corruption there would be nothing left to add.
    settings["residual"] = corruption != "none"
    return settings


def _draw_level(corruption: str, rng: np.random.Generator) -> float:
    if corruption == "downsampling":
        return float(rng.choice(DOWNSAMPLING))
    return float(rng.uniform(*NOISE_STD)) if corruption.endswith("noise") else 0.0


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))
