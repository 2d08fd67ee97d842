"""Parts of a long work that outlive a kill: arrays by name in a folder of their own.

Who does the work asks for each part before making it, and drops the folder at the end. Parts belong
to a stamp: with another one, what lies there is removed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from unpaired.core.files import atomic_path

NAME = "about.json"


class KeptParts:
    """A folder of parts. stamp: JSON data that changes whenever a part would.

    Not for two processes at once: whoever uses it holds a lock.
    """

    def __init__(self, folder: Path, stamp: Mapping[str, Any]) -> None:
        self.folder = folder
        told = json.dumps(stamp, sort_keys=True)
        about = folder / NAME
        if about.is_file() and about.read_text(encoding="utf-8") == told:
            return
        self.drop()
        with atomic_path(about) as aside:
            aside.write_text(told, encoding="utf-8")

    def get(self, name: str) -> dict[str, np.ndarray] | None:
        """Return a part that was put here; None without one, and for one that is damaged."""
        with suppress(SafetensorError, OSError):
            return load_file(self._path(name))
        return None

    def put(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep a part, written aside and renamed."""
        whole = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        with atomic_path(self._path(name)) as aside:
            save_file(whole, aside)

    def drop(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"
