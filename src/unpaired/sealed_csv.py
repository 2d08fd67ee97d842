"""CSV files that are known to be whole: a JSON record beside them tells their rows and digest.

The files stay plain CSV, which any program reads. No torch here.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unpaired.errors import UnpairedError
from unpaired.files import atomic_path, reading, sha256_of

KEY = "files"
REMEDY = "delete it and run snakemake again"


def write_sealed(texts: Mapping[Path, str]) -> dict[str, dict[str, dict[str, object]]]:
    """Write CSV files, aside and renamed; return what a record must hold about them.

    That comes from the texts: a network folder may show late what was written to it.
    """
    seals = {}
    for path, text in texts.items():
        content = text.encode("utf-8")
        with atomic_path(path) as aside:
            aside.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        seals[path.name] = {"rows": len(_parse(content, path)), "sha256": digest}
    return {KEY: seals}


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
