"""How different do pictures look? ``unpaired distance``: LPIPS of files, or of folders by name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image
from torch import Tensor

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import atomic_path, write_rows
from unpaired.imaging.finding import pictures_by_name, read_all
from unpaired.imaging.outputs import check_files, find_and_tell, naming
from unpaired.imaging.pictures import read_picture
from unpaired.imaging.upright import orientation_of, upright
from unpaired.learning.model_names import resolve_model
from unpaired.metrics.perceptual import LPIPS, to_tensor
from unpaired.systems.perceptual.metric import load_metric

MAP_COLORS = "viridis"


@dataclass(frozen=True)
class Options:
    """net, weights: see `load_metric`. map_path: a PNG for one pair's map. output: a CSV.

    overwrite: replace files that are there already.
    """

    net: str = "alex"
    weights: Path | None = None
    map_path: Path | None = None
    output: Path | None = None
    overwrite: bool = False


def distance(first: Path, second: Path, options: Options) -> str:
    """Measure two pictures, or two folders matched by name; return a table as text.

    Names are matched below the folders, without suffix, so that a JPEG can be held against a PNG.
    Raises UnpairedError for missing network weights, pictures without a partner (all listed),
    unreadable or transparent ones, pairs of different sizes, and outputs as `check_files` does.
    """
    pairs = match(Path(first), Path(second))
    _check_outputs(options, pairs.values())
    metric = load_metric(str(resolve_model(options.net)), options.weights)
    rows = [
        {"first": str(a), "second": str(b), "net": options.net, "distance": _measure(metric, a, b)}
        for a, b in pairs.values()
    ]
    notes = []
    if options.output is not None:
        write_rows(options.output, rows)
        notes.append(f"written to {options.output}")
    if options.map_path is not None:
        (pair,) = pairs.values()
        notes.append(_write_map(metric, *pair, options.map_path))
    distances = [row["distance"] for row in rows]
    lines = [("picture", "distance"), *zip(pairs, map("{:.4f}".format, distances), strict=True)]
    if len(pairs) > 1:
        lines.append((f"mean of {len(pairs)}", f"{np.mean(distances):.4f}"))
    width = max(len(name) for name, _ in lines)
    return "\n".join([*(f"{name.ljust(width)}  {number}" for name, number in lines), *notes])


def match(first: Path, second: Path) -> dict[str, tuple[Path, Path]]:
    """Return the pairs of pictures to compare, by name.

    Raises UnpairedError if one is a folder and the other is not, if names of one folder differ in
    their suffix alone, and for everything without a partner.
    """
    if first.is_dir() != second.is_dir():
        raise UnpairedError(f"{first} and {second}: give two pictures or two folders")
    found = [find_and_tell([given]) for given in (first, second)]
    if not first.is_dir():
        (a,), (b,) = found
        return {a.name: (a, b)}
    named = [pictures_by_name(folder) for folder in (first, second)]
    alone = [
        f"{path} (no partner in {other})"
        for own, others, other in ((*named, second), (*reversed(named), first))
        for name, path in own.items()
        if name not in others
    ]
    if alone:
        raise UnpairedError(f"pictures without a partner: {list_some(alone)}")
    return {name: (path, named[1][name]) for name, path in named[0].items()}


def _measure(metric: LPIPS, first: Path, second: Path) -> float:
    with naming(first, second), torch.inference_mode():
        return metric(*_read(first, second)).item()


def _read(first: Path, second: Path) -> list[Tensor]:
    """Return two pictures as they are looked at, 1 x C x H x W.

    Gray is repeated where the other has colors.
    """
    pictures = [to_tensor(page) for page in read_all((first, second), _read_page)]
    channels = max(picture.shape[1] for picture in pictures)
    return [picture.expand(-1, channels, -1, -1) for picture in pictures]


def _read_page(path: Path) -> np.ndarray:
    picture = read_picture(path)
    if picture.alpha is not None:
        raise UnpairedError(f"{path}: it has transparency; remove the alpha channel")
    if picture.is_stack:
        raise UnpairedError(f"{path}: a stack of pages; save each page as its own picture")
    return upright(picture.pixels[0], orientation_of(path))


def _check_outputs(options: Options, pairs: Collection[tuple[Path, Path]]) -> None:
    if options.map_path is not None and len(pairs) > 1:
        raise UnpairedError(
            f"--map shows one pair of pictures, not {len(pairs)}; give two pictures"
        )
    may = {"overwrite": options.overwrite, "inputs": [path for pair in pairs for path in pair]}
    check_files(options.output, suffix=".csv", **may)
    check_files(options.map_path, suffix=".png", option="--map", **may)


def _write_map(metric: LPIPS, first: Path, second: Path, path: Path) -> str:
    """Write the map of distances, from 0 to its largest value in colors; say that value."""
    with naming(first, second), torch.inference_mode():
        values = metric.spatial(*_read(first, second))[0].numpy()
    largest = float(values.max())
    shown = colormaps[MAP_COLORS](values / largest if largest > 0 else values, bytes=True)
    with atomic_path(path) as aside:
        Image.fromarray(shown[..., :3]).save(aside)
    return f"map written to {path}, {MAP_COLORS} from 0 to {largest:.4f}"
