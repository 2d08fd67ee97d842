"""Crops of pictures that encoders learn from."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import EpochOrder, numpy_generator
from unpaired.data.packs import Pack


class Crops(Dataset):
    """``self[k]`` -> 3 x P x P in [0, 1] of every field, of one place, and "sample": k.

    Raises UnpairedError for a pack with pictures that are smaller than the crops.
    """

    def __init__(self, pack: Pack, fields: tuple[str, ...], patch_px: int, seed: int) -> None:
        small = next((i for i in pack if min(pack.shape(i)[:2]) < patch_px), None)
        if small is not None:
            raise UnpairedError(
                f"data set '{pack.source}': {pack.columns['name'][small]} is smaller than the "
                f"{patch_px} px that are learned from; lower patch_px"
            )
        self.pack, self.fields, self.patch_px, self.seed = pack, fields, patch_px, seed
        self._order = EpochOrder(seed, len(pack))

    def __len__(self) -> int:
        return len(self.pack)

    def record_of(self, sample: int) -> int:
        """Return the record that a sample is of."""
        return self._order.record_of(sample)

    def __getitem__(self, sample: int) -> dict[str, Any]:
        record = self.record_of(sample)
        rng = numpy_generator(self.seed, "sample", sample)
        sides = self.pack.shape(record)[:2]
        top, left = (int(rng.integers(0, side - self.patch_px + 1)) for side in sides)
        rows, columns = slice(top, top + self.patch_px), slice(left, left + self.patch_px)
        crops = {key: self.pack.read_unit(record, key, rows, columns) for key in self.fields}
        shown = {key: torch.from_numpy(crop).permute(2, 0, 1) for key, crop in crops.items()}
        return {**shown, "sample": sample}
