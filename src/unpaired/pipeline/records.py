"""What a stage writes down about its work: which data, which libraries, as a JSON file."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unpaired.core.files import atomic_path
from unpaired.core.version import __version__
from unpaired.data.packs import Pack


def library_versions() -> dict[str, str]:
    """Return the versions that decide what a number becomes."""
    import torch  # Half a gigabyte, of which packing needs nothing.

    return {"unpaired": __version__, "torch": torch.__version__, "numpy": np.__version__}


def data_record(pack: Pack) -> dict[str, Any]:
    """Return what identifies the pictures that were used."""
    return pack.identity._asdict()


def write_record(path: Path, about: Mapping[str, Any]) -> None:
    """Write a record, aside and renamed."""
    with atomic_path(path) as aside:
        aside.write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")


def with_python(versions: Mapping[str, str]) -> dict[str, str]:
    """Add Python's version, which is told but, unlike the others, does not end a resumed run."""
    return {**versions, "python": platform.python_version()}
