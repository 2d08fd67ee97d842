"""The CNN family of distortions of BAPPS: what small trained autoencoders make of an image.

Zhang 2018 (section 6.2.1, Table 6.2 right) trained 96 of them with random settings. The ranges were
never published. Those below are chosen: networks small enough to train in seconds to minutes each,
since one that restores well would leave nothing to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unpaired.errors import UnpairedError
from unpaired.methods.distorting_autoencoder import (
    CORRUPTIONS,
    DistortingAutoencoderConfig,
    DistortingAutoencoderMethod,
)
from unpaired.networks.distorting_autoencoder import NORMALIZATIONS, UPSAMPLINGS
from unpaired.randomness import numpy_generator
from unpaired.weights import load_model

NETWORKS = 96
METHOD = "distorting_autoencoder"

LAYERS = (2, 5)  # at most 2 x 2 features are left of a 64-pixel patch
DROPOUT_LAYERS_MAX = 2  # pix2pix has three in eight layers
FIRST_CHANNELS = (8, 16, 32)
MAX_CHANNELS = (32, 64, 128)
DISCRIMINATOR_LAYERS = (1, 3)  # as deep as a patch of 64 pixels bears
NOISE_STD = (0.05, 0.2)  # from weak to the strongest of the denoising papers (51/255)
DOWNSAMPLING = (2, 3, 4)  # the factors of the super-resolution sets of section 6.2.1
# Beside an absolute loss of weight 1: off in half of the networks, else up to where they dominate.
FEATURE_WEIGHT = (0.1, 3.0)
ADVERSARIAL_WEIGHT = (0.01, 0.3)
LEARNING_RATE = (2e-4, 4e-3)  # from not done in a short training to hardly stable


def draw_configuration(number: int) -> DistortingAutoencoderConfig:
    """Return the settings of network ``number``, 0 to 95; raises UnpairedError for another.

    The length of the training is the default, which is the paper's.
    """
    if not 0 <= number < NETWORKS:
        raise UnpairedError(
            f"there is no distorting network {number}; they are 0 to {NETWORKS - 1}"
        )
    rng = numpy_generator("distorting autoencoder", number)
    layers = int(rng.integers(LAYERS[0], LAYERS[1] + 1))
    corruption = str(rng.choice(CORRUPTIONS))
    return DistortingAutoencoderConfig(
        corruption=corruption,
        corruption_level=_draw_level(corruption, rng),
        layers=layers,
        skips=int(rng.integers(layers)),
        top_skip=bool(rng.integers(2)),
        dropout_layers=int(rng.integers(DROPOUT_LAYERS_MAX + 1)),
        upsampling=str(rng.choice(UPSAMPLINGS)),
        normalization=str(rng.choice(NORMALIZATIONS)),
        first_stride=int(rng.integers(1, 3)),
        first_channels=int(rng.choice(FIRST_CHANNELS)),
        max_channels=int(rng.choice(MAX_CHANNELS)),
        discriminator_layers=int(
            rng.integers(DISCRIMINATOR_LAYERS[0], DISCRIMINATOR_LAYERS[1] + 1)
        ),
        feature_weight=_log_uniform(FEATURE_WEIGHT, rng) * int(rng.integers(2)),
        adversarial_weight=_log_uniform(ADVERSARIAL_WEIGHT, rng) * int(rng.integers(2)),
        learning_rate=_log_uniform(LEARNING_RATE, rng),
    )


def _draw_level(corruption: str, rng: np.random.Generator) -> float:
    if corruption == "downsampling":
        return float(rng.choice(DOWNSAMPLING))
    return float(rng.uniform(*NOISE_STD)) if corruption.endswith("noise") else 0.0


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))


@dataclass(frozen=True)
class NetworkDistortion:
    """A trained network as a distortion; it has no severity."""

    name: str
    method: DistortingAutoencoderMethod

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return what the network makes of ``image``, float32 H x W x 3 in [0, 1].

        Raises UnpairedError if the sides are no multiples of what the network needs.
        """
        multiple_px = self.method.multiple_px
        if any(side % multiple_px for side in image.shape[:2]):
            raise UnpairedError(
                f"{self.name}: sides of {image.shape[0]} x {image.shape[1]} are no multiples of "
                f"{multiple_px} pixels; crop the image"
            )
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        batch = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
        return self.method.distort(batch, [generator])[0].permute(1, 2, 0).numpy()


def load(path: Path) -> NetworkDistortion:
    """Return the distortion of a model file; raises UnpairedError if it is of another method."""
    name, method = load_model(path)
    if name != METHOD:
        raise UnpairedError(f"{path}: a model of the method '{name}', not '{METHOD}'; give another")
    return NetworkDistortion(Path(path).stem, method)
