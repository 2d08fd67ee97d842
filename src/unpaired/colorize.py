"""For a person with gray pictures: give them colours, and leave their lightness as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unpaired.color.ab_bins import TEMPERATURE, check_temperature
from unpaired.color.lab import into_gamut, lab_to_rgb, rgb_to_lab
from unpaired.colour_evaluation import predict_ab
from unpaired.denoise import targets_of
from unpaired.devices import choose_device, choose_precision
from unpaired.errors import UnpairedError, list_some
from unpaired.images import Picture, in_rgb, read_all, read_picture, write_picture
from unpaired.methods.colorization import Colorization
from unpaired.progress import Progress
from unpaired.weights import load_model

PIXELS_AT_ONCE = 1 << 20  # of what is only converted between colour spaces
COLOUR_MIN = 1 / 255  # Channels that differ by less are gray after a lossy file format.


@dataclass(frozen=True)
class Options:
    """What to colorize with. temperature: 0 takes the likeliest colour, 1 the mean."""

    model: Path | None = None
    temperature: float = TEMPERATURE
    device: str = "auto"
    precision: str = "auto"


def colorize(inputs: Sequence[Path], output: Path, options: Options) -> list[Path]:
    """Colorize pictures into the folder ``output`` under their own names; return those paths.

    Size, bit depth, format, pages, alpha and lightness are kept. A colour picture is taken as gray,
    by its lightness, which is said. Raises UnpairedError, before anything is written, for what
    cannot be read, values outside [0, 1], a bad model or temperature, two pictures of one name, and
    any output that is there already.
    """
    check_temperature(options.temperature)
    targets = targets_of(inputs, Path(output))
    there = [str(target) for target in targets.values() if target.exists()]
    if there:
        raise UnpairedError(f"{list_some(there)}: there already; choose another --output folder")
    coloured = sum(read_all(targets, _has_colours))
    if coloured:
        print(
            f"{coloured} of {len(targets)} pictures have colours; they are taken as gray ones, "
            "by their lightness",
            flush=True,
        )
    method = _model(options)
    with Progress("colorize", len(targets), "pictures") as progress:
        for path, target in targets.items():
            write_picture(colorize_picture(_read(path), method, options), target)
            progress.advance()
    return list(targets.values())


def colorize_picture(picture: Picture, method: Colorization, options: Options) -> Picture:
    """Return an RGB picture of the same lightness on every page.

    The network sees every page shrunk, if larger, to the size of the pictures that it learned from
    (``picture_px`` of its settings, for the shorter side): at another scale things look unlike what
    it knows. The authors squeeze all into squares; here the aspect is kept. The colours are
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


def _has_colours(path: Path) -> bool:
    return bool(np.ptp(_read(path).pixels, axis=-1).max() > COLOUR_MIN)


def _model(options: Options) -> Colorization:
    if options.model is None:
        raise UnpairedError(
            "colours are learned from coloured pictures, so a trained model is needed: name one "
            "with --model (the tables train some, see the README)"
        )
    name, method = load_model(options.model, choose_device(options.device))
    if not isinstance(method, Colorization):
        raise UnpairedError(
            f"{options.model}: a model of '{name}', which gives no colours; name one of "
            "'colorization'"
        )
    return method


def _colorize_page(page: np.ndarray, method: Colorization, options: Options) -> np.ndarray:
    """Return H x W x 3 of the lightness of ``page``, H x W x 3 in [0, 1]."""
    device = choose_device(options.device)
    bf16 = choose_precision(options.precision, device) == "bf16"
    rgb = torch.from_numpy(np.ascontiguousarray(page)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            ab = predict_ab(method, rgb.to(device), temperature=options.temperature)
        strips = [_joined(rgb[..., rows, :].to(device), ab[..., rows, :]) for rows in _strips(rgb)]
    return torch.cat(strips, dim=2)[0].permute(1, 2, 0).numpy()


def _joined(rgb: Tensor, ab: Tensor) -> Tensor:
    """Return RGB with the lightness of ``rgb`` and the colours ``ab``, paler where they must be."""
    lab = torch.cat([rgb_to_lab(rgb)[:, :1], ab.float()], dim=1)
    return lab_to_rgb(into_gamut(lab)).cpu()


def _strips(rgb: Tensor) -> Iterator[slice]:
    height, width = rgb.shape[-2:]
    rows = max(1, PIXELS_AT_ONCE // width)
    return (slice(top, top + rows) for top in range(0, height, rows))
