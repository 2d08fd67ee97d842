"""Single frames of large arrays in MATLAB files of version 7.3, which need not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from unpaired.core.errors import UnpairedError, one_line
from unpaired.core.files import reading

_GET_AGAIN = "get the file again"


class FrameFile:
    """Arrays whose last axis, as MATLAB shows it, counts frames; and lists of text."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file = path, file

    def count(self, key: str) -> int:
        """Return how many frames ``key`` has."""
        return len(self._dataset(key))

    def frame(self, key: str, number: int) -> np.ndarray:
        """Return frame ``number``, from 0 on, with the axes that MATLAB shows.

        Raises UnpairedError, naming the file, if there is no such array of numbers or frame.
        """
        dataset = self._dataset(key)
        if dataset.dtype.kind not in "fiu":
            raise UnpairedError(f"{self.path}: '{key}' is no array of numbers; {_GET_AGAIN}")
        if not 0 <= number < len(dataset):
            raise UnpairedError(
                f"{self.path}: '{key}' has {len(dataset)} frames, and number {number + 1} is asked "
                f"for; {_GET_AGAIN}"
            )
        with _blaming(self.path):
            return np.ascontiguousarray(dataset[number].T)

    def texts(self, key: str) -> list[str]:
        """Return the texts of a cell array; raises UnpairedError, naming the file, for others."""
        dataset = self._dataset(key)
        if h5py.check_ref_dtype(dataset.dtype) is not h5py.Reference:
            raise UnpairedError(f"{self.path}: '{key}' is no list of texts; {_GET_AGAIN}")
        with _blaming(self.path):
            return [_text(self._file[reference]) for reference in dataset[()].ravel()]

    def _dataset(self, key: str) -> h5py.Dataset:
        with _blaming(self.path):
            found = self._file.get(key)
            known = ", ".join(sorted(name for name in self._file if name[0] not in "_#"))
        if not isinstance(found, h5py.Dataset):
            raise UnpairedError(
                f"{self.path}: holds no array '{key}' (but {known or 'nothing'}); {_GET_AGAIN}"
            )
        return found


@contextmanager
def open_frames(path: Path) -> Iterator[FrameFile]:
    """Open a v7.3 file; raises UnpairedError, naming it, if it is missing or none."""
    with reading(path), open(path, "rb"):
        pass
    with _blaming(path):
        file = h5py.File(path, "r")
    with file:
        yield FrameFile(path, file)


def _text(dataset: h5py.Dataset) -> str:
    if dataset.attrs.get("MATLAB_empty", 0):
        return ""
    return "".join(map(chr, dataset[()].ravel()))


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turn any failure of the library on ``path`` into an UnpairedError naming it."""
    try:
        with reading(path):
            yield
    except UnpairedError:
        raise
    except Exception as error:  # Damaged bytes make h5py fail in many ways.
        text = one_line(error)
        raise UnpairedError(f"{path}: damaged or cut short ({text}); {_GET_AGAIN}") from error
