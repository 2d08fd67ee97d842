"""CSV files that are known to be whole: a JSON record beside them tells their rows and digest.

The files stay plain CSV, which any program reads. No torch here.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from unpaired.errors import UnpairedError
from unpaired.files import reading, sha256_of

KEY = "files"
REMEDY = "delete it and run snakemake again"


def seals_of(*paths: Path) -> dict[str, dict[str, dict[str, object]]]:
    """Return what a record must hold about CSV files, to be merged into it."""
    return {
        KEY: {
            path.name: {"rows": len(_parse(path.read_bytes(), path)), "sha256": sha256_of(path)}
            for path in paths
        }
    }


def read_rows(path: Path, record: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by column.

    Raises UnpairedError, in one line, if it or its record is missing, damaged, or not of the other.
    """
    if not path.exists():
        raise UnpairedError(f"{path}: no such file; run its rule first")
    about = read_record(record).get(KEY)
    sealed = about.get(path.name) if isinstance(about, dict) else None
    if not isinstance(sealed, dict):
        raise UnpairedError(f"{record}: says nothing of {path.name}; {REMEDY}")
    if sha256_of(path) != sealed.get("sha256"):
        found = len(_parse(path.read_bytes(), path))
        raise UnpairedError(
            f"{path}: not as it was written ({found} rows, {sealed.get('rows')} in its record); "
            f"{REMEDY}"
        )
    return _parse(path.read_bytes(), path)


def read_record(path: Path) -> dict[str, Any]:
    """Read a JSON record; raises UnpairedError if it is missing or damaged."""
    if not path.exists():
        raise UnpairedError(f"{path}: no such record; run its rule first")
    try:
        with reading(path):
            record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise UnpairedError(f"{path}: not a readable record (cut or damaged); {REMEDY}")
    return record


def _parse(content: bytes, path: Path) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))
    except (UnicodeDecodeError, csv.Error):
        raise UnpairedError(f"{path}: not a readable CSV file (damaged); {REMEDY}") from None
