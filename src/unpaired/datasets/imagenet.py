"""The training set of Neighbor2Neighbor: ImageNet validation images with both sides 256..512 px.

The authors' selection keeps 44,328 of the 50,000 (their paper says 50k). They stored the pictures
again as JPEG of quality 100; here the decoded pixels are stored as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from unpaired.datasets.folder import records_of
from unpaired.images import find_pictures
from unpaired.packs import Record

SIDE_MIN_PX, SIDE_MAX_PX = 256, 512


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


def _is_selected(path: Path) -> bool:
    """Judge by the header alone; what has none is kept, so that packing names it as bad."""
    try:
        with Image.open(path) as picture:
            return all(SIDE_MIN_PX <= side <= SIDE_MAX_PX for side in picture.size)
    except (OSError, UnidentifiedImageError):
        return True
