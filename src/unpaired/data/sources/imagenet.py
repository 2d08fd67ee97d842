"""ImageNet as Neighbor2Neighbor trains on it, and as colorization is trained and tested on it.

`records`, the training set of Neighbor2Neighbor: validation images with both sides 256..512 px.
The authors' selection keeps 44,328 of the 50,000 (their paper says 50k). They stored the pictures
again as JPEG of quality 100; here the decoded pixels are stored as they are.

`square_records` and `colorization_test_records`, those of Zhang 2018 (chapter 2): pictures squeezed
to 256 x 256, which the authors' databases and test code do; how theirs were interpolated is not
said, here bicubically. The test set is 10,000 validation images, of which the authors published a
list: zero-based positions among the 50,000, so a file's number is one more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from unpaired.core.errors import UnpairedError, list_some
from unpaired.data.packs import Record
from unpaired.data.sources.folder import records_of
from unpaired.imaging.finding import find_pictures

SIDE_MIN_PX, SIDE_MAX_PX = 256, 512
SQUARE_PX = 256
TEST_LIST = "ilsvrclin12_val_inds.npy"


def records(folder: Path) -> Iterator[Record]:
    """Yield the selected pictures as uint8 H x W x 3 and say how many were kept."""
    paths = find_pictures([folder])
    kept = [path for path in paths if _is_selected(path)]
    print(
        f"{folder}: kept {len(kept)} of {len(paths)} pictures "
        f"(both sides {SIDE_MIN_PX}..{SIDE_MAX_PX} px)",
        flush=True,
    )
    yield from records_of(kept, folder)


def square_records(folder: Path) -> Iterator[Record]:
    """Yield every picture below ``folder`` squeezed to 256 x 256 x 3, uint8."""
    return _squeezed(records_of(find_pictures([folder]), folder))


def colorization_test_records(folder: Path) -> Iterator[Record]:
    """Yield the listed validation images as `square_records` does.

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
    found = {_number(picture): picture for picture in find_pictures([folder])}
    missing = [f"ILSVRC2012_val_{number:08d}" for number in sorted(numbers - found.keys())]
    if missing:
        raise UnpairedError(f"{folder}: {len(missing)} pictures are missing: {list_some(missing)}")
    return _squeezed(records_of([found[number] for number in sorted(numbers)], folder))


def _number(path: Path) -> int:
    """Return the number at the end of a file's name; 0 if there is none."""
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else 0


def _squeezed(records: Iterator[Record]) -> Iterator[Record]:
    for record in records:
        picture = Image.fromarray(record.arrays["image"])
        square = picture.resize((SQUARE_PX, SQUARE_PX), Image.Resampling.BICUBIC)
        yield Record(record.name, {"image": np.asarray(square)}, record.scene, record.sha256_file)


def _is_selected(path: Path) -> bool:
    """Judge by the header alone; what has none is kept, so that packing names it as bad."""
    try:
        with Image.open(path) as picture:
            return all(SIDE_MIN_PX <= side <= SIDE_MAX_PX for side in picture.size)
    except (OSError, UnidentifiedImageError):
        return True
