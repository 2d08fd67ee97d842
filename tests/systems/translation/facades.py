"""Drawn facades in packs, and small models, for the tests of the system."""

from __future__ import annotations

from pathlib import Path

import torch

from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.systems.translation import DRAWN_TEST
from unpaired.systems.translation.methods.bicyclegan import BicycleGAN, BicycleGANConfig
from unpaired.systems.translation.sources.drawn_facades import LABEL_COLORS, facade

SMALL = {
    "generator": "rejoined_unet",
    "levels": 2,
    "width": 4,
    "encoder_width": 4,
    "encoder_blocks": 2,
    "critic_width": 4,
    "critic_layers": 2,
    "initialization_gain": 1.0,
    "images_seen": 8,
    "batch_size": 2,
    "patch_px": 32,
    "flips": False,
}


def facade_pack(path: Path, numbers: range, source: str = DRAWN_TEST) -> Pack:
    """Return a pack of drawn facades, as the readers make it."""
    records = []
    for number in numbers:
        labels, picture = facade(number)
        arrays = {"input": LABEL_COLORS[labels], "output": picture}
        records.append(Record(f"{number:05d}", arrays, f"facade:{number}"))
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack(path, records, source=source, is_told=False, **about)
    return Pack(path)


def small(variant: str = "bicyclegan", **changes) -> BicycleGAN:
    """Return an untrained model of a variant."""
    torch.manual_seed(0)
    return BicycleGAN(BicycleGANConfig(**SMALL | {"variant": variant} | changes))
