"""The container that all training and test pictures go through: one HDF5 file per data set.

A pack holds records of one or more aligned arrays (``image``, or ``noisy`` and ``clean``), of any
size, lossless. Each array is its own HDF5 dataset, chunked in tiles so that a random crop reads
little more than itself. Columns of metadata (name, scene, digests) are arrays as long as the pack.
The file begins with a digest of all its other bytes, in a block that HDF5 leaves to its user.
`open_verified` compares them before HDF5 reads anything: on damaged bookkeeping HDF5 may never end.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from unpaired.core.errors import UnpairedError, list_some, shown
from unpaired.core.files import atomic_path
from unpaired.core.progress import Progress

SCHEMA = "unpaired-pack"
SCHEMA_VERSION = 3
CHUNK_PX = 256
RESERVE_BYTES = 8 * 2**20  # Disk space is asked for in steps of this.
SLACK_BYTES = 2**20  # More than HDF5's own bookkeeping for one record.
COLUMNS = ("name", "scene", "sha256_file", "sha256_pixels")
SEAL = b"unpaired-pack sha256 "
SEAL_BYTES = 512  # The least that HDF5 leaves at the beginning of a file.


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
    Iterating reads one record after the other; at the end, UnpairedError names everything bad.
    """

    source: str
    parts: tuple[Part, ...]
    bad: tuple[str, ...] = ()
    readers: int = 0

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
            raise UnpairedError(f"{self.source}: bad files: {'; '.join(bad)}")


def _tiles(length_px: int) -> int:
    """Return a chunk side of at most CHUNK_PX that divides ``length_px`` with little waste."""
    return math.ceil(length_px / math.ceil(length_px / CHUNK_PX))


def write_pack(
    path: Path,
    records: Iterable[Record],
    *,
    source: str,
    value_range: tuple[float, float],
    color_space: str,
    settings: dict[str, Any],
    total: int | None = None,
    is_told: bool = True,
) -> int:
    """Stream records into a pack at ``path`` and return their number; memory holds one record.

    value_range: nominal range of the stored values. is_told: whether progress is shown. Written
    aside and renamed: a failure leaves any previous file intact. Raises UnpairedError if there are
    no records or the disk is full.
    """
    about = {"value_range": value_range, "color_space": color_space, "settings": settings}
    if not is_told:
        return _write(path, records, lambda: None, source=source, **about)
    with Progress(f"pack {source}", total) as progress:
        return _write(path, records, progress.advance, source=source, **about)


def write_pack_in_parts(
    path: Path,
    parts: Parts,
    *,
    source: str,
    value_range: tuple[float, float],
    color_space: str,
    settings: dict[str, Any],
) -> int:
    """Like `write_pack`, for a source that takes long to read: goes on where it was interrupted.

    Every record is first kept in a pack of its own, in a hidden folder beside ``path``. Once all
    are there they are copied into one, and the folder is removed: the disk must hold them twice.
    What is bad is named when all else has been read, and the good parts need not be read again.
    """
    about = {"source": source, "value_range": value_range, "color_space": color_space}
    folder = path.with_name(f".{path.stem}.parts")
    wanted = [
        (part, folder / f"{part.name}.h5", {"stamp": part.stamp, **settings})
        for part in parts.parts
    ]
    missing = [entry for entry in wanted if not _is_whole(entry[1], entry[2])]
    bad = list(parts.bad)
    with Progress(f"read {source}", len(wanted), done=len(wanted) - len(missing)) as progress:
        records = _read_ahead([part.read for part, _, _ in missing], parts.readers)
        for (_, file, stamp), record in zip(missing, records, strict=True):
            if isinstance(record, UnpairedError):
                bad.append(str(record))
                continue
            _write(file, [record], lambda: None, settings=stamp, **about)
            progress.advance()
    parts.refuse(bad)
    records = (_only_record(file) for _, file, _ in wanted)
    count = write_pack(path, records, settings=settings, total=len(wanted), **about)
    shutil.rmtree(folder)
    return count


def _read_ahead(
    reads: list[Callable[[], Record]], readers: int
) -> Iterator[Record | UnpairedError]:
    """Yield what each of ``reads`` returns, or the UnpairedError it raises, in their order.

    The next ones are read while the caller works with this one: inflating and hashing leave Python
    to others. Memory holds ``readers`` + 1 records.
    """

    def attempt(read: Callable[[], Record]) -> Record | UnpairedError:
        try:
            return read()
        except UnpairedError as error:
            return error

    if not readers:
        yield from map(attempt, reads)
        return
    with ThreadPoolExecutor(readers) as pool:
        waiting: deque[Future[Record | UnpairedError]] = deque()
        for read in reads:
            waiting.append(pool.submit(attempt, read))
            if len(waiting) > readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _is_whole(file: Path, stamp: dict[str, Any]) -> bool:
    try:
        return open_verified(file).settings == stamp
    except UnpairedError:
        return False


