"""For a person with gray pictures: give them colors, and leave their lightness as it is.

Arguments, model and outputs are checked before PyTorch is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unpaired import catalog
from unpaired.core.devices import check_names, choose_device, choose_precision
from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.progress import Progress
from unpaired.imaging.color.temperature import check_temperature
from unpaired.imaging.outputs import Notes, Outcome, naming, plan_outputs, told
from unpaired.imaging.own_pictures import read_in_range
from unpaired.imaging.pictures import Picture, in_rgb, write_picture
from unpaired.learning.seen_pictures import doubt_about
from unpaired.learning.weights import load_model, read_about
from unpaired.systems.colorization.told import NOTHING, Asked, Told

if TYPE_CHECKING:
    from unpaired.systems.colorization.methods.colorization import Colorizer

COLOR_MIN = 1 / 255  # Channels that differ by less are gray after a lossy file format.
COLORIZERS = {
    name: entry.gives_colors_by
    for name, entry in catalog.methods().items()
    if entry.gives_colors_by is not None
}
REMEDY = "unpaired import-weights {method} FILE.pth ({page} says where it is)"


@dataclass(frozen=True)
class Options:
    """What to colorize with.

    model: see `resolve_model`. temperature: 0 takes the likeliest color, 1 the mean; None what the
    model's own settings say. overwrite: replace pictures that are in the output folder. asked: what
    the model is told of the colors.
    """

    model: Path | None = None
    temperature: float | None = None
    device: str = "auto"
    precision: str = "auto"
    overwrite: bool = False
    asked: Asked = field(default_factory=Asked)


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
    if doubt := doubt_about(options.model, about, remedy_for(about["method"])):
        print(f"warning: {doubt}", flush=True)
    device = choose_device(options.device)
    choose_precision(options.precision, device)
    method = load_model(options.model, device)[1]
    outputs.mark("colorize")
    written, notes = [], Notes()
    statistics = options.asked.statistics(method)
    with Progress("colorize", len(readable), "pictures") as progress:
        for path in readable:
            try:
                hints = options.asked.of(path, len(readable), statistics)
                with naming(path):
                    colored = colorize_picture(read_in_range(path), method, options, hints)
                    notes.add(path, *write_picture(colored, outputs.targets[path]))
                written.append(outputs.targets[path])
            except UnpairedError as error:
                refused.append(str(error))
            progress.advance()
    for line in notes.lines():
        print(line, flush=True)
    return Outcome(written, refused, outputs.left_out)


def remedy_for(method: str) -> str:
    """Return how to get a model that knows photographs, of the same method where there are some."""
    if catalog.methods()[method].imports_weights is None:
        method = "colorization"
    page = "docs/hints.md" if COLORIZERS[method] else "docs/colors.md"
    return REMEDY.format(method=method, page=page)


def _check(options: Options) -> dict[str, Any]:
    """Check what a person typed, without PyTorch; return what the model says of itself."""
    if options.temperature is not None:
        check_temperature(options.temperature)
    check_names(options.device, options.precision)
    if options.model is None:
        raise UnpairedError(
            "colors are learned from color pictures, so a trained model is needed: name one with "
            f"--model. For photographs: {remedy_for('colorization')}"
        )
    about = read_about(options.model)
    if about["method"] not in COLORIZERS:
        raise UnpairedError(
            f"{options.model}: a model of '{about['method']}', which gives no colors; name one of "
            f"{', '.join(COLORIZERS)}"
        )
    takes = COLORIZERS[about["method"]]
    if options.temperature is not None and "histogram" in takes:
        raise UnpairedError(
            f"--temperature: {options.model} predicts no distribution of colors; leave it out"
        )
    options.asked.check(options.model, about["method"], takes)
    return about


def _readable(paths: Iterable[Path]) -> tuple[dict[Path, bool], list[str]]:
    """Return the pictures that can be colorized, with whether they have colors, and refusals."""
    readable, refused = {}, []
    for path in paths:
        try:
            readable[path] = _has_colors(path)
        except UnpairedError as error:
            refused.append(str(error))
    return readable, refused


def colorize_picture(
    picture: Picture, method: Colorizer, options: Options, told: Told = NOTHING
) -> Picture:
    """Return an RGB picture of the same lightness on every page.

    The network sees every page shrunk, if larger, to the size of the pictures that it learned from
    (``picture_px`` of its settings, for the shorter side): at another scale things look unlike what
    it knows. The authors squeeze all into squares; here the aspect is kept. The colors are
    enlarged bilinearly. told: of the colors, in the picture as it is looked at.
    """
    picture = in_rgb(picture)
    pages = [
        told.as_stored(_colorize_page(told.upright(page), method, options, told))
        for page in picture.pixels
    ]
    return replace(picture, pixels=np.stack(pages))


def _has_colors(path: Path) -> bool:
    return bool(np.ptp(read_in_range(path).pixels, axis=-1).max() > COLOR_MIN)


def _colorize_page(page: np.ndarray, method: Colorizer, options: Options, told: Told) -> np.ndarray:
    """Return H x W x 3 of the lightness of ``page``, H x W x 3 in [0, 1]."""
    import torch

    from unpaired.imaging.color.recoloring import recolored
    from unpaired.systems.colorization.scoring import predict_ab

    device = choose_device(options.device)
    bf16 = choose_precision(options.precision, device) == "bf16"
    rgb = torch.from_numpy(np.ascontiguousarray(page)).permute(2, 0, 1)[None]
    hints = told.options(page.shape[:2], method.picture_px)
    with torch.inference_mode():
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            ab = predict_ab(method, rgb.to(device), temperature=options.temperature, **hints)
        return recolored(rgb, ab)[0].permute(1, 2, 0).numpy()
