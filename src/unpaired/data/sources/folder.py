"""Any folder tree of ordinary pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from unpaired.core.errors import UnpairedError, list_some, shown
from unpaired.core.files import sha256_of
from unpaired.data.packs import Record
from unpaired.imaging.finding import find_pictures
from unpaired.imaging.pictures import read_rgb8


def records(folder: Path) -> Iterator[Record]:
    """Yield every PNG, JPEG, TIFF and WebP below ``folder``, sorted by path, as uint8 H x W x 3.

    Raises UnpairedError after the last file, naming all bad ones at once.
    """
    return records_of(find_pictures([folder]), folder)


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


def records_of(paths: Iterable[Path], folder: Path) -> Iterator[Record]:
    """Yield a record per readable path; its name is the path below ``folder`` without suffix.

    CMYK pictures, of which ImageNet has some, are turned into RGB.
    """
    bad, seen = [], {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in seen:
            bad.append(
                f"{shown(path)} and {shown(seen[name])} differ only in their suffix; keep one"
            )
            continue
        seen[name] = path
        try:
            image = read_rgb8(path, alpha="refuse")
        except UnpairedError as error:
            bad.append(str(error))
            continue
        yield Record(name, {"image": image}, f"{folder.name}:{name}", sha256_of(path))
    if bad:
        raise UnpairedError(f"{shown(folder)}: {len(bad)} bad pictures: {list_some(bad)}")
