"""Drawn things in packs, and small encoders, for the tests of the system."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.systems.features.labeled import labeled_record
from unpaired.systems.features.sources.drawn_things import draw_thing

TINY = {
    "width": 0.125,
    "first_kernel_px": 7,
    "first_stride": 2,
    "top_channels": 32,
    "top_kernel_px": 3,
    "patch_px": 41,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "schedule": "warmup_cosine",
    "beta2": 0.99,
    "weight_decay": 1e-4,
    "initialization": "gaussian",
}


def things_pack(path: Path, numbers: Iterable[int], split: str = "train") -> Pack:
    """Return a pack of drawn things with labels, as the readers make it."""
    return labeled_pack(
        path,
        [
            labeled_record(f"{number:05d}", thing.rgb, thing.label, f"{split}:{number}")
            for number in numbers
            for thing in [draw_thing(split, number)]
        ],
    )


def labeled_pack(path: Path, records: Iterable[Record], source: str = "things") -> Pack:
    """Return a pack of records."""
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack(path, records, source=source, is_told=False, **about)
    return Pack(path)
