"""What a source of pictures gives: records, and parts of large sources that outlive a kill."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from unpaired.core.errors import UnpairedError, list_some, shown


@dataclass(frozen=True)
class Record:
    """One entry of a pack.

    arrays: field name -> array H x W x C (uint8, uint16 or float32). scene: records of one scene
    must never be split between training and test. sha256_file: digest of the file it came from.
    Names of files that are not UTF-8 appear as `errors.shown` shows them.
    """

    name: str
    arrays: dict[str, np.ndarray]
    scene: str
    sha256_file: str = ""
    sha256_pixels: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", shown(self.name))
        object.__setattr__(self, "scene", shown(self.scene))
        object.__setattr__(self, "sha256_pixels", _sha256_of_pixels(self.arrays))


def _sha256_of_pixels(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        digest.update(f"{key}:{array.dtype}:{array.shape}".encode())
        digest.update(array)
    return digest.hexdigest()


@dataclass(frozen=True)
class Part:
    """One record of a large source, which need not be read again after an interruption.

    name: a file name without suffix. stamp: changes whenever the sources, or the code that reads
    them, do. read: returns the record, or raises UnpairedError.
    """

    name: str
    stamp: str
    read: Callable[[], Record]


class LazyParts(Sequence[Part]):
    """Parts that are made when they are asked for, because a million would fill the memory."""

    def __init__(self, find: Callable[[], Sequence[str]], make: Callable[[str], Part]) -> None:
        """find: returns the names of all; it is called once, when the first part is asked for."""
        self._find, self._make = find, make

    @cached_property
    def _names(self) -> Sequence[str]:
        return self._find()

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index):
        some = self._names[index]
        return LazyParts(lambda: some, self._make) if isinstance(index, slice) else self._make(some)


class Source(Iterable[Record]):
    """Records that can be counted without reading pixels."""

    @abstractmethod
    def count(self) -> int:
        """Return how many there are; raises UnpairedError for what is bad at first sight.

        Not ``len``, which building a list calls as well: reading is to name all that is bad.
        """


@dataclass(frozen=True)
class Parts(Source):
    """All records of a large source. bad: what its file names already show to be wrong.

    readers: threads that may read parts ahead while others are written; 0 for what computes itself.
    together: how many small parts are kept, and lost, together while they are collected.
    Iterating reads one record after the other; at the end, UnpairedError names everything bad.
    """

    source: str
    parts: Sequence[Part]
    bad: tuple[str, ...] = ()
    readers: int = 0
    together: int = 1

    def count(self) -> int:
        self.refuse(self.bad)
        return len(self.parts)

    def __iter__(self) -> Iterator[Record]:
        bad = list(self.bad)
        for part in self.parts:
            try:
                record = part.read()
            except UnpairedError as error:
                bad.append(str(error))
                continue
            yield record
        self.refuse(bad)

    def refuse(self, bad: Iterable[str]) -> None:
        """Raise UnpairedError if anything is ``bad``, with all of it: it can be mended at once."""
        bad = list(bad)
        if bad:
            raise UnpairedError(f"{self.source}: {len(bad)} bad files: {list_some(bad, 100)}")
