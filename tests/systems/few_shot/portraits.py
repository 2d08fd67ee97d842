"""Drawn portraits in packs, for the tests of the system."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.systems.few_shot.sources.drawn_portraits import draw


def portrait_pack(path: Path, numbers: range, source: str = "portraits") -> Pack:
    """Return a pack of drawn portraits with masks and attributes, as the readers make it."""
    records = []
    for number in numbers:
        portrait = draw(number)
        arrays = {
            "image": portrait.rgb,
            "labels": portrait.labels[..., None],
            "attributes": np.array(portrait.attributes, np.uint8)[None, None],
        }
        records.append(Record(f"{number:05d}", arrays, f"drawn_portraits:{number}"))
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack(path, records, source=source, is_told=False, **about)
    return Pack(path)
