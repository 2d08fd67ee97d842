"""Training samples of judged triplets: a reference, two patches, and who was found nearer."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import EpochOrder
from unpaired.data.packs import Pack

PICTURES = ("reference", "first", "second")
FIELDS = (*PICTURES, "judge")


class JudgedSamples(Dataset):
    """``self[k]`` -> {"reference": 3 x P x P, "first", "second", "judge": a scalar, "sample": k}.

    Pictures are in [0, 1]; judge is the share of votes for ``second``, in [0, 1]. Sample k is a
    pure function of (seed, k), and every epoch is a new shuffle, as in ``CropSamples``. Patches are
    taken as they are: turning or mirroring them would change what was judged.

    Raises UnpairedError if the pack holds no judged triplets.
    """

    def __init__(self, pack: Pack, *, seed: int) -> None:
        check_fields(pack, FIELDS)
        self.pack, self.seed = pack, seed
        self._order = EpochOrder(seed, len(pack))

    def __len__(self) -> int:
        """Return how many triplets there are: the length of an epoch."""
        return len(self.pack)

    def record_of(self, sample: int) -> int:
        """Return which record a sample is: every epoch is a new shuffle."""
        return self._order.record_of(sample)

    def __getitem__(self, sample: int) -> dict[str, Tensor | int]:
        index = self.record_of(sample)
        pictures = {
            key: torch.from_numpy(self.pack.read_unit(index, key)).permute(2, 0, 1)
            for key in PICTURES
        }
        judge = torch.tensor(self.pack.read(index, "judge").item(), dtype=torch.float32)
        return pictures | {"judge": judge, "sample": sample}


def check_fields(pack: Pack, fields: tuple[str, ...]) -> None:
    """Raise UnpairedError unless the records of a pack hold ``fields``."""
    missing = [key for key in fields if key not in pack.fields]
    if missing:
        raise UnpairedError(
            f"pack {pack.path}: no {', '.join(missing)} in it: judged patches are needed, as those "
            "of BAPPS"
        )
