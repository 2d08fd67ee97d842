"""How a pack is laid out: what its writer and its reader must agree on.

Each array is its own HDF5 dataset, and columns of metadata (name, scene, digests) are arrays as
long as the pack. The file begins with a digest of all its other bytes, in a block that HDF5 leaves
to its user.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import h5py

SCHEMA = "unpaired-pack"
SCHEMA_VERSION = 3
ROWS_IN_MEMORY = 1024
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


def digest_of(about: dict[str, Any], columns: Mapping[str, h5py.Dataset]) -> str:
    """Return the digest of a pack: of its attributes and columns, and so of all pixels.

    It is that of ``json.dumps([about, columns], sort_keys=True)``, never held as a whole.
    """
    digest = hashlib.sha256(f"[{json.dumps(about, sort_keys=True)}, ".encode())
    before = "{"
    for column in sorted(COLUMNS):
        digest.update(f'{before}"{column}": ['.encode())
        between = ""
        for rows in blocks_of(columns[column]):
            digest.update(f"{between}{json.dumps(rows)[1:-1]}".encode())
            between = ", "
        before = "], "
    digest.update(b"]}]")
    return digest.hexdigest()


def blocks_of(column: h5py.Dataset) -> Iterator[list[str]]:
    """Yield the values of a column, some at a time."""
    for start in range(0, len(column), ROWS_IN_MEMORY):
        yield [value.decode() for value in column[start : start + ROWS_IN_MEMORY]]


def seal_of(file: BinaryIO) -> bytes:
    """Return what the file must begin with: the digest of all that comes behind."""
    file.seek(SEAL_BYTES)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    return (SEAL + digest.encode()).ljust(SEAL_BYTES, b"\n")
