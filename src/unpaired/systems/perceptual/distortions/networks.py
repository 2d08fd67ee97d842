"""What small trained autoencoders make of an image, as distortions: the CNN family of BAPPS.

Which networks they are is drawn in `corruptions.distorting_networks`; the pipeline trains them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unpaired.core.errors import UnpairedError
from unpaired.learning.weights import load_model
from unpaired.systems.perceptual.distortions.draws import METHOD
from unpaired.systems.perceptual.methods.distorting_autoencoder import DistortingAutoencoderMethod


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
    """Return the distortion of a model file; raises UnpairedError if it is of another method.

    Its name is that of the file, or of the folder that the pipeline gives every model.
    """
    path = Path(path)
    name, method = load_model(path)
    if name != METHOD:
        raise UnpairedError(f"{path}: a model of the method '{name}', not '{METHOD}'; give another")
    return NetworkDistortion(path.parent.name if path.stem == "model" else path.stem, method)
