"""Randomness that depends on what is drawn, never on when or where.

Every random number of the project comes from a key of plain values (seed, sample, purpose), so a
resumed run, another batch layout or another number of workers draws exactly the same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np


def seed_for(*key: object) -> int:
    """Return a 63-bit seed for a key of plain values (its text form is what counts)."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def numpy_generator(*key: object) -> np.random.Generator:
    """Return NumPy's default generator for a key."""
    return np.random.default_rng(seed_for(*key))


class EpochOrder:
    """Which record a sample of a run is: every epoch is a new shuffle of all ``length`` records."""

    def __init__(self, seed: int, length: int) -> None:
        self.seed, self.length = seed, length
        self._shuffled: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=int))

    def record_of(self, sample: int) -> int:
        """Return the record of sample number ``sample``, a function of seed and number."""
        epoch, position = divmod(sample, self.length)
        if self._shuffled[0] != epoch:
            rng = numpy_generator(self.seed, "epoch", epoch)
            self._shuffled = (epoch, rng.permutation(self.length))
        return int(self._shuffled[1][position])


def generators_for(seed: int, samples: Iterable[int], stream: str, device) -> list:
    """Return one torch generator per sample, on ``device``."""
    import torch

    return [
        torch.Generator(device).manual_seed(seed_for(seed, sample, stream)) for sample in samples
    ]
