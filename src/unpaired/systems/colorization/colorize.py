"""For a person with gray pictures: give them colors, and leave their lightness as it is.

Arguments, model and outputs are checked before PyTorch is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unpaired.core.devices import check_names, choose_device, choose_precision
from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.progress import Progress
from unpaired.imaging.color.temperature import check_temperature
from unpaired.imaging.outputs import Outcome, plan_outputs, told
from unpaired.imaging.pictures import Picture, in_rgb, read_picture, write_picture
from unpaired.learning.weights import load_model, read_about, resolve_model
from unpaired.systems.colorization import SYSTEM

if TYPE_CHECKING:
    from torch import Tensor

    from unpaired.systems.colorization.methods.colorization import Colorization

PIXELS_AT_ONCE = 1 << 20  # of what is only converted between color spaces
COLOR_MIN = 1 / 255  # Channels that differ by less are gray after a lossy file format.
COLORIZERS = [name for name, entry in SYSTEM.methods.items() if entry.is_trained]
DRAWN_SETS = ("color_scenes_train", "color_scenes_test")
DRAWN_SETS += ("colour_scenes_train",)  # codespell:ignore - in models that were trained before
REMEDY = "unpaired import-weights colorization FILE.pth (docs/colors.md says where it is)"


@dataclass(frozen=True)
class Options:
    """What to colorize with.

    model: see `resolve_model`. temperature: 0 takes the likeliest color, 1 the mean; None what the
    model's own settings say. overwrite: replace pictures that are in the output folder.
    """

    model: Path | None = None
    temperature: float | None = None
    device: str = "auto"
    precision: str = "auto"
    overwrite: bool = False


def colorize(inputs: Sequence[Path], output: Path, options: Options) -> Outcome:
    """Colorize pictures into the folder ``output`` under their own names; return how each ended.

    output: a folder, or a file for a single picture. Size, bit depth, format, pages, alpha and
    lightness are kept. A color picture is taken as gray, by its lightness, which is said. Pictures
    that cannot be read, and values outside [0, 1], are refused one by one, and the others written.

    Raises UnpairedError, before anything is written or computed, for a bad model, device or
    temperature, for outputs as `plan_outputs` does, and if no picture at all can be read.
    """
    about = _check(options)
    outputs = plan_outputs(inputs, output, overwrite=options.overwrite)
    for line in told(outputs.left_out):
        print(line, flush=True)
    readable, refused = _readable(outputs.targets)
    if not readable:
        raise UnpairedError(list_some(refused))
    colored = sum(readable.values())
    if colored:
        print(
            f"{colored} of {len(readable)} pictures have colors; they are taken as gray ones, "
            "by their lightness",
            flush=True,
        )
    if doubt := doubt_about(options.model, about):
        print(f"warning: {doubt}", flush=True)
    device = choose_device(options.device)
    choose_precision(options.precision, device)
    method = load_model(options.model, device)[1]
    outputs.mark("colorize")
    written = []
    with Progress("colorize", len(readable), "pictures") as progress:
        for path in readable:
            try:
                write_picture(colorize_picture(_read(path), method, options), outputs.targets[path])
                written.append(outputs.targets[path])
            except UnpairedError as error:
                refused.append(str(error))
            progress.advance()
    return Outcome(written, refused, outputs.left_out)


def _check(options: Options) -> dict[str, Any]:
    """Check what a person typed, without PyTorch; return what the model says of itself."""
    if options.temperature is not None:
        check_temperature(options.temperature)
    check_names(options.device, options.precision)
    if options.model is None:
        raise UnpairedError(
            "colors are learned from color pictures, so a trained model is needed: name one with "
            f"--model. For photographs: {REMEDY}"
        )
    about = read_about(options.model)
    if about["method"] not in COLORIZERS:
        raise UnpairedError(
            f"{options.model}: a model of '{about['method']}', which gives no colors; name one of "
            f"{', '.join(COLORIZERS)}"
        )
    return about


def doubt_about(model: Path, about: dict[str, Any]) -> str:
    """Return a line on a model that has seen no photographs, or that does not say what it saw.

    about: what `read_about` returns. Empty if there is nothing to doubt.
    """
    train_set = _train_set(resolve_model(model), about)
    if train_set in DRAWN_SETS:
        return (
            "this model has seen drawn scenes only; on photographs its colors are wrong. "
            f"For photographs: {REMEDY}"
        )
    if train_set is None:
        return (
            f"{model} does not say what pictures it has learned from; look at its colors before "
            "you use them"
        )
    return ""


def _train_set(file: Path, about: dict[str, Any]) -> str | None:
    """Return the name of the data set that a model learned from, of its notes or of its record."""
    if "train_set" in (about.get("notes") or {}):
        return about["notes"]["train_set"]
    try:
        return json.loads(file.with_suffix(".json").read_text())["spec"]["train_set"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _readable(paths: Iterable[Path]) -> tuple[dict[Path, bool], list[str]]:
    """Return the pictures that can be colorized, with whether they have colors, and refusals."""
    readable, refused = {}, []
    for path in paths:
        try:
            readable[path] = _has_colors(path)
        except UnpairedError as error:
            refused.append(str(error))
    return readable, refused


def colorize_picture(picture: Picture, method: Colorization, options: Options) -> Picture:
    """Return an RGB picture of the same lightness on every page.

    The network sees every page shrunk, if larger, to the size of the pictures that it learned from
    (``picture_px`` of its settings, for the shorter side): at another scale things look unlike what
    it knows. The authors squeeze all into squares; here the aspect is kept. The colors are
    enlarged bilinearly.
    """
    picture = in_rgb(picture)
    pages = [_colorize_page(page, method, options) for page in picture.pixels]
    return replace(picture, pixels=np.stack(pages))


def _read(path: Path) -> Picture:
    picture = read_picture(path)
    low, high = float(picture.pixels.min()), float(picture.pixels.max())
    if low < 0 or high > 1:
        raise UnpairedError(
            f"{path}: values from {low:.4g} to {high:.4g}; scale floating-point pictures to 0 .. 1"
        )
    return picture


def _has_colors(path: Path) -> bool:
    return bool(np.ptp(_read(path).pixels, axis=-1).max() > COLOR_MIN)


def _colorize_page(page: np.ndarray, method: Colorization, options: Options) -> np.ndarray:
    """Return H x W x 3 of the lightness of ``page``, H x W x 3 in [0, 1]."""
    import torch

    from unpaired.systems.colorization.scoring import predict_ab

    device = choose_device(options.device)
    bf16 = choose_precision(options.precision, device) == "bf16"
    rgb = torch.from_numpy(np.ascontiguousarray(page)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            ab = predict_ab(method, rgb.to(device), temperature=options.temperature)
        strips = [_joined(rgb[..., rows, :].to(device), ab[..., rows, :]) for rows in _strips(rgb)]
    return torch.cat(strips, dim=2)[0].permute(1, 2, 0).numpy()


def _joined(rgb: Tensor, ab: Tensor) -> Tensor:
    """Return RGB with the lightness of ``rgb`` and the colors ``ab``, paler where they must be."""
    import torch

    from unpaired.imaging.color.lab import into_gamut, lab_to_rgb, rgb_to_lab

    lab = torch.cat([rgb_to_lab(rgb)[:, :1], ab.float()], dim=1)
    return lab_to_rgb(into_gamut(lab)).cpu()


def _strips(rgb: Tensor) -> Iterator[slice]:
    height, width = rgb.shape[-2:]
    rows = max(1, PIXELS_AT_ONCE // width)
    return (slice(top, top + rows) for top in range(0, height, rows))
