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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np

from unpaired.core.errors import UnpairedError, list_some, one_line, shown
from unpaired.core.files import atomic_path, reason_of
from unpaired.core.progress import Progress

SCHEMA = "unpaired-pack"
SCHEMA_VERSION = 3
CHUNK_PX = 256
CHUNK_ROWS = 128  # Of a column of metadata.
ROWS_IN_MEMORY = 1024
RESERVE_BYTES = 8 * 2**20  # Disk space is asked for in steps of this.
SLACK_BYTES = 2**20  # More than HDF5's own bookkeeping for one record.
COLUMNS = ("name", "scene", "sha256_file", "sha256_pixels")
SEAL = b"unpaired-pack sha256 "
SEAL_BYTES = 512  # The least that HDF5 leaves at the beginning of a file.
# A pack is written under a name that nobody knows, and never again: there is nothing to lock, and
# not every file system has locks.
LOCKING = False


class Identity(NamedTuple):
    """What a pack holds: the name of its data set, how many records, and the digest of all."""

    source: str
    pictures: int
    sha256: str


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
) -> Identity:
    """Stream records into a pack at ``path`` and return what it holds; memory holds one record.

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
) -> Identity:
    """Like `write_pack`, for a source that takes long to read: goes on where it was interrupted.

    Records are first kept in packs of their own, ``parts.together`` in each, in a hidden folder
    beside ``path``. Once all are there they are copied into one, and the folder is removed: the
    disk must hold them twice. What is bad is named when all else has been read, and the good parts
    need not be read again.
    """
    about = {"source": source, "value_range": value_range, "color_space": color_space}
    folder = path.with_name(f".{path.stem}.parts")
    groups = list(_groups(folder, parts, settings))
    missing = [group for group in groups if not _is_whole(group.file, group.settings)]
    bad, count = list(parts.bad), len(parts.parts)
    done = count - sum(len(group.parts) for group in missing)
    with Progress(f"read {source}", count, done=done) as progress:
        reads = (part.read for group in missing for part in group.parts)
        results = _read_ahead(reads, parts.readers)
        for group in missing:
            records = _only_if_good(islice(results, len(group.parts)), bad)
            with suppress(_SomeAreBad):
                _write(group.file, records, progress.advance, settings=group.settings, **about)
    parts.refuse(bad)
    with (
        Progress(f"pack {source}", count) as progress,
        _new_pack(path, settings=settings, **about) as pack,
    ):
        for group in groups:
            pack.add_all_of(Pack(group.file))  # Verified, or written just now.
            progress.advance(len(group.parts))
    shutil.rmtree(folder)
    return pack.identity


@dataclass(frozen=True)
class _Group:
    """Parts that are kept in one file. settings: what it must say, to be of these parts."""

    file: Path
    parts: Sequence[Part]
    settings: dict[str, Any]


def _groups(folder: Path, parts: Parts, settings: dict[str, Any]) -> Iterator[_Group]:
    for start in range(0, len(parts.parts), parts.together):
        some = parts.parts[start : start + parts.together]
        if parts.together == 1:
            name, stamp = some[0].name, some[0].stamp
        else:
            stamps = "\n".join(f"{part.name} {part.stamp}" for part in some)
            name, stamp = f"{start:08d}", hashlib.sha256(stamps.encode()).hexdigest()
        yield _Group(folder / f"{name}.h5", some, {"stamp": stamp, **settings})


class _SomeAreBad(Exception):
    """Some parts of a group cannot be read: the file of the group is not to be written."""


def _only_if_good(results: Iterable[Record | UnpairedError], bad: list[str]) -> Iterator[Record]:
    """Yield records, append refusals to ``bad``, and raise _SomeAreBad at the end of any."""
    before = len(bad)
    for result in results:
        if isinstance(result, UnpairedError):
            bad.append(str(result))
        else:
            yield result
    if len(bad) > before:
        raise _SomeAreBad


def _read_ahead(
    reads: Iterable[Callable[[], Record]], readers: int
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


def _digest(about: dict[str, Any], columns: Mapping[str, h5py.Dataset]) -> str:
    """Return the digest of a pack: of its attributes and columns, and so of all pixels.

    It is that of ``json.dumps([about, columns], sort_keys=True)``, never held as a whole.
    """
    digest = hashlib.sha256(f"[{json.dumps(about, sort_keys=True)}, ".encode())
    before = "{"
    for column in sorted(COLUMNS):
        digest.update(f'{before}"{column}": ['.encode())
        between = ""
        for rows in _blocks(columns[column]):
            digest.update(f"{between}{json.dumps(rows)[1:-1]}".encode())
            between = ", "
        before = "], "
    digest.update(b"]}]")
    return digest.hexdigest()


def _blocks(column: h5py.Dataset) -> Iterator[list[str]]:
    """Yield the values of a column, some at a time."""
    for start in range(0, len(column), ROWS_IN_MEMORY):
        yield [value.decode() for value in column[start : start + ROWS_IN_MEMORY]]


def _write(
    path: Path, records: Iterable[Record], advance: Callable[[], None], **about: Any
) -> Identity:
    with _new_pack(path, **about) as pack:
        for record in records:
            pack.add(record)
            advance()
    return pack.identity


@contextmanager
def _new_pack(
    path: Path,
    *,
    source: str,
    value_range: tuple[float, float],
    color_space: str,
    settings: dict[str, Any],
) -> Iterator[_NewPack]:
    """Yield a pack to be filled; without an error it then stands at ``path``, sealed."""
    about = {
        "source": source,
        "value_range": [float(value) for value in value_range],
        "color_space": color_space,
        "settings": json.dumps(settings, sort_keys=True),
    }
    with atomic_path(path) as aside:
        hdf5 = h5py.File(aside, "w", libver="latest", userblock_size=SEAL_BYTES, locking=LOCKING)
        with hdf5 as file, open(aside, "r+b") as raw:
            pack = _NewPack(file, raw.fileno())
            yield pack
            if not len(pack):
                raise UnpairedError(f"data set '{source}' holds no usable picture: nothing to pack")
            pack.finish(about)
            used_bytes = file.id.get_filesize()
        os.truncate(aside, used_bytes)
        _seal(aside)


class _NewPack:
    """A pack in the making. identity: once it is finished."""

    identity: Identity

    def __init__(self, file: h5py.File, descriptor: int) -> None:
        """descriptor: of the same file, to reserve space by."""
        self._file, self._descriptor = file, descriptor
        self._count = 0
        # Those that are not yet in the file.
        self._rows: dict[str, list[str]] = {column: [] for column in COLUMNS}
        how = {"maxshape": (None,), "chunks": (CHUNK_ROWS,), "dtype": h5py.string_dtype()}
        self._columns = {
            column: file.create_dataset(f"columns/{column}", (0,), **how) for column in COLUMNS
        }

    def __len__(self) -> int:
        return self._count

    def add(self, record: Record) -> None:
        self._reserve(sum(array.nbytes for array in record.arrays.values()))
        _append(self._file, record, len(self))
        self._add_rows({column: [getattr(record, column)] for column in COLUMNS})

    def add_all_of(self, other: Pack) -> None:
        """Copy the records of another pack as they are stored."""
        self._reserve(other.path.stat().st_size)
        for key in other.fields:
            source, target = other.group(key).id, self._file.require_group(key).id
            for index in other:
                names = (f"{number:08d}".encode() for number in (index, len(self) + index))
                h5py.h5o.copy(source, next(names), target, next(names))
        self._add_rows(other.columns)

    def _add_rows(self, rows: Mapping[str, list[str]]) -> None:
        for column, values in self._rows.items():
            values.extend(rows[column])
        self._count += len(rows["name"])
        if len(self._rows["name"]) >= ROWS_IN_MEMORY:
            self._write_rows()

    def _write_rows(self) -> None:
        self._reserve(sum(len(v) + 64 for values in self._rows.values() for v in values))
        for column, values in self._rows.items():
            written = len(self._columns[column])
            self._columns[column].resize((self._count,))
            self._columns[column][written:] = values
            values.clear()

    def finish(self, about: dict[str, Any]) -> None:
        """Write what is said of all records."""
        self._write_rows()
        self._file.attrs["schema"] = SCHEMA
        self._file.attrs["schema_version"] = SCHEMA_VERSION
        self._file.attrs.update(about)
        digest = _digest(about, self._columns)
        self._file.attrs["digest"] = digest
        self._file.flush()
        self.identity = Identity(about["source"], len(self), digest)

    def _reserve(self, coming_bytes: int) -> None:
        _reserve(self._descriptor, self._file, coming_bytes)


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
        pack.require_group(key).create_dataset(f"{index:08d}", data=array, chunks=chunks)


class _Columns(Mapping[str, list[str]]):
    """The columns of a pack, each read when it is first asked for and kept in ``known``."""

    def __init__(self, read: Callable[[str], list[str]], known: dict[str, list[str]]) -> None:
        self._read, self._known = read, known

    def __getitem__(self, column: str) -> list[str]:
        if column not in COLUMNS:
            raise KeyError(column)
        if column not in self._known:
            self._known[column] = self._read(column)
        return self._known[column]

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMNS)

    def __len__(self) -> int:
        return len(COLUMNS)


class Pack:
    """A pack opened for reading. Safe in worker processes: each opens the file anew."""

    def __init__(self, path: Path) -> None:
        """Open ``path``; raises UnpairedError if it is missing, damaged, foreign or too new."""
        self.path = Path(path)
        self._file: h5py.File | None = None
        self._owner = 0  # process that opened the file: HDF5 handles do not survive a fork
        self._known_columns: dict[str, list[str]] = {}
        file = self._open()
        with self._told_as_damage():
            self._read_about(file)

    def _read_about(self, file: h5py.File) -> None:
        self.source = str(file.attrs["source"])
        self.value_range = tuple(float(value) for value in file.attrs["value_range"])
        self.color_space = str(file.attrs["color_space"])
        settings = str(file.attrs["settings"])
        self._count = len(file["columns/name"])
        self.fields = tuple(key for key in file if key != "columns")
        about = {
            "source": self.source,
            "value_range": list(self.value_range),
            "color_space": self.color_space,
            "settings": settings,
        }
        self.digest = str(file.attrs["digest"])
        if self.digest != _digest(about, file["columns"]):
            raise ValueError("what it says of its records is not what was written")
        self.settings = json.loads(settings)

    @contextmanager
    def _told_as_damage(self) -> Iterator[None]:
        """What HDF5 says of broken bookkeeping, by many kinds of error, is one line."""
        try:
            yield
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            _raise_unless_damage(self.path, error)
            raise _damaged(self.path, str(error)) from error

    def _open(self) -> h5py.File:
        if self._file is None or self._owner != os.getpid():
            try:
                file = h5py.File(self.path, "r", locking=LOCKING)
            except FileNotFoundError:
                raise _absent(self.path) from None
            except OSError as error:
                _raise_unless_damage(self.path, error)
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
        return self._count

    @property
    def columns(self) -> Mapping[str, list[str]]:
        """What is said of the records: name, scene and digests, as lists in their order."""
        return _Columns(self._read_column, self._known_columns)

    def _read_column(self, column: str) -> list[str]:
        file = self._open()
        with self._told_as_damage():
            return [value for rows in _blocks(file[f"columns/{column}"]) for value in rows]

    @property
    def identity(self) -> Identity:
        return Identity(self.source, len(self), self.digest)

    @property
    def is_paired(self) -> bool:
        """Whether records hold a noisy and a clean picture, and not one."""
        return {"noisy", "clean"} <= set(self.fields)

    def group(self, key: str) -> h5py.Group:
        """Return the arrays of one field as they lie in the file."""
        return self._open()[key]

    def dataset(self, index: int, key: str = "image") -> h5py.Dataset:
        """Return a record's array as it lies in the file."""
        return self._open()[f"{key}/{index:08d}"]

    def shape(self, index: int, key: str = "image") -> tuple[int, ...]:
        """Return the shape H x W x C of a record's array."""
        return self.dataset(index, key).shape

    def read(
        self,
        index: int,
        key: str = "image",
        rows: slice = slice(None),
        columns: slice = slice(None),
    ) -> np.ndarray:
        """Return a record's array, or the crop ``[rows, columns]`` of it, in stored values."""
        try:
            return self.dataset(index, key)[rows, columns]
        except (OSError, KeyError, RuntimeError) as error:
            if key not in self.fields:
                raise
            _raise_unless_damage(self.path, error)
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
    except OSError as error:
        _raise_unless_damage(path, error)
        raise
    return Pack(path)


def _absent(path: Path) -> UnpairedError:
    return UnpairedError(f"{path}: no such pack; run its pack rule first")


def _raise_unless_damage(path: Path, error: Exception) -> None:
    """Tell what the system, not the file, has against reading a pack: it may be whole."""
    if "unable to lock file" in str(error):
        raise UnpairedError(
            f"{path}: HDF5 cannot lock it ({one_line(error)}); nothing is wrong with the file: "
            "unset HDF5_USE_FILE_LOCKING, or set it to FALSE"
        ) from error
    if reason := reason_of(error):
        raise UnpairedError(f"cannot read {path}: {reason}") from error


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
