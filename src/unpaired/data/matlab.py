"""MATLAB files, v5 and v7.3, without anything ever being run or unpickled.

Arrays have the axes that MATLAB shows, whichever the version: a v7.3 file is HDF5 and stores them
in reverse, which is undone here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import scipy.io

from unpaired.core.errors import UnpairedError, one_line
from unpaired.core.files import atomic_path, reading

USER_BLOCK_BYTES = 512  # of a v7.3 file, in front of HDF5
_HEADER_TEXT_BYTES = 116
_CHUNK_BYTES = 2**18
_GET_AGAIN = "get the file again"

# No date and no platform: the same content is the same file.
_V5_TEXT = b"MATLAB 5.0 MAT-file, written by unpaired"
_V73_TEXT = b"MATLAB 7.3 MAT-file, written by unpaired HDF5 schema 1.00 ."

_MATLAB_CLASSES = {"float32": "single", "float64": "double", "uint8": "uint8"}


def read_array(path: Path, key: str) -> np.ndarray:
    """Return the numeric array ``key`` of a v5 or v7.3 file, in the file's type.

    It may be a transposed view. Raises UnpairedError, naming the file, if it is missing, damaged
    or cut short, holds no ``key``, or holds there complex numbers, text, a cell or a struct.
    """
    with _blaming(path):
        array = _read_v73(path, key) if _is_v73(path) else _read_v5(path, key)
    if array.dtype.kind == "c":
        raise UnpairedError(f"{path}: '{key}' holds complex numbers, not pixels; {_GET_AGAIN}")
    if array.dtype.kind not in "fiu":
        raise UnpairedError(f"{path}: '{key}' is no array of numbers; {_GET_AGAIN}")
    return array


def read_shape(path: Path, key: str) -> tuple[int, ...]:
    """Return the shape of ``key`` without reading it; raises UnpairedError as `read_array`."""
    with _blaming(path):
        if _is_v73(path):
            with h5py.File(path, "r") as file:
                return _dataset(path, file, key).shape[::-1]
        return _v5_shape(path, key)


def read_struct(path: Path, key: str) -> np.void:
    """Return the struct ``key`` of a v5 file, as scipy gives it; raises UnpairedError likewise."""
    with _blaming(path):
        array = _read_v5(path, key)
    if array.dtype.names is None or array.size != 1:
        raise UnpairedError(f"{path}: '{key}' is no struct; {_GET_AGAIN}")
    return array.reshape(-1)[0]


def write_v5(path: Path, values: Mapping[str, Any]) -> None:
    """Write a v5 file, atomically; dictionaries become structs, object arrays cells."""
    with atomic_path(path) as aside:
        scipy.io.savemat(aside, dict(values))
        with open(aside, "r+b") as file:
            file.write(_V5_TEXT.ljust(_HEADER_TEXT_BYTES))


def write_v73(path: Path, values: Mapping[str, Any]) -> None:
    """Write a compressed v7.3 file that MATLAB opens, atomically.

    Values are numeric arrays (at least 2 axes), numbers, text, dictionaries (structs) and object
    arrays (cells).
    """
    with atomic_path(path) as aside:
        with h5py.File(aside, "w", userblock_size=USER_BLOCK_BYTES) as file:
            for key, value in values.items():
                _put(file, key, value)
        with open(aside, "r+b") as file:
            # Text, no subsystem data, version 2.0, and the mark of little-endian order.
            file.write(_V73_TEXT.ljust(_HEADER_TEXT_BYTES) + bytes(8) + b"\x00\x02IM")


def _put(group: h5py.Group, key: str, value: Any) -> h5py.HLObject:
    """Write one value below a group, marked with the class that MATLAB is to make of it."""
    if isinstance(value, dict):
        item, matlab_class = group.create_group(key), "struct"
        for name, inner in value.items():
            _put(item, name, inner)
        letters = [np.array([letter.encode() for letter in name]) for name in value]
        fields = np.empty(len(letters), object)
        fields[:] = letters
        item.attrs.create("MATLAB_fields", fields, dtype=h5py.vlen_dtype(np.dtype("S1")))
    elif isinstance(value, str):
        item, matlab_class = _put_text(group, key, value), "char"
    elif isinstance(value, np.ndarray) and value.dtype == object:
        item, matlab_class = _put_cell(group, key, value), "cell"
    else:
        array = np.atleast_2d(value)
        item, matlab_class = _put_array(group, key, array), _MATLAB_CLASSES[str(array.dtype)]
    item.attrs["MATLAB_class"] = np.bytes_(matlab_class)
    return item


def _put_text(group: h5py.Group, key: str, text: str) -> h5py.Dataset:
    codes = np.frombuffer(text.encode("utf-16-le"), np.uint16)
    # Of an empty array the shape is stored in place of the values.
    item = group.create_dataset(key, data=codes[:, None] if text else np.zeros(2, np.uint64))
    item.attrs["MATLAB_int_decode"] = np.int32(2)
    if not text:
        item.attrs["MATLAB_empty"] = np.uint32(1)
    return item


def _put_cell(group: h5py.Group, key: str, cells: np.ndarray) -> h5py.Dataset:
    contents = group.file.require_group("#refs#")
    references = np.empty(cells.shape, h5py.ref_dtype)
    for index in np.ndindex(cells.shape):
        name = f"{key}_{'_'.join(map(str, index))}"
        references[index] = _put(contents, name, cells[index]).ref
    return group.create_dataset(key, data=references.T, dtype=h5py.ref_dtype)


def _put_array(group: h5py.Group, key: str, array: np.ndarray) -> h5py.Dataset:
    stored = np.ascontiguousarray(array.T)
    rows = max(1, _CHUNK_BYTES * len(stored) // stored.nbytes)
    chunks = (min(rows, len(stored)), *stored.shape[1:])
    options = {"chunks": chunks, "compression": "gzip", "compression_opts": 3}
    return group.create_dataset(key, data=stored, **options)


def _is_v73(path: Path) -> bool:
    """Tell the version from the content; raises UnpairedError for other files."""
    if h5py.is_hdf5(path):
        return True
    with open(path, "rb") as file:
        head = file.read(128)
    if len(head) < 128 or head[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
        raise UnpairedError(f"{path}: not a MATLAB file of version 5 or 7.3; {_GET_AGAIN}")
    return False


def _read_v5(path: Path, key: str) -> np.ndarray:
    _v5_shape(path, key)  # to say what is there instead
    return np.asarray(scipy.io.loadmat(path, variable_names=[key])[key])


def _v5_shape(path: Path, key: str) -> tuple[int, ...]:
    shapes = {name: shape for name, shape, _ in scipy.io.whosmat(path)}
    return shapes[_known(path, key, shapes)]


def _read_v73(path: Path, key: str) -> np.ndarray:
    with h5py.File(path, "r") as file:
        dataset = _dataset(path, file, key)
        if dataset.dtype.names == ("real", "imag"):  # MATLAB's way to store complex numbers
            return np.empty(0, complex)
        return _values(dataset).T


def _values(dataset: h5py.Dataset) -> np.ndarray:
    """Return all values; like ``dataset[()]``, but inflated by a library three times as fast."""
    filters = dataset.id.get_create_plist()
    is_deflated = (
        dataset.chunks is not None
        and filters.get_nfilters() == 1
        and filters.get_filter(0)[0] == h5py.h5z.FILTER_DEFLATE
    )
    places = list(dataset.iter_chunks()) if is_deflated else []
    if not is_deflated or dataset.id.get_num_chunks() != len(places):  # some hold the fill value
        return dataset[()]
    values = np.empty(dataset.shape, dataset.dtype)
    chunk_bytes = math.prod(dataset.chunks) * values.itemsize
    for place in places:
        offset = tuple(part.start for part in place)
        is_left_out, data = dataset.id.read_direct_chunk(offset)
        if not is_left_out:
            data = imagecodecs.deflate_decode(data, raw=False, out=chunk_bytes)
        chunk = np.frombuffer(data, values.dtype).reshape(dataset.chunks)
        # Chunks at the edge reach beyond it.
        values[place] = chunk[tuple(slice(part.stop - part.start) for part in place)]
    return values


def _dataset(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    dataset = file[_known(path, key, file)]
    if not isinstance(dataset, h5py.Dataset):
        raise UnpairedError(f"{path}: '{key}' is no array of numbers; {_GET_AGAIN}")
    return dataset


def _known(path: Path, key: str, values: Mapping[str, Any]) -> str:
    """Return ``key`` if it is there."""
    if key not in values:
        found = ", ".join(sorted(name for name in values if name[0] not in "_#")) or "nothing"
        raise UnpairedError(f"{path}: holds no '{key}' (but {found}); {_GET_AGAIN}")
    return key


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turn any failure of the libraries on ``path`` into an UnpairedError naming it."""
    if path.is_file():
        # h5py takes what it may not read for another kind of file.
        with reading(path), open(path, "rb"):
            pass
    try:
        with reading(path):
            yield
    except UnpairedError:
        raise
    except Exception as error:  # Damaged bytes make scipy and h5py fail in a dozen ways.
        text = one_line(error)
        raise UnpairedError(f"{path}: damaged or cut short ({text}); {_GET_AGAIN}") from error
