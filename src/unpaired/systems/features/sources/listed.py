"""Large sets of pictures with labels, squeezed to 256 x 256 and packed in parts."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from unpaired.core.errors import UnpairedError, list_some, shown
from unpaired.core.files import sha256_of, state_of
from unpaired.core.fingerprint import fingerprint
from unpaired.data.records import LazyParts, Part, Parts, Record
from unpaired.imaging.pictures import read_rgb8
from unpaired.systems.features.labeled import labeled_record

SQUARE_PX = 256
READERS = 2
TOGETHER = 1000


@dataclass(frozen=True)
class Listed(Parts):
    """Parts of pictures that a list, or their folders, give labels."""


def listed_pictures(folder: Path, labels: Mapping[str, int]) -> Listed:
    """Return the pictures that ``labels`` names, below ``folder``, as parts.

    Raises UnpairedError that lists names of which two differ in their suffix alone.
    """
    titles: dict[str, str] = {}
    twice = [name for name in labels if titles.setdefault(os.path.splitext(name)[0], name) != name]
    if twice:
        raise UnpairedError(f"{folder}: {list_some(twice)}: the same name with another suffix")
    code = fingerprint(__name__)

    def part(name: str) -> Part:
        path, title = folder / name, os.path.splitext(name)[0]
        stamp = f"{code} {labels[name]} {state_of(path)}"
        return Part(title, stamp, partial(_read, path, title, labels[name]))

    parts = LazyParts(lambda: list(labels), part)
    return Listed(shown(folder), parts, readers=READERS, together=TOGETHER)


def _read(path: Path, title: str, label: int) -> Record:
    whole = Image.fromarray(read_rgb8(path, alpha="drop"))
    square = whole.resize((SQUARE_PX, SQUARE_PX), Image.Resampling.BICUBIC)
    return labeled_record(title, np.asarray(square), label, f"file:{sha256_of(path)}")
