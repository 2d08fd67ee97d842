"""Small packs of judged patches, for tests."""

from __future__ import annotations

import numpy as np

from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record


def share(value: float) -> np.ndarray:
    return np.full((1, 1, 1), value, np.float32)


def picture(number: int, side_px: int = 64) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (side_px, side_px, 3), np.uint8)


def brighter(patch: np.ndarray, by: int) -> np.ndarray:
    return np.clip(patch.astype(int) + by, 0, 255).astype(np.uint8)


def write_judged_pack(path, records: list[dict[str, np.ndarray]], source: str = "judged") -> Pack:
    entries = [Record(f"r{k}", arrays, f"{source}:{k}") for k, arrays in enumerate(records)]
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack(path, entries, source=source, **about)
    return Pack(path)


def triplet(number: int, first: int, second: int, judge: float) -> dict[str, np.ndarray]:
    """Return a gray reference with two patches that are brighter by so much."""
    reference = 100 + picture(number) // 4
    return {
        "reference": reference,
        "first": brighter(reference, first),
        "second": brighter(reference, second),
        "judge": share(judge),
    }


def pair(number: int, by: int, same: float) -> dict[str, np.ndarray]:
    reference = 100 + picture(number) // 4
    return {"first": reference, "second": brighter(reference, by), "same": share(same)}
