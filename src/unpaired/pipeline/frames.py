"""CSV files as data frames and back. No torch here.

Every column is read as the text that was written, since pictures may be called 0001 or nan; numbers
are converted by those who know which columns hold them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from unpaired.core.errors import UnpairedError
from unpaired.core.files import reading
from unpaired.core.sealed_csv import REMEDY, read_sealed


def read_frame(path: Path) -> pd.DataFrame:
    """Read a CSV file with a header; raises UnpairedError if it is missing or damaged."""
    with reading(path):
        content = path.read_bytes()
    return _parse(content, path)


def read_sealed_frame(path: Path) -> pd.DataFrame:
    """Read a CSV file with a record of the same stem; raises UnpairedError as `read_sealed`."""
    return _parse(read_sealed(path, path.with_suffix(".json")), path)


def read_scores(path: Path) -> pd.DataFrame:
    """Read one score file; raises UnpairedError if it is missing, empty or not as written."""
    scores = read_sealed_frame(path)
    if scores.empty:
        raise UnpairedError(f"{path}: holds no scores; {REMEDY}")
    return scores


def as_csv(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Return CSV with a header, each value as Python writes it and empty where there is none."""
    return pd.DataFrame(rows, columns=columns, dtype=object).to_csv(
        index=False, lineterminator="\n"
    )


def _parse(content: bytes, path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (UnicodeDecodeError, pd.errors.ParserError):
        raise UnpairedError(f"{path}: not a readable CSV file (damaged); write it anew") from None
