"""For a person with degraded pictures and a model of their own few pairs: restore them.

Arguments, model and outputs are checked before PyTorch is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unpaired.core.devices import check_names, choose_device
from unpaired.core.errors import UnpairedError, list_some
from unpaired.imaging.outputs import Outcome
from unpaired.imaging.own_pictures import plan_own_pictures
from unpaired.imaging.pictures import Picture
from unpaired.imaging.upright import as_stored, orientation_of, upright
from unpaired.learning.weights import load_model, read_about
from unpaired.systems.few_shot import SYSTEM

if TYPE_CHECKING:
    import torch

NO_RESTORERS = ("ddpm", "portrait_features")
RESTORERS = [
    name for name, entry in SYSTEM.methods.items() if entry.is_trained and name not in NO_RESTORERS
]


@dataclass(frozen=True)
class Options:
    """What to restore with. overwrite: replace pictures that are in the output folder."""

    model: Path
    device: str = "auto"
    overwrite: bool = False


def restore(inputs: Sequence[Path], output: Path, options: Options) -> Outcome:
    """Restore pictures into the folder ``output`` under their own names; return how each ended.

    output: a folder, or a file for a single picture. Size, bit depth, format and pages are kept;
    gray pictures become RGB. Pictures that cannot be read, and values outside [0, 1], are refused
    one by one, and the others written. A picture larger than the computer can take at once is not
    cut into tiles: the network looks at the whole.

    Raises UnpairedError, before anything is written, for a bad model or device, for outputs as
    `plan_outputs` does, and if no picture at all can be read.
    """
    about = _check(options)
    pictures = plan_own_pictures(inputs, output, overwrite=options.overwrite)
    if doubt := _doubt_about_size(pictures.sizes, about):
        print(f"warning: {doubt}", flush=True)
    device = choose_device(options.device)
    product = load_model(options.model, device)[1]
    return pictures.write_each("restore", lambda picture, _: _restored(picture, product, device))


def _check(options: Options) -> dict[str, Any]:
    """Check what a person typed, without PyTorch; return what the model says of itself."""
    check_names(options.device, "auto")
    about = read_about(options.model)
    if about["method"] not in RESTORERS:
        raise UnpairedError(
            f"{options.model}: a model of '{about['method']}', which restores nothing here; name "
            f"one of {', '.join(RESTORERS)}"
        )
    return about


def _doubt_about_size(sizes: dict[Path, tuple[int, ...]], about: dict[str, Any]) -> str:
    """Return a line on pictures of another size than those that the model has learned from."""
    side = about["config"].get("patch_px")
    other = [f"{path} ({w}x{h})" for path, (h, w) in sizes.items() if {h, w} != {side}]
    if not other:
        return ""
    few = list_some(other, 3)
    return f"the model has learned from {side}x{side} px, and these are others: {few}"


def _restored(picture: Picture, product: Any, device: torch.device) -> Picture:
    from unpaired.systems.few_shot.samples import Observed
    from unpaired.systems.few_shot.scoring import restored

    orientation = orientation_of(picture.path)
    pages = []
    for page in picture.pixels:
        seen = Observed("page", upright(page, orientation))
        made = np.clip(restored(product, seen, device), 0, 1)
        pages.append(as_stored(made, orientation))
    return replace(picture, pixels=np.stack(pages))
