"""Small packs in the forms that super-resolution learns from and is scored on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.imaging.reduction import reduced

TINY = {
    "width": 8,
    "blocks": 1,
    "growth": 4,
    "head": "pixel_shuffle",
    "global_residual": True,
    "batch_size": 4,
    "patch_px": 32,
    "learning_rate": 2e-3,
    "schedule": "warmup_cosine",
}


def smooth(seed: int, side: int = 64) -> np.ndarray:
    """Return a picture of a few waves, uint8 side x side x 3."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = [
        np.sin(2 * np.pi * (rng.uniform(1, 4) * x + rng.uniform(1, 4) * y + rng.uniform()))
        for _ in range(3)
    ]
    return np.round(127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def write(path: Path, records: list[Record], source: str = "made") -> Pack:
    write_pack(path, records, source=source, value_range=(0, 255), color_space="sRGB", settings={})
    return Pack(path)


def clean_pack(path: Path, count: int = 3, side: int = 64) -> Pack:
    """Return "image" and "large"."""
    pictures = [smooth(seed, side) for seed in range(count)]
    return write(
        path,
        [
            Record(f"p{n}", {"image": reduced(large, 4), "large": large}, f"scene {n}")
            for n, large in enumerate(pictures)
        ],
    )


def degraded(small: np.ndarray, seed: int, std: float = 20.0) -> np.ndarray:
    """Return white noise of ``std`` gray levels on a picture, in 8 bits."""
    noise = np.random.default_rng(seed).normal(0, std, small.shape)
    return np.clip(np.round(small + noise), 0, 255).astype(np.uint8)


def pairs_pack(path: Path, count: int = 3) -> Pack:
    """Return "noisy", "clean" and "large", the first two small."""
    records = []
    for n in range(count):
        large = smooth(n)
        small = reduced(large, 4)
        arrays = {"noisy": degraded(small, n), "clean": small, "large": large}
        records.append(Record(f"p{n}", arrays, f"scene {n}"))
    return write(path, records)


def scored_pack(path: Path, source: str = "simulated_low_resolution", count: int = 2) -> Pack:
    """Return "noisy", small, and "clean", large."""
    records = []
    for n in range(count):
        large = smooth(100 + n)
        arrays = {"noisy": degraded(reduced(large, 4), n), "clean": large}
        records.append(Record(f"t{n}", arrays, f"test {n}"))
    return write(path, records, source)
