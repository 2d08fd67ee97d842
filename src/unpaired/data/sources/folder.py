"""Any folder tree of ordinary pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unpaired.core.errors import UnpairedError, list_some, shown
from unpaired.core.files import sha256_of
from unpaired.data.records import Record
from unpaired.imaging.finding import find_pictures
from unpaired.imaging.pictures import read_rgb8


def records(folder: Path) -> Iterator[Record]:
    """Yield every PNG, JPEG, TIFF and WebP below ``folder``, sorted by path, as uint8 H x W x 3.

    A record's name is the path below ``folder`` without suffix. A file is a scene of its own,
    whatever it is called and wherever it lies: names such as 0000.png stand in many folders.
    Pictures of inks (CMYK) are turned into RGB. Raises UnpairedError after the last file, naming
    all bad ones at once.
    """
    bad, seen = [], {}
    for path in find_pictures([folder]):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in seen:
            bad.append(namesakes(path, seen[name]))
            continue
        seen[name] = path
        try:
            record = record_of(path, name, read_rgb8(path, alpha="refuse"))
        except UnpairedError as error:
            bad.append(str(error))
            continue
        yield record
    if bad:
        raise UnpairedError(f"{shown(folder)}: {len(bad)} bad pictures: {list_some(bad)}")


def record_of(path: Path, name: str, image: np.ndarray) -> Record:
    """Return the record of a picture that was read from ``path``."""
    sha256 = sha256_of(path)
    return Record(name, {"image": image}, f"file:{sha256}", sha256)


def namesakes(path: Path, other: Path) -> str:
    """Say what is wrong with two pictures of which records would have one name."""
    return f"{shown(path)} and {shown(other)} differ only in their suffix; keep one"


def color_records(folder: Path) -> Iterator[Record]:
    """Like :func:`records`, without the pictures whose three channels are equal everywhere."""
    for record in records(folder):
        image = record.arrays["image"]
        if np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(
            image[..., 1], image[..., 2]
        ):
            print(f"{record.name}: gray, left out", flush=True)
        else:
            yield record
