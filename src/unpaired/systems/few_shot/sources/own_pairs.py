"""A person's own folders: few pairs of a degraded and a clean picture, and many without the other.

pairs/degraded/a.png, pairs/clean/a.png    the same names and sizes in both
degraded/**, clean/**                      any tree of pictures, and none of the pairs
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unpaired.core.errors import UnpairedError, list_some
from unpaired.data.records import Record
from unpaired.imaging.finding import find_pictures, pictures_by_name
from unpaired.imaging.upright import read_opaque

SIDES = {"noisy": "degraded", "clean": "clean"}  # field of a pack -> folder


def pair_records(folder: Path) -> Iterator[Record]:
    """Yield the pairs by name: "noisy" (degraded) and "clean", both uint8 H x W x 3.

    Raises UnpairedError, naming all at once, for a picture without its other and for two sizes.
    """
    found = {field: pictures_by_name(_there(folder / place)) for field, place in SIDES.items()}
    alone = [
        f"{path} has no picture of that name in {folder / SIDES[other]}"
        for field, other in (("noisy", "clean"), ("clean", "noisy"))
        for name, path in found[field].items()
        if name not in found[other]
    ]
    if alone:
        raise UnpairedError(list_some(alone))
    records, uneven = [], []
    for name in sorted(found["clean"]):
        arrays = {field: read_opaque(found[field][name]) for field in SIDES}
        (height, width), (own_height, own_width) = (a.shape[:2] for a in arrays.values())
        if (height, width) != (own_height, own_width):
            uneven.append(f"{name}: degraded {width}x{height}, clean {own_width}x{own_height}")
        else:
            records.append(Record(name, arrays, f"own:{name}"))
    if uneven:
        raise UnpairedError(f"{folder}: pairs of two sizes: {list_some(uneven)}")
    yield from records


def picture_records(folder: Path) -> Iterator[Record]:
    """Yield every picture below a folder as "image", uint8 H x W x 3; scenes are of the folder."""
    folder = _there(folder)
    for path in find_pictures([folder]):
        name = path.relative_to(folder).as_posix()
        scene = f"{folder.resolve()}:{name}"
        yield Record(name, {"image": read_opaque(path)}, scene)


def _there(folder: Path) -> Path:
    if not folder.is_dir():
        raise UnpairedError(f"{folder}: no such folder; see docs/few_pairs.md for what it holds")
    return folder
