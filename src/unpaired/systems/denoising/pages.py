"""Pages that show pictures before and after: one HTML file each, which needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unpaired.core.templating import write_html
from unpaired.imaging.liveliness import liveliest

PLACES_MAX = 6
SIDE_MAX_PX = 900
# Of all pictures together: noise hardly compresses, and the file is to stay below 12 MB.
SAMPLES_MAX = 11_000_000
SHOWN_QUANTILES = (0.002, 0.998)
DIFFERENCE_QUANTILE = 0.995
FACTORS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100)  # that a difference is multiplied by
RESTORED = "restored"


@dataclass(frozen=True)
class Place:
    """A noisy picture and what was made of it.

    name: of the file. caption: a line about it; may be empty. noisy: H x W x C of any number type,
    in any unit, C 1 or 3. restored: the same, or several by their titles, the first shown first.
    """

    name: str
    caption: str
    noisy: np.ndarray
    restored: np.ndarray | Mapping[str, np.ndarray]

    @property
    def versions(self) -> Mapping[str, np.ndarray]:
        """Restored pictures by title."""
        return self.restored if isinstance(self.restored, Mapping) else {RESTORED: self.restored}


def write_before_after(
    path: str | PathLike,
    *,
    title: str,
    lines: Sequence[str],
    command: str,
    places: Sequence[Place],
) -> None:
    """Write a page of pictures before and after, with a slider between them.

    lines: sentences at the top. command: the one that made the pictures. Of more than PLACES_MAX
    places that many are shown, evenly chosen; of large pictures the part with the most in it.
    Raises UnpairedError if the file cannot be written.
    """
    write_html(
        Path(path),
        "before_after.html.j2",
        title=title,
        lines=lines,
        command=command,
        places=shown_places(places),
    )


def write_comparison(
    path: str | PathLike,
    *,
    title: str,
    notes: Sequence[str],
    columns: Sequence[str],
    table: Sequence[tuple[Sequence[str], bool]],
    legend: Sequence[str],
    command: str,
    places: Sequence[Place],
) -> None:
    """Write a page with a table of methods, and what each made of the same places.

    table: per line its cells and whether it is set in bold. legend: sentences about the columns.
    command: what to run next. Otherwise as `write_before_after`.
    """
    write_html(
        Path(path),
        "comparison.html.j2",
        title=title,
        notes=notes,
        columns=columns,
        table=table,
        legend=legend,
        command=command,
        places=shown_places(places),
    )


def shown_places(places: Sequence[Place]) -> list[dict[str, Any]]:
    """Return what the template draws of at most PLACES_MAX places, evenly chosen."""
    if len(places) > PLACES_MAX:
        chosen = np.linspace(0, len(places) - 1, PLACES_MAX).round().astype(int)
        places = [places[index] for index in chosen]
    return [_shown(place, SAMPLES_MAX // len(places)) for place in places]


def _shown(place: Place, samples: int) -> dict[str, Any]:
    """Return texts and pictures of a place, which together have at most so many samples."""
    rows, columns = _part(place, samples)
    noisy = _finite(place.noisy[rows, columns])
    versions = {title: _finite(whole[rows, columns]) for title, whole in place.versions.items()}
    low, high = np.quantile(noisy, SHOWN_QUANTILES)
    span = high - low if high > low else 1.0
    factor = _factor(noisy - next(iter(versions.values())), span)
    height, width = noisy.shape[:2]
    whole = place.noisy.shape[:2]
    is_part = (height, width) != whole
    return {
        "name": place.name,
        "caption": place.caption,
        "part": f"a part of {width} x {height} of {whole[1]} x {whole[0]} pixels" * is_part,
        "width": width,
        "height": height,
        "factor": factor,
        "noisy": _png((noisy - low) / span),
        "versions": [
            {
                "title": title,
                "picture": _png((restored - low) / span),
                "difference": _png(0.5 + factor * (noisy - restored) / span),
            }
            for title, restored in versions.items()
        ],
    }


def _part(place: Place, samples: int) -> tuple[slice, slice]:
    """Return the rows and columns to show: all, or the liveliest part that is small enough."""
    height, width, channels = place.noisy.shape
    pictures = 1 + 2 * len(place.versions)
    pixels = min(SIDE_MAX_PX**2, samples // (channels * pictures))
    shorter = min(height, width, isqrt(pixels))
    longer = min(max(height, width), SIDE_MAX_PX, pixels // shorter)
    sides = (shorter, longer) if height <= width else (longer, shorter)
    return liveliest(_finite(place.noisy), *sides)


def _finite(picture: np.ndarray) -> np.ndarray:
    return np.nan_to_num(picture.astype(np.float32), posinf=0.0, neginf=0.0)


def _factor(difference: np.ndarray, span: float) -> int:
    """Return by how much to multiply a difference so that it fills the gray scale."""
    largest = np.quantile(np.abs(difference), DIFFERENCE_QUANTILE) / span
    return max((factor for factor in FACTORS if factor * largest <= 0.5), default=1)


def _png(picture: np.ndarray) -> str:
    """Return an H x W x C picture in [0, 1], clipped, as the address of a PNG."""
    samples = np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(samples.squeeze(-1) if samples.shape[-1] == 1 else samples).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
