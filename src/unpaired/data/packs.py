"""The container that all training and test pictures go through: one HDF5 file per data set.

A pack holds records of one or more aligned arrays (``image``, or ``noisy`` and ``clean``), of any
size, lossless; `pack_format` says how. `open_verified` compares the digest of all its bytes before
HDF5 reads anything: on damaged bookkeeping HDF5 may never end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from unpaired.core.errors import UnpairedError, one_line
from unpaired.core.files import reason_of
from unpaired.data.pack_format import (
    COLUMNS,
    LOCKING,
    SCHEMA,
    SCHEMA_VERSION,
    SEAL,
    SEAL_BYTES,
    Identity,
    blocks_of,
    digest_of,
    seal_of,
)


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
        if self.digest != digest_of(about, file["columns"]):
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
            return [value for rows in blocks_of(file[f"columns/{column}"]) for value in rows]

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
            if seal != seal_of(file):
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
