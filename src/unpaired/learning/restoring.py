"""How a restorer is used: what it observes, and an array through it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.data.noise import Noise
from unpaired.imaging.pixels import pad_to_square
from unpaired.learning.method import Observation, Restorer


def observe(clean: np.ndarray, noise: Noise, *key: object) -> tuple[np.ndarray, float]:
    """Return the noisy float32 image and its level; ``key`` alone decides what is drawn.

    Evaluation passes (test set, image, repeat): every method and ablation sees the same noise.
    """
    rng = numpy_generator("evaluation", noise.name, *key)
    level = noise.draw_level(rng)
    return noise.apply(clean, level, rng), level


def restore_array(
    restorer: Restorer, noisy: np.ndarray, level: float | None, device: torch.device
) -> np.ndarray:
    """Restore an H x W x C float32 array; the level is passed on only if the method may know it.

    Networks are given a padded square, as the authors do; other methods the image as it is.
    """
    array = noisy if restorer.multiple_px == 1 else pad_to_square(noisy, restorer.multiple_px)
    padded = torch.from_numpy(array).permute(2, 0, 1)[None].to(device)
    known = level if "level" in restorer.knows else None
    restored: Tensor = restorer.restore(Observation(padded, known))
    if restored.shape != padded.shape:
        raise UnpairedError(
            f"the method returned {tuple(restored.shape)}, not {tuple(padded.shape)}"
        )
    return restored[0].permute(1, 2, 0).float().cpu().numpy()[: noisy.shape[0], : noisy.shape[1]]
