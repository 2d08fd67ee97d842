"""What the methods see: pairs of an input and an output, and outputs of other pairs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.randomness import EpochOrder, numpy_generator, seed_for
from unpaired.data.packs import Pack

KEPT_BYTES = 512 * 2**20  # of records that are read once


class TranslationSamples(Dataset):
    """``self[k]`` -> {"input", "output", "sample": k}, C x P x P in [0, 1].

    with_other: also "other_output", of another pair of the pack; nothing else of it can be seen.
    Both pictures of a pair are cut to P x P at one random place, and mirrored left to right or not
    where ``flips`` says so; the other output by itself.
    """

    def __init__(
        self, pack: Pack, *, seed: int, patch_px: int, flips: bool, with_other: bool
    ) -> None:
        self.pack, self.seed, self.patch_px = pack, seed, patch_px
        self.flips, self.with_other = flips, with_other
        self._refuse_unfit()
        self._order = EpochOrder(seed, len(pack))
        self._others = EpochOrder(seed_for(seed, "other"), len(pack))
        size = sum(int(np.prod(pack.shape(0, key))) for key in ("input", "output"))
        self._read = lru_cache(maxsize=max(1, KEPT_BYTES // size))(self._read_record)

    def _refuse_unfit(self) -> None:
        if not {"input", "output"} <= set(self.pack.fields):
            raise UnpairedError(
                f"data set '{self.pack.source}': no pairs of an input and an output to learn from"
            )
        small = [
            f"{self.pack.columns['name'][index]} ({shape[1]}x{shape[0]})"
            for index in self.pack
            if min((shape := self.pack.shape(index, "input"))[:2]) < self.patch_px
        ]
        if small:
            raise UnpairedError(
                f"data set '{self.pack.source}': halves smaller than the {self.patch_px} px that "
                f"are learned from: {list_some(small)}; remove them, or lower patch_px"
            )

    def __getstate__(self) -> dict:
        """Leave what is kept of records behind: workers keep their own."""
        return {key: value for key, value in self.__dict__.items() if key != "_read"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._read = lru_cache(maxsize=256)(self._read_record)

    def __getitem__(self, sample: int) -> dict[str, Tensor | int]:
        record = self._order.record_of(sample)
        cut = self._cut("pair", sample, record)
        found: dict[str, Tensor | int] = {"sample": sample}
        found |= {key: cut(key) for key in ("input", "output")}
        if self.with_other:
            other = self._others.record_of(sample)
            if other == record:
                other = (other + 1) % len(self.pack)
            found["other_output"] = self._cut("other", sample, other)("output")
        return found

    def _read_record(self, record: int, key: str) -> np.ndarray:
        return self.pack.read_unit(record, key)

    def _cut(self, what: str, sample: int, record: int):
        """Return what cuts a field of a record, at the same place whatever the field."""
        rng = numpy_generator(self.seed, "cut", what, sample)
        height, width = self.pack.shape(record, "input")[:2]
        top, left = (int(rng.integers(0, side - self.patch_px + 1)) for side in (height, width))
        step = -1 if self.flips and rng.random() < 0.5 else 1
        rows, columns = slice(top, top + self.patch_px), slice(left, left + self.patch_px)

        def cut(key: str) -> Tensor:
            view = self._read(record, key)[rows, columns][:, ::step]
            return torch.from_numpy(np.ascontiguousarray(view.transpose(2, 0, 1)))

        return cut
