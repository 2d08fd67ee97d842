"""Real photographs that ship inside scikit-image and scikit-learn: no download, always there.

Training and test pictures are different scenes. They lie in the wheels themselves, so nothing is
fetched when they are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from unpaired.core.errors import UnpairedError
from unpaired.core.files import sha256_of
from unpaired.data.records import Record
from unpaired.data.sources import folder as own_folder
from unpaired.imaging.pictures import read_rgb8

SKIMAGE_FOLDER = ("skimage", "data")
SKLEARN_FOLDER = ("sklearn", "datasets", "images")

TRAIN = (
    (SKIMAGE_FOLDER, "coffee.png"),
    (SKIMAGE_FOLDER, "rocket.jpg"),
    (SKIMAGE_FOLDER, "motorcycle_left.png"),
    (SKLEARN_FOLDER, "china.jpg"),
)
TEST = (
    (SKIMAGE_FOLDER, "astronaut.png"),
    (SKIMAGE_FOLDER, "chelsea.png"),
    (SKLEARN_FOLDER, "flower.jpg"),
)


def train_records(folder: Path | None) -> Iterator[Record]:
    """Yield the four training photographs, uint8 H x W x 3."""
    return _records(TRAIN)


def test_records(folder: Path | None) -> Iterator[Record]:
    """Yield the three test photographs, uint8 H x W x 3."""
    return _records(TEST)


def records_with_folder(folder: Path) -> Iterator[Record]:
    """Yield the four training photographs, as embedded/<name>, and every picture below ``folder``.

    Raises UnpairedError as `sources.folder.records` does.
    """
    for record in train_records(None):
        yield replace(record, name=f"embedded/{record.name}")
    yield from own_folder.records(folder)


def _records(pictures: tuple) -> Iterator[Record]:
    for (package, *parts), name in pictures:
        path = _package_folder(package).joinpath(*parts, name)
        if not path.is_file():
            raise UnpairedError(
                f"{path}: missing from the installed {package}; reinstall {package}"
            )
        stem = path.stem
        yield Record(
            stem, {"image": read_rgb8(path, alpha="refuse")}, f"embedded:{stem}", sha256_of(path)
        )


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UnpairedError(f"the package {package} is not installed; its photographs are needed")
    return Path(spec.origin).parent
