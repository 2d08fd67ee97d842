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

from unpaired.core.errors import UnpairedError
from unpaired.core.files import atomic_path, reading

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
        seals[path.name] = {"rows": _count_rows(content, path), "sha256": digest}
    return {KEY: seals}


def read_sealed(path: Path, record: Path) -> bytes:
    """Return the bytes of a CSV file, as they were written.

    Raises UnpairedError, in one line, if it or its record is missing, damaged, or not of the other.
    """
    if not path.exists():
        raise UnpairedError(f"{path}: no such file; run its rule first")
    about = read_record(record).get(KEY)
    sealed = about.get(path.name) if isinstance(about, dict) else None
    if not isinstance(sealed, dict):
        raise UnpairedError(f"{record}: says nothing of {path.name}; {REMEDY}")
    with reading(path):
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sealed.get("sha256"):
        found = _count_rows(content, path)
        raise UnpairedError(
            f"{path}: not as it was written ({found} rows, {sealed.get('rows')} in its record); "
            f"{REMEDY}"
        )
    return content


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


def _count_rows(content: bytes, path: Path) -> int:
    """Return the rows below the header. By hand, as no training should load pandas for a count."""
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""))
        return sum(1 for _ in rows)
    except (UnicodeDecodeError, csv.Error):
        raise UnpairedError(f"{path}: not a readable CSV file (damaged); {REMEDY}") from None
