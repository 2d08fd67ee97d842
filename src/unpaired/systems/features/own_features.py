"""For a person with pictures: what an encoder of this project sees in them, as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from PIL import Image
from torch import Tensor

from unpaired.core.devices import choose_device
from unpaired.core.errors import UnpairedError, check_choice, counted, list_some
from unpaired.core.files import atomic_path, write_rows
from unpaired.core.progress import Progress
from unpaired.imaging.outputs import check_files, find_and_tell
from unpaired.imaging.upright import read_opaque
from unpaired.learning.weights import load_model
from unpaired.networks.alexnet_caffe import LAYERS
from unpaired.systems.features.methods.encoder import LabEncoder
from unpaired.systems.features.probing import resized

BATCH = 32
NUMBERS_MIN = 1
# Sides of pictures: of those that classify to those that were learned from (Tables 5.2, 5.3).
PAPER_SIDES = 227, 180


@dataclass(frozen=True)
class Options:
    """model: a file, or a table's row. layer: conv1 .. conv5. numbers: of each picture, about.

    side_px: that pictures are squeezed to; None for the side at which the model is at home.
    """

    model: Path
    layer: str = "conv3"
    numbers: int = 9000
    side_px: int | None = None
    device: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class Written:
    """summary: a line for a person. refused: pictures that could not be read, with the reason."""

    summary: str
    refused: list[str]


def write_features(inputs: Sequence[Path], output: Path, options: Options) -> Written:
    """Write N x D float32 as .npy, and beside it a CSV that says which picture a row is.

    Pictures that cannot be read are left out and listed. Raises UnpairedError, before anything is
    written, for a model without features, an unknown layer, an output that is no .npy or is there
    already, and if no picture at all can be read.
    """
    output = Path(output)
    check_files(output, suffix=".npy", overwrite=options.overwrite)
    names_file = output.with_suffix(".csv")
    check_files(names_file, suffix=".csv", overwrite=options.overwrite)
    check_choice("features", "layer", options.layer, LAYERS)
    check_numbers(options.numbers)
    paths = find_and_tell(inputs)
    encoder = load_encoder(options.model, options.device)
    side = options.side_px or home_side_px(encoder)
    readable, refused = readable_pictures(paths, side)
    if not readable:
        raise UnpairedError(list_some(refused))
    count = len(readable)
    with atomic_path(output) as aside:
        rows = None
        for start, batch in encoded(encoder, readable, side, [options.layer], options.numbers):
            values = batch[options.layer]
            if rows is None:
                rows = open_memmap(aside, "w+", np.float32, (count, values.shape[1]))
            rows[start : start + len(values)] = values.numpy()
        rows.flush()
        numbers = rows.shape[1]
    write_rows(names_file, [{"row": n, "picture": str(p)} for n, p in enumerate(readable)])
    size = f"{counted(count, 'picture')} x {numbers} numbers of {options.layer}"
    summary = f"{output}: {size}; {names_file}"
    return Written(summary, refused)


def check_numbers(numbers: int) -> None:
    """Raise UnpairedError unless there is something to keep of a picture."""
    if numbers < NUMBERS_MIN:
        raise UnpairedError(f"numbers must be {NUMBERS_MIN} at least, not {numbers}")


def load_encoder(path: Path, device: str) -> LabEncoder:
    """Return a trained encoder; raises UnpairedError for models that give no such features."""
    name, method = load_model(path, choose_device(device))
    if not isinstance(method, LabEncoder):
        raise UnpairedError(
            f"{path}: a model of '{name}', which gives no features of conv1 .. conv5; name an "
            "encoder, for instance table15:split_brain_cl"
        )
    return method


def home_side_px(encoder: LabEncoder) -> int:
    """Return the side of pictures that fits what the encoder has learned from: 227 for 180 px."""
    told, learned = PAPER_SIDES
    return round(encoder.config.patch_px * told / learned)


def readable_pictures(paths: Sequence[Path], side_px: int) -> tuple[list[Path], list[str]]:
    """Return the pictures that can be read, and what is wrong with the others."""
    readable, refused = [], []
    with Progress("look at pictures", len(paths)) as progress:
        for path in paths:
            try:
                read_square(path, side_px)
                readable.append(path)
            except UnpairedError as error:
                refused.append(str(error))
            progress.advance()
    return readable, refused


def read_square(path: Path, side_px: int) -> Tensor:
    """Return a picture squeezed to side x side, 3 x H x W in [0, 1], as ImageNet's are."""
    whole = Image.fromarray(read_opaque(path))
    square = np.asarray(whole.resize((side_px, side_px), Image.Resampling.BICUBIC), np.float32)
    return torch.from_numpy(square / 255).permute(2, 0, 1)


def encoded(
    encoder: Any, paths: Sequence[Path], side_px: int, layers: Sequence[str], numbers: int
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Yield where a batch starts, and its resized features, B x D of every layer, on the CPU."""
    device = next(encoder.parameters()).device
    with Progress("features", len(paths)) as progress, torch.inference_mode():
        for start in range(0, len(paths), BATCH):
            some = paths[start : start + BATCH]
            given = torch.stack([read_square(path, side_px) for path in some]).to(device)
            found = encoder.features(given)
            yield start, {layer: resized(found[layer], numbers).float().cpu() for layer in layers}
            progress.advance(len(some))
