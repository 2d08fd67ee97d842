"""Records -> a pack, written aside, with room on the disk made sure of beforehand.

Arrays are chunked in tiles, so that a random crop reads little more than itself.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from unpaired.core.errors import UnpairedError
from unpaired.core.files import atomic_path
from unpaired.core.progress import Progress
from unpaired.data.pack_format import (
    COLUMNS,
    LOCKING,
    ROWS_IN_MEMORY,
    SCHEMA,
    SCHEMA_VERSION,
    SEAL_BYTES,
    Identity,
    digest_of,
    seal_of,
)
from unpaired.data.packs import Pack
from unpaired.data.records import Record

CHUNK_PX = 256
CHUNK_ROWS = 128  # Of a column of metadata.
RESERVE_BYTES = 8 * 2**20  # Disk space is asked for in steps of this.
SLACK_BYTES = 2**20  # More than HDF5's own bookkeeping for one record.


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
        return write_records(path, records, lambda: None, source=source, **about)
    with Progress(f"pack {source}", total) as progress:
        return write_records(path, records, progress.advance, source=source, **about)


def write_records(
    path: Path, records: Iterable[Record], advance: Callable[[], None], **about: Any
) -> Identity:
    with new_pack(path, **about) as pack:
        for record in records:
            pack.add(record)
            advance()
    return pack.identity


@contextmanager
def new_pack(
    path: Path,
    *,
    source: str,
    value_range: tuple[float, float],
    color_space: str,
    settings: dict[str, Any],
) -> Iterator[NewPack]:
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
            pack = NewPack(file, raw.fileno())
            yield pack
            if not len(pack):
                raise UnpairedError(f"data set '{source}' holds no usable picture: nothing to pack")
            pack.finish(about)
            used_bytes = file.id.get_filesize()
        os.truncate(aside, used_bytes)
        _seal(aside)


class NewPack:
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
        digest = digest_of(about, self._columns)
        self._file.attrs["digest"] = digest
        self._file.flush()
        self.identity = Identity(about["source"], len(self), digest)

    def _reserve(self, coming_bytes: int) -> None:
        _reserve(self._descriptor, self._file, coming_bytes)


def _seal(path: Path) -> None:
    with open(path, "r+b") as file:
        seal = seal_of(file)
        file.seek(0)
        file.write(seal)


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


def _tiles(length_px: int) -> int:
    """Return a chunk side of at most CHUNK_PX that divides ``length_px`` with little waste."""
    return math.ceil(length_px / math.ceil(length_px / CHUNK_PX))