def _only_record(file: Path) -> Record:
    pack = Pack(file)  # Verified when it was found to be whole, or written just now.
    arrays = {key: pack.read(0, key) for key in pack.fields}
    name, scene, sha256_file = (pack.columns[key][0] for key in ("name", "scene", "sha256_file"))
    return Record(name, arrays, scene, sha256_file)


def _digest(about: dict[str, Any], columns: dict[str, list[str]]) -> str:
    """Return the digest of a pack: of its attributes and columns, and so of all pixels."""
    content = json.dumps([about, columns], sort_keys=True)
    return hashlib.sha256(content.encode(errors="surrogateescape")).hexdigest()


def _write(
    path: Path,
    records: Iterable[Record],
    advance: Callable[[], None],
    *,
    source: str,
    value_range: tuple[float, float],
    color_space: str,
    settings: dict[str, Any],
) -> int:
    columns: dict[str, list[str]] = {column: [] for column in COLUMNS}
    with atomic_path(path) as aside:
        hdf5 = h5py.File(aside, "w", libver="latest", userblock_size=SEAL_BYTES)
        with hdf5 as pack, open(aside, "r+b") as raw:
            for record in records:
                _reserve(raw.fileno(), pack, sum(a.nbytes for a in record.arrays.values()))
                _append(pack, record, len(columns["name"]))
                for column in COLUMNS:
                    columns[column].append(getattr(record, column))
                advance()
            if not columns["name"]:
                raise UnpairedError(f"data set '{source}' holds no usable picture: nothing to pack")
            _reserve(raw.fileno(), pack, sum(len(v) + 64 for c in columns.values() for v in c))
            for column, values in columns.items():
                pack.create_dataset(f"columns/{column}", data=values, dtype=h5py.string_dtype())
            about = {
                "source": source,
                "value_range": [float(value) for value in value_range],
                "color_space": color_space,
                "settings": json.dumps(settings, sort_keys=True),
            }
            pack.attrs["schema"] = SCHEMA
            pack.attrs["schema_version"] = SCHEMA_VERSION
            pack.attrs.update(about)
            pack.attrs["digest"] = _digest(about, columns)
            pack.flush()
            used_bytes = pack.id.get_filesize()
        os.truncate(aside, used_bytes)
        _seal(aside)
        return len(columns["name"])


def _seal(path: Path) -> None:
    with open(path, "r+b") as file:
        seal = _seal_of(file)
        file.seek(0)
        file.write(seal)


def _seal_of(file: BinaryIO) -> bytes:
    """Return what the file must begin with: the digest of all that comes behind."""
    file.seek(SEAL_BYTES)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return (SEAL + digest.encode()).ljust(SEAL_BYTES, b"\n")


