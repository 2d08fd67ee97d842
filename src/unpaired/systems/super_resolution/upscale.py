"""For a person with small pictures: make them four times larger.

Arguments, model and outputs are checked before PyTorch is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unpaired.core.devices import check_names, choose_device
from unpaired.core.errors import UnpairedError
from unpaired.imaging.lost import noting_descriptions
from unpaired.imaging.outputs import Outcome
from unpaired.imaging.own_pictures import plan_own_pictures
from unpaired.imaging.pictures import Picture, in_another_size
from unpaired.imaging.resolution import at_finer_resolution
from unpaired.learning.weights import load_model, read_about
from unpaired.systems.super_resolution import SYSTEM

if TYPE_CHECKING:
    import torch

ENLARGERS = [name for name, entry in SYSTEM.methods.items() if entry.is_trained]


@dataclass(frozen=True)
class Options:
    """What to enlarge with. overwrite: replace pictures that are in the output folder."""

    model: Path
    device: str = "auto"
    overwrite: bool = False


def upscale(inputs: Sequence[Path], output: Path, options: Options) -> Outcome:
    """Enlarge pictures into the folder ``output`` under their own names; return how each ended.

    output: a folder, or a file for a single picture. Bit depth, format, pages and the size in print
    are kept, so the resolution is four times finer; gray pictures become RGB. Pictures that cannot
    be read, and values outside [0, 1], are refused one by one, and the others written. Large
    pictures are cut into tiles, which show in nothing.

    Raises UnpairedError, before anything is written, for a bad model or device, for outputs as
    `plan_outputs` does, and if no picture at all can be read.
    """
    _check(options)
    pictures = plan_own_pictures(inputs, output, overwrite=options.overwrite)
    device = choose_device(options.device)
    product = load_model(options.model, device)[1]
    return pictures.write_each("upscale", lambda picture, _: _enlarged(picture, product, device))


def _check(options: Options) -> None:
    """Check what a person typed, without PyTorch."""
    check_names(options.device, "auto")
    method = read_about(options.model)["method"]
    if method not in ENLARGERS:
        raise UnpairedError(
            f"{options.model}: a model of '{method}', which enlarges nothing; name one of "
            f"{', '.join(ENLARGERS)}"
        )


def _enlarged(picture: Picture, product: Any, device: torch.device) -> Picture:
    from unpaired.networks.rrdb import SCALE
    from unpaired.systems.super_resolution.enlarging import enlarge
    from unpaired.systems.super_resolution.scoring import as_tensor

    pages = [
        enlarge(product, as_tensor(page, device))[0].permute(1, 2, 0).float().cpu().numpy()
        for page in picture.pixels
    ]
    large = np.clip(np.stack(pages), 0, 1)
    result = in_another_size(picture, large, _enlarged_alpha(picture.alpha))
    return at_finer_resolution(noting_descriptions(picture, result), SCALE)


def _enlarged_alpha(alpha: np.ndarray | None) -> np.ndarray | None:
    """Return pages x H x W four times larger, interpolated, in the same type."""
    import torch

    from unpaired.networks.rrdb import enlarged

    if alpha is None:
        return None
    large = enlarged(torch.from_numpy(alpha.astype(np.float32))[:, None])[:, 0].numpy()
    if alpha.dtype.kind == "f":
        return large.astype(alpha.dtype)
    largest = np.iinfo(alpha.dtype).max
    return np.floor(np.clip(large, 0, largest) + 0.5).clip(0, largest).astype(alpha.dtype)
