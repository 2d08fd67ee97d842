"""Material of a real-or-fake study where fakes are not there yet, but models that make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from unpaired import catalog
from unpaired.core.errors import UnpairedError, check_choice, list_some
from unpaired.imaging.study import SENTINEL, export, pictures_of, refuse_few, refuse_unfit
from unpaired.imaging.upright import read_opaque
from unpaired.learning.weights import read_about

HALVES = ("left", "right")
# What a method's entry names by ``study_pictures``: model, its inputs by name, folder, seed.
Make = Callable[[Path, Mapping[str, Path], Path, int], None]


def export_made(
    truth: Path,
    methods: Mapping[str, Path],
    sentinel: Path,
    output: Path,
    participants: int = 40,
    seed: int = 1,
    *,
    inputs: Path | None = None,
    truth_half: str | None = None,
) -> str:
    """Do what `imaging.study.export` does, where methods and sentinel may be models too.

    methods, sentinel: folders of pictures, or models, which make one picture of every input.
    inputs: folder of their inputs, of the same names as the truth. truth_half: "left" or "right"
    of every picture in ``truth``, which is a pair side by side; the other half is the input.

    Raises UnpairedError, before anything is made, for a method that makes no pictures of pictures,
    for models without inputs, and as `export` does.
    """
    refuse_unfit(output, participants)
    if truth_half is not None:
        check_choice("--truth-half", "choice", truth_half, HALVES)
        if inputs is not None:
            raise UnpairedError("--inputs: the other halves are the inputs; leave it out")
    sources = dict(methods) | {SENTINEL: sentinel}
    makers = {name: _maker(path) for name, path in sources.items() if not path.is_dir()}
    if makers and inputs is None and truth_half is None:
        raise UnpairedError(
            f"{list_some(map(str, (sources[name] for name in makers)))}: models need inputs; name "
            "their folder with --inputs, or --truth-half if the pictures are pairs side by side"
        )
    named = pictures_of(truth)
    refuse_few(truth, len(named))
    with TemporaryDirectory() as scratch:
        if truth_half is not None:
            truth, inputs = Path(scratch, "truth", truth.name), Path(scratch, "inputs")
            _split(named, truth_half, truth, inputs)
        if makers:
            given = _inputs_of(named, inputs)
            for name, make in makers.items():
                folder = Path(scratch, "made", name)
                make(sources[name], given, folder, seed)
                sources[name] = folder
        sentinel = sources.pop(SENTINEL)
        return export(truth, sources, sentinel, output, participants, seed)


def _maker(path: Path) -> Make:
    """Return what makes pictures with a model."""
    method = read_about(path)["method"]
    known = {name: entry.study_pictures for name, entry in catalog.methods().items()}
    if known.get(method) is None:
        able = [name for name, target in known.items() if target]
        raise UnpairedError(
            f"{path}: a model of '{method}', where {', '.join(able)} can be asked for pictures; "
            "name a folder of pictures that it made"
        )
    return catalog.load(known[method])


def _inputs_of(named: Mapping[str, Path], inputs: Path) -> dict[str, Path]:
    """Return the inputs of all true pictures, by their names."""
    found = pictures_of(inputs)
    missing = [name for name in named if name not in found]
    if missing:
        raise UnpairedError(f"{inputs}: no pictures of {list_some(missing)}")
    return {name: found[name] for name in named}


def _split(named: Mapping[str, Path], truth_half: str, truth: Path, inputs: Path) -> None:
    """Write the halves of all pictures into two folders."""
    folders = (truth, inputs) if truth_half == "left" else (inputs, truth)
    for name, path in named.items():
        picture = read_opaque(path)
        width = picture.shape[1]
        if width % 2:
            raise UnpairedError(f"{path}: an odd width of {width} px has no two halves")
        for folder, half in zip(folders, np.split(picture, 2, axis=1), strict=True):
            target = folder / f"{name}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(half)).save(target)