def _reserve(descriptor: int, pack: h5py.File, coming_bytes: int) -> None:
    """Make sure that the disk has room for ``coming_bytes`` more, before HDF5 needs it.

    HDF5 meets a full disk too late to report it, and then crashes; asking the system for the space
    first raises an ordinary OSError. Where the system cannot reserve, its free space is looked at.
    """
    size = pack.id.get_filesize() + coming_bytes + SLACK_BYTES
    size = -(-size // RESERVE_BYTES) * RESERVE_BYTES
    missing = size - os.fstat(descriptor).st_size
    if missing <= 0:
        return
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    elif shutil.disk_usage(pack.filename).free < missing:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _append(pack: h5py.File, record: Record, index: int) -> None:
    for key, array in record.arrays.items():
        chunks = (_tiles(array.shape[0]), _tiles(array.shape[1]), *array.shape[2:])
        pack.create_dataset(f"{key}/{index:08d}", data=array, chunks=chunks)


class Pack:
    """A pack opened for reading. Safe in worker processes: each opens the file anew."""

    def __init__(self, path: Path) -> None:
        """Open ``path``; raises UnpairedError if it is missing, damaged, foreign or too new."""
        self.path = Path(path)
        self._file: h5py.File | None = None
        self._owner = 0  # process that opened the file: HDF5 handles do not survive a fork
        file = self._open()
        with self._told_as_damage():
            self._read_about(file)

    def _read_about(self, file: h5py.File) -> None:
        self.source = str(file.attrs["source"])
        self.value_range = tuple(float(value) for value in file.attrs["value_range"])
        self.color_space = str(file.attrs["color_space"])
        settings = str(file.attrs["settings"])
        self.columns = {
            column: [value.decode() for value in file[f"columns/{column}"][:]] for column in COLUMNS
        }
        self.fields = tuple(key for key in file if key != "columns")
        about = {
            "source": self.source,
            "value_range": list(self.value_range),
            "color_space": self.color_space,
            "settings": settings,
        }
        self.digest = str(file.attrs["digest"])
        if self.digest != _digest(about, self.columns):
            raise ValueError("what it says of its records is not what was written")
        self.settings = json.loads(settings)

    @contextmanager
    def _told_as_damage(self) -> Iterator[None]:
        """What HDF5 says of broken bookkeeping, by many kinds of error, is one line."""
        try:
            yield
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise _damaged(self.path, str(error)) from error

    def _open(self) -> h5py.File:
        if self._file is None or self._owner != os.getpid():
            try:
                file = h5py.File(self.path, "r")
            except FileNotFoundError:
                raise _absent(self.path) from None
            except OSError as error:
                raise UnpairedError(
                    f"{self.path}: not a readable HDF5 pack (truncated or foreign): {error}; "
                    "delete it and run again"
                ) from error
            with self._told_as_damage():
                self._check(file)
            self._file, self._owner = file, os.getpid()
        return self._file

    def _check(self, file: h5py.File) -> None:
        if file.attrs.get("schema") != SCHEMA:
            raise UnpairedError(f"{self.path}: an HDF5 file, but not a pack of this project")
        version = int(file.attrs["schema_version"])
        if version != SCHEMA_VERSION:
            raise UnpairedError(
                f"{self.path}: pack schema {version}, this version reads {SCHEMA_VERSION}; "
                "delete it and run again"
            )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None}

    def __len__(self) -> int:
        return len(self.columns["name"])

    @property
    def is_paired(self) -> bool:
        """Whether records hold a noisy and a clean picture, and not one."""
        return {"noisy", "clean"} <= set(self.fields)

    def shape(self, index: int, key: str = "image") -> tuple[int, ...]:
        """Return the shape H x W x C of a record's array."""
        return self._open()[f"{key}/{index:08d}"].shape

    def read(
        self,
        index: int,
        key: str = "image",
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> np.ndarray:
        """Return a record's array, or the crop ``[rows, columns]`` of it, in stored values."""
        try:
            return self._open()[f"{key}/{index:08d}"][rows, columns]
        except (OSError, KeyError, RuntimeError) as error:
            if key not in self.fields:
                raise
            raise _damaged(self.path, f"record {index} cannot be read: {error}") from error

    def read_unit(
        self,
        index: int,
        key: str = "image",
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> np.ndarray:
        """Like :meth:`read`, as float32 with the pack's range mapped to [0, 1]."""
        low, high = self.value_range
        stored = self.read(index, key, rows, columns).astype(np.float32)
        return (stored - np.float32(low)) / np.float32(high - low)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))


def open_verified(path: Path) -> Pack:
    """Read all bytes of a pack's file once, and open it.

    Raises UnpairedError if it is missing, foreign, of another version, or not as it was written.
    """
    try:
        with open(path, "rb") as file:
            seal = file.read(SEAL_BYTES)
            if not seal.startswith(SEAL):
                raise UnpairedError(
                    f"{path}: not a pack of this version of the project, or a damaged one; "
                    "delete it and run again"
                )
            if seal != _seal_of(file):
                raise _damaged(path, "its bytes are not those that were written")
    except FileNotFoundError:
        raise _absent(path) from None
    return Pack(path)


def _absent(path: Path) -> UnpairedError:
    return UnpairedError(f"{path}: no such pack; run its pack rule first")


def _damaged(path: Path, what: str) -> UnpairedError:
    return UnpairedError(f"{path}: a damaged pack ({what}); delete it and run again")


def check_disjoint(
    first: Pack, second: Pack, kinds: tuple[str, str] = ("training set", "test set")
) -> None:
    """Raise UnpairedError if a record of one pack is also in the other, by scene or by pixels.

    kinds: what the two packs are to each other, for the message.
    """
    for column, what in (("sha256_pixels", "the same pixels"), ("scene", "the same scene")):
        seen = dict(zip(first.columns[column], first.columns["name"], strict=True))
        shared = [
            f"{name} = {seen[value]}"
            for name, value in zip(second.columns["name"], second.columns[column], strict=True)
            if value in seen
        ]
        if shared:
            raise UnpairedError(
                f"{kinds[1]} '{second.source}' and {kinds[0]} '{first.source}' hold {what}: "
                f"{list_some(shared)}; remove them from one of the two"
            )
