"""What every format hands over, and how it refuses a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unpaired.core.errors import UnpairedError, shown

if TYPE_CHECKING:
    import numpy as np

# Checked before decoding, over all pages. Pillow has its own, smaller cap for JPEG and WebP.
MAX_PIXELS = 500_000_000


class Decoded(NamedTuple):
    """samples: pages x H x W x S in the file's type; the last one is alpha if has_alpha."""

    samples: np.ndarray
    has_alpha: bool
    carried: Any
    notes: tuple[str, ...] = ()


def bad(path: Path, what: str, remedy: str) -> UnpairedError:
    return UnpairedError(f"{shown(path)}: {what}; {remedy}")


def refuse_size(path: Path, width: int, height: int, pages: int = 1) -> None:
    if width * height * pages == 0:
        raise bad(path, f"its size is {width} x {height}", "leave it out")
    if width * height * pages > MAX_PIXELS:
        size = f"{width} x {height} pixels" + (f" on {pages} pages" if pages > 1 else "")
        raise bad(path, f"{size}, more than {MAX_PIXELS / 1e6:g} megapixels", "crop or split it")
