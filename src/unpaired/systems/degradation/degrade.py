"""For a person with clean pictures and a learned degradation: the same pictures, noisy.

With the clean ones they are pairs to train a network of one's own on. Arguments, model and outputs
are checked before PyTorch is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unpaired.core.devices import check_names, choose_device
from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.imaging.outputs import Outcome
from unpaired.imaging.own_pictures import plan_own_pictures
from unpaired.imaging.pictures import Picture
from unpaired.learning.model_names import resolve_model
from unpaired.learning.weights import load_model, read_about
from unpaired.systems.degradation import SYSTEM

if TYPE_CHECKING:
    import torch

DEGRADATIONS = tuple(SYSTEM.methods)


@dataclass(frozen=True)
class Options:
    """What to degrade with. seed: another draws other noise. overwrite: replace what is there."""

    model: Path
    device: str = "auto"
    seed: int = 1
    overwrite: bool = False


def degrade(inputs: Sequence[Path], output: Path, options: Options) -> Outcome:
    """Write noisy versions of clean pictures into the folder ``output`` under their own names.

    output: a folder, or a file for a single picture. Size, bit depth, format and pages are kept;
    gray pictures become RGB. Every picture gets noise of its own, which its name and the seed
    decide: like that of one noisy picture that the model has learned from, or, where the model came
    without these, sampled as the paper does. Pictures that cannot be read, and values outside
    [0, 1], are refused one by one, and the others written.

    Raises UnpairedError, before anything is written, for a bad model or device, for outputs as
    `plan_outputs` does, and if no picture at all can be read.
    """
    _check(options)
    pictures = plan_own_pictures(inputs, output, overwrite=options.overwrite)
    return pictures.write_each("degrade", _Degradation(options).of)


def _check(options: Options) -> None:
    """Check what a person typed, without PyTorch."""
    check_names(options.device, "auto")
    method = read_about(options.model)["method"]
    if method not in DEGRADATIONS:
        raise UnpairedError(
            f"{options.model}: a model of '{method}', which makes nothing noisy; name one of "
            f"{', '.join(DEGRADATIONS)}"
        )


class _Degradation:
    """A model with the noise that lies beside it."""

    def __init__(self, options: Options) -> None:
        from unpaired.systems.degradation.own_degradation import read_noise

        self.seed = options.seed
        self.device: torch.device = choose_device(options.device)
        file = resolve_model(options.model)
        _, self.method = load_model(file, self.device)
        self.spreads = read_noise(file, self.method, self.device)
        if not self.spreads:
            print("noise is drawn as in the paper of the method", flush=True)

    def of(self, picture: Picture, name: str) -> Picture:
        """Return a picture whose every page is noisy, clipped to [0, 1]."""
        pages = [
            self._page(page, (self.seed, "degrade", name, number))
            for number, page in enumerate(picture.pixels)
        ]
        return replace(picture, pixels=np.stack(pages))

    def _page(self, page: np.ndarray, key: tuple[object, ...]) -> np.ndarray:
        import torch

        from unpaired.systems.degradation.synthesis import draw_levels, synthesize

        image = torch.from_numpy(np.ascontiguousarray(page.transpose(2, 0, 1)))[None]
        texture, levels = None, draw_levels(self.method, key)
        if self.spreads:
            number = int(numpy_generator(*key, "texture").integers(len(self.spreads)))
            texture, levels["t"] = self.spreads[number], 1.0
        made = synthesize(
            self.method, image.to(self.device), key=key, texture=texture, **levels
        ).noisy
        return np.clip(made[0].permute(1, 2, 0).float().cpu().numpy(), 0, 1)
