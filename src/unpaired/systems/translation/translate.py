"""For a person with pictures and a model of pairs: many outputs of every picture.

Arguments, model and outputs are checked before anything is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unpaired.core.devices import check_names, choose_device
from unpaired.core.errors import UnpairedError, check_choice, list_some
from unpaired.core.files import atomic_path
from unpaired.core.progress import Progress
from unpaired.core.randomness import generators_for
from unpaired.imaging.outputs import Outcome, plan_outputs, refuse_existing, told
from unpaired.imaging.pixels import to_uint8
from unpaired.imaging.upright import read_opaque
from unpaired.learning.weights import load_model, read_about

TRANSLATOR = "bicyclegan"
HALVES = ("left", "right")
COLUMNS = 4  # of samples in a contact sheet


@dataclass(frozen=True)
class Options:
    """What to translate with. samples: of every picture. like: whose style to take instead.

    half: of every picture, where it is a pair side by side; None takes the whole.
    """

    model: Path
    samples: int = 6
    like: Path | None = None
    half: str | None = None
    seed: int = 1
    device: str = "auto"
    overwrite: bool = False


def translate(inputs: Sequence[Path], output: Path, options: Options) -> Outcome:
    """Write samples of every picture into the folder ``output``, and a contact sheet of them.

    Of a.jpg: ``a_1.png`` and so on, or ``a_like.png``, and the sheet ``a.png``: the picture and all
    samples. Pictures are brought to the square that the model has learned from, and outputs have
    its size. What cannot be read is refused, one by one.

    Raises UnpairedError, before anything is written, for a bad model, reference or device, for
    outputs that are there already, and if no picture at all can be read.
    """
    about = _check(options)
    device = choose_device(options.device)
    product = load_model(options.model, device)[1].eval()
    if options.like and not product.can_encode:
        raise UnpairedError(
            f"{options.model}: a model of the variant {about['config'].get('variant')} has no "
            "encoder to take a style with; leave --like out, or choose another"
        )
    outputs = plan_outputs(inputs, output, overwrite=options.overwrite)
    if outputs.is_file:
        raise UnpairedError(f"{output}: a file, but samples are many; name a folder")
    targets = _targets(outputs.targets, options)
    for line in told(outputs.left_out):
        print(line, flush=True)
    side = product.config.patch_px
    codes = None
    if options.like:
        with torch.inference_mode():
            codes = product.encode(square(options.like, side, None).to(device))
    readable, refused = _readable(targets, side, options)
    if not readable:
        raise UnpairedError(list_some(refused))
    outputs.mark("translate")
    written = []
    with Progress("translate", len(readable), "pictures") as progress:
        for path, picture in readable.items():
            with torch.inference_mode():
                made = _made(product, picture.to(device), codes, options).cpu()
            for target, content in zip(
                targets[path], [_sheet(picture, made), *map(picture_of, made)], strict=True
            ):
                with atomic_path(target) as aside:
                    Image.fromarray(content).save(aside)
                written.append(target)
            progress.advance()
    return Outcome(written, refused, outputs.left_out)


def _check(options: Options) -> dict[str, Any]:
    check_names(options.device, "auto")
    if options.samples < 1:
        raise UnpairedError(f"--samples must be 1 or more, not {options.samples}")
    if options.half is not None:
        check_choice("--half", "choice", options.half, HALVES)
    about = read_about(options.model)
    if about["method"] != TRANSLATOR:
        raise UnpairedError(
            f"{options.model}: a model of '{about['method']}', which translates nothing; name one "
            f"of {TRANSLATOR}"
        )
    return about


def _targets(planned: dict[Path, Path], options: Options) -> dict[Path, list[Path]]:
    """Return what is written for every picture: the sheet, and the samples."""
    ends = ["like"] if options.like else [str(number + 1) for number in range(options.samples)]
    found = {
        path: [
            target.with_suffix(".png"),
            *(target.with_name(f"{target.stem}_{end}.png") for end in ends),
        ]
        for path, target in planned.items()
    }
    seen: dict[Path, Path] = {}
    for path, targets in found.items():
        for target in targets:
            if target in seen:
                raise UnpairedError(
                    f"{path} and {seen[target]} would both be written to {target}; rename one"
                )
            seen[target] = path
    refuse_existing(seen, options.overwrite)
    return found


def _readable(
    paths: dict[Path, list[Path]], side: int, options: Options
) -> tuple[dict[Path, Tensor], list[str]]:
    readable, refused = {}, []
    for path in paths:
        try:
            readable[path] = square(path, side, options.half)
        except UnpairedError as error:
            refused.append(str(error))
    return readable, refused


def square(path: Path, side: int, half: str | None) -> Tensor:
    """Return a picture, or a half of it, brought to a square: 1 x 3 x S x S in [0, 1]."""
    picture = read_opaque(path)
    if half is not None:
        width = picture.shape[1]
        if width % 2:
            raise UnpairedError(f"{path}: an odd width of {width} px has no two halves")
        picture = picture[:, : width // 2] if half == "left" else picture[:, width // 2 :]
    if picture.shape[:2] != (side, side):
        resized = Image.fromarray(np.ascontiguousarray(picture))
        picture = np.asarray(resized.resize((side, side), Image.Resampling.BICUBIC))
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float() / 255


def _made(product: Any, picture: Tensor, codes: Tensor | None, options: Options) -> Tensor:
    """Return N x 3 x S x S; sample k has the same code for every picture, so styles go together."""
    if codes is not None:
        return product.translate(picture, codes).clamp(0, 1)
    generators = generators_for(options.seed, range(options.samples), "z", torch.device("cpu"))
    return product.sampled(picture, generators).clamp(0, 1)


def picture_of(output: Tensor) -> np.ndarray:
    """Return 3 x H x W in [0, 1] as H x W x 3, uint8."""
    return to_uint8(output.permute(1, 2, 0).numpy())


def _sheet(picture: Tensor, made: Tensor) -> np.ndarray:
    """Return the picture and its samples in rows, the rest black."""
    shown = [picture_of(picture[0]), *map(picture_of, made)]
    columns = min(len(shown), 1 + COLUMNS)
    side = shown[0].shape[0]
    sheet = np.zeros((-(-len(shown) // columns) * side, columns * side, 3), np.uint8)
    for number, one in enumerate(shown):
        row, column = divmod(number, columns)
        sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = one
    return sheet
