"""What a study with people shows of a model: one sample of every input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image

from unpaired.core.devices import choose_device
from unpaired.core.randomness import generators_for, seed_for
from unpaired.learning.weights import load_model
from unpaired.systems.translation.translate import picture_of, square


def write_samples(model: Path, inputs: Mapping[str, Path], folder: Path, seed: int) -> None:
    """Write ``folder/NAME.png`` for every input: an output by a code that seed and name decide.

    Raises UnpairedError for a bad model, and an input that cannot be read.
    """
    device = choose_device("auto")
    product = load_model(model, device)[1].eval()
    for name, path in inputs.items():
        codes = generators_for(seed_for(seed, "study", name), [0], "z", torch.device("cpu"))
        with torch.inference_mode():
            picture = square(path, product.config.patch_px, None).to(device)
            made = product.sampled(picture, codes).clamp(0, 1).cpu()
        target = folder / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture_of(made[0])).save(target)
