"""Does every distance grow with the severity of every distortion, on average over patches?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from unpaired.core.randomness import numpy_generator
from unpaired.data.sources import embedded
from unpaired.metrics.perceptual import LPIPS
from unpaired.systems.perceptual.distortions.formulas import DISTORTIONS, Distortion
from unpaired.systems.perceptual.methods.formulas import FORMULAS
from unpaired.systems.perceptual.methods.lpips import LPIPSConfig, starting_network
from unpaired.systems.perceptual.observer import visual_distance

SEVERITIES = (0.2, 0.4, 0.6, 0.8, 1.0)
PATCHES = 24
PATCH_PX = 64
WIDTH = 0.25  # of the AlexNet whose random features are compared

Distances = dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]


def growth() -> list[dict[str, object]]:
    """Return a row per distortion and distance: its mean at every severity, and whether it grows.

    Distances: L2 in CIE Lab, SSIM's, the simulated observer's, and LPIPS of a random narrow
    AlexNet without weights of channels. Patches are from the embedded test photographs; what is
    random in a distortion is the same at all severities.
    """
    patches = _patches()
    distances = _distances()
    return [
        _row(distortion, name, [float(distance(patches, image).mean()) for image in distorted])
        for distortion in DISTORTIONS.values()
        for distorted in [_distorted(distortion, patches)]
        for name, distance in distances.items()
    ]


def _row(distortion: Distortion, distance: str, means: list[float]) -> dict[str, object]:
    at = {f"at_{severity:g}": mean for severity, mean in zip(SEVERITIES, means, strict=True)}
    grows = bool(np.all(np.diff([0.0, *means]) > 0))
    return {"distortion": distortion.name, "distance": distance, **at, "grows": grows}


def _patches() -> np.ndarray:
    """Return patches at random places, N x P x P x 3 in [0, 1]."""
    photographs = [record.arrays["image"] for record in embedded.test_records(None)]
    patches = []
    for number in range(PATCHES):
        rng = numpy_generator("growth", "patch", number)
        photograph = photographs[number % len(photographs)]
        top, left = (int(rng.integers(0, side - PATCH_PX + 1)) for side in photograph.shape[:2])
        patches.append(photograph[top : top + PATCH_PX, left : left + PATCH_PX])
    return np.stack(patches).astype(np.float32) / 255


def _distorted(distortion: Distortion, patches: np.ndarray) -> list[np.ndarray]:
    """Return all patches at every severity."""
    return [
        np.stack(
            [
                distortion.apply(
                    patch, severity, numpy_generator("growth", distortion.name, number)
                )
                for number, patch in enumerate(patches)
            ]
        )
        for severity in SEVERITIES
    ]


def _distances() -> Distances:
    config = LPIPSConfig(width=WIDTH, form="unweighted")
    metric = LPIPS(starting_network("random", config), learned=False).eval()
    return {
        "l2": _of_tensors(FORMULAS["l2"]),
        "ssim": _of_tensors(FORMULAS["ssim"]),
        "simulated_observer": visual_distance,
        "lpips_random": _of_tensors(metric),
    }


def _of_tensors(
    distance: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def of_arrays(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        pair = (torch.from_numpy(array).movedim(-1, 1) for array in (first, second))
        with torch.inference_mode():
            return distance(*pair).numpy()

    return of_arrays
