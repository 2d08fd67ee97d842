"""ImageNet as Neighbor2Neighbor trains on it, and as colorization is trained and tested on it.

`records`, the training set of Neighbor2Neighbor: validation images with both sides 256..512 px.
The authors' selection keeps 44,328 of the 50,000 (their paper says 50k). They stored the pictures
again as JPEG of quality 100; here the decoded pixels are stored as they are.

`square_records` and `colorization_test_records`, those of Zhang 2018 (chapter 2): pictures squeezed
to 256 x 256, which the authors' databases and test code do; how theirs were interpolated is not
said, here bicubically. The test set is 10,000 validation images, of which the authors published a
list: zero-based positions among the 50,000, so a file's number is one more.

Not all pictures are RGB: some are gray, and of the training set 22 are of inks (CMYK) and one is a
PNG under another suffix. Neighbor2Neighbor turns all into RGB by ``convert`` of Pillow, caffe by
OpenCV. So does this, but for inks with a color profile, which go by it. Transparency is dropped, as
it is by both. A picture without a readable header is told before any is packed.

A million pictures are packed in parts that outlive a kill, and no list holds more than their names.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from unpaired.core.errors import UnpairedError, list_some, shown
from unpaired.core.files import state_of
from unpaired.core.fingerprint import fingerprint
from unpaired.core.progress import Progress
from unpaired.data.records import LazyParts, Part, Parts, Record
from unpaired.data.sources.folder import namesakes, record_of
from unpaired.imaging.finding import names_in
from unpaired.imaging.pictures import read_rgb8, size_of

SIDE_MIN_PX, SIDE_MAX_PX = 256, 512
SQUARE_PX = 256
TEST_LIST = "ilsvrclin12_val_inds.npy"
READERS = 2
TOGETHER = 1000


def records(folder: Path) -> Pictures:
    """Return the selected pictures as uint8 H x W x 3; reading says how many were kept."""
    names = names_in(folder)
    return _pictures(folder, names, partial(_selected, folder, names), _read_whole)


def square_records(folder: Path) -> Pictures:
    """Return every picture below ``folder`` squeezed to 256 x 256 x 3, uint8."""
    return _squeezed(folder, names_in(folder))


def colorization_test_records(folder: Path) -> Pictures:
    """Return the listed validation images as `square_records` does.

    The list, `TEST_LIST`, lies beside ``folder``. Raises UnpairedError if it, or a picture that it
    names, is not there.
    """
    path = folder.parent / TEST_LIST
    if not path.is_file():
        raise UnpairedError(
            f"{path}: no such list; take resources/{TEST_LIST} of "
            "github.com/richzhang/colorization-pytorch"
        )
    numbers = {int(index) + 1 for index in np.load(path, allow_pickle=False).ravel()}
    found = {_number(name): name for name in names_in(folder)}
    missing = [f"ILSVRC2012_val_{number:08d}" for number in sorted(numbers - found.keys())]
    if missing:
        raise UnpairedError(f"{folder}: {len(missing)} pictures are missing: {list_some(missing)}")
    return _squeezed(folder, [found[number] for number in sorted(numbers)])


@dataclass(frozen=True)
class Pictures(Parts):
    """Parts of ``files`` pictures; which of them are sound and selected, their headers say.

    All headers are read when the first part is asked for, not when the files are counted.
    """

    files: int = 0

    def count(self) -> int:
        return self.files


def _pictures(
    folder: Path,
    names: list[str],
    find: Callable[[], list[str]],
    read: Callable[[Path, str], Record],
) -> Pictures:
    code = fingerprint(__name__)

    def part(name: str) -> Part:
        path, title = folder / name, _title(name)
        return Part(title, f"{code} {state_of(path)}", partial(read, path, title))

    parts = LazyParts(find, part)
    return Pictures(shown(folder), parts, readers=READERS, together=TOGETHER, files=len(names))


def _squeezed(folder: Path, names: list[str]) -> Pictures:
    find = partial(_sound, folder, names, lambda size: True)
    return _pictures(folder, names, find, _read_squeezed)


def _number(name: str) -> int:
    """Return the number at the end of a file's name; 0 if there is none."""
    digits = _title(name).rpartition("_")[2]
    return int(digits) if digits.isdecimal() else 0


def _title(name: str) -> str:
    """Return a path less its suffix."""
    return os.path.splitext(name)[0]


def _selected(folder: Path, names: list[str]) -> list[str]:
    """Return the pictures of the wanted sizes, and say how many they are."""
    kept = _sound(folder, names, _is_selected)
    print(
        f"{folder}: kept {len(kept)} of {len(names)} pictures "
        f"(both sides {SIDE_MIN_PX}..{SIDE_MAX_PX} px)",
        flush=True,
    )
    return kept


def _is_selected(size: tuple[int, int]) -> bool:
    return all(SIDE_MIN_PX <= side <= SIDE_MAX_PX for side in size)


def _sound(folder: Path, names: list[str], wanted: Callable[[tuple[int, int]], bool]) -> list[str]:
    """Return the pictures of ``wanted`` sizes.

    Raises UnpairedError that lists all pictures of one name and all without a sound header.
    """
    kept, bad = [], _namesakes(folder, names)
    with Progress(f"look at {shown(folder)}", len(names)) as progress:
        for name in names:
            try:
                if wanted(size_of(folder / name)):
                    kept.append(name)
            except UnpairedError as error:
                bad.append(str(error))
            progress.advance()
    if bad:
        raise UnpairedError(list_some(bad))
    return kept


def _namesakes(folder: Path, names: list[str]) -> list[str]:
    """Say which files would be one record."""
    titles = set(map(_title, names))
    if len(titles) == len(names):
        return []
    seen: dict[str, str] = {}
    firsts = [seen.setdefault(_title(name), name) for name in names]
    pairs = zip(names, firsts, strict=True)
    return [namesakes(folder / name, folder / first) for name, first in pairs if name != first]


def _read_whole(path: Path, name: str) -> Record:
    return record_of(path, name, read_rgb8(path, alpha="drop"))


def _read_squeezed(path: Path, name: str) -> Record:
    whole = Image.fromarray(read_rgb8(path, alpha="drop"))
    square = whole.resize((SQUARE_PX, SQUARE_PX), Image.Resampling.BICUBIC)
    return record_of(path, name, np.asarray(square))
