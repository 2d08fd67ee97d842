"""For a person with pairs of pictures: a model of their own, by BicycleGAN."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from unpaired.catalog.method_settings import check_settings
from unpaired.core.devices import check_names
from unpaired.core.errors import UnpairedError, check_choice, list_some
from unpaired.core.randomness import seed_for
from unpaired.data.records import Record
from unpaired.imaging.finding import pictures_by_name
from unpaired.imaging.upright import read_opaque
from unpaired.pipeline.own_models import WORK, OwnModel, forgotten_if_refused
from unpaired.systems.translation.sources.paired_pictures import (
    A_TO_B,
    B_TO_A,
    DIRECTIONS,
    Layout,
    pairs,
)

METHOD = "bicyclegan"
# For small pictures on a processor; a person with a GPU sets the U-Net of the thesis.
DEFAULTS: dict[str, Any] = {
    "generator": "rejoined_unet",
    "levels": 3,
    "width": 32,
    "encoder_width": 32,
    "encoder_blocks": 3,
    "critic_width": 32,
    "critic_layers": 2,
    "initialization_gain": 1.0,
    "kl_weight": 0.0025,
    "images_seen": 20_000,
    "batch_size": 4,
    "learning_rate": 1e-3,
}


@dataclass(frozen=True)
class Options:
    """How to learn. picture_px: side of the squares that halves are brought to.

    settings: of the method, in place of DEFAULTS. overwrite: whether a model of other pairs or
    settings, or a training of one, may be replaced.
    """

    output: Path
    direction: str = A_TO_B
    picture_px: int = 64
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 1
    device: str = "auto"
    overwrite: bool = False


def settings_of(texts: list[str]) -> dict[str, Any]:
    """Read KEY=VALUE; raises UnpairedError for anything else and for no setting of the method."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise UnpairedError(f"--set {text}: must be KEY=VALUE")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UnpairedError(f"--set {text}: not a value") from None
    check_settings(METHOD, found)
    return found


def learn(folder: Path, options: Options) -> Path:
    """Learn to translate from the pairs in a folder; return the model's file.

    The folder holds pictures of a left and a right half, or folders A and B with pictures of the
    same names. A training that was interrupted goes on; a model of the same pairs and settings is
    left as it is. Raises UnpairedError, before anything is learned, for pairs that do not fit, and
    for another model or another's training in the output folder, unless it may be overwritten.
    """
    import torch

    from unpaired.data.pack_writing import write_pack
    from unpaired.data.packs import open_verified
    from unpaired.learning.create import create
    from unpaired.learning.own_training import train_own

    check_names(options.device, "auto")
    settings = DEFAULTS | {"patch_px": options.picture_px} | options.settings
    torch.manual_seed(seed_for(options.seed, "weights"))
    made = create(METHOD, **settings)  # Settings that do not fit are told before pairs are read.
    work, path = options.output / WORK, options.output / "model.safetensors"
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    with forgotten_if_refused(work):
        write_pack(work / "pairs.h5", records(folder, options), source=str(folder), **about)
        pack = open_verified(work / "pairs.h5")
        stamp = {"settings": settings, "seed": options.seed, "pack": pack.digest}
        own = OwnModel(path, work / "training", stamp)
        own.check(overwrite=options.overwrite)
        if own.is_made:
            print(f"{path}: there already", flush=True)
        else:
            samples = made.samples([pack], seed=options.seed)
            place = {"device": options.device, "checkpointing": own.checkpointing}
            train_own(made, samples, seed=options.seed, **place)
            own.save(METHOD, made)
    shutil.rmtree(work, ignore_errors=True)
    return path


def records(folder: Path, options: Options) -> Iterator[Record]:
    """Yield the pairs of a folder, in either layout, as squares of ``picture_px``."""
    check_choice("--direction", "choice", options.direction, DIRECTIONS)
    if not folder.is_dir():
        raise UnpairedError(f"{folder}: no such folder; see docs/translation.md for what it holds")
    if not (folder / "A").is_dir():
        yield from pairs(folder, Layout("", options.direction, options.picture_px))
        return
    for side in ("A", "B"):
        if not (folder / side).is_dir():
            raise UnpairedError(f"{folder / side}: no such folder; A and B belong together")
    found = {side: pictures_by_name(folder / side) for side in ("A", "B")}
    alone = [
        f"{path} has no picture of that name in {folder / other}"
        for side, other in (("A", "B"), ("B", "A"))
        for name, path in found[side].items()
        if name not in found[other]
    ]
    if alone:
        raise UnpairedError(list_some(alone))
    keys = ("output", "input") if options.direction == B_TO_A else ("input", "output")
    for name in sorted(found["A"]):
        squares = [_square(found[side][name], options.picture_px) for side in ("A", "B")]
        yield Record(name, dict(zip(keys, squares, strict=True)), f"own:{name}")


def _square(path: Path, side_px: int) -> np.ndarray:
    picture = Image.fromarray(read_opaque(path))
    return np.asarray(picture.resize((side_px, side_px), Image.Resampling.BICUBIC))
