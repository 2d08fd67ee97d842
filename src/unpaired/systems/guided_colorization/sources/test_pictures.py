"""The test pictures of Table 3.1 of Zhang 2018."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from unpaired.data.sources.imagenet import Pictures, colorization_test_records

COUNT = 1_000


def imagenet_records(folder: Path) -> Pictures:
    """Return the first 1,000 of `colorization_test_records`; the thesis does not list its own.

    Raises UnpairedError as that function does.
    """
    listed = colorization_test_records(folder)
    return replace(listed, parts=listed.parts[:COUNT], files=min(COUNT, listed.files))
