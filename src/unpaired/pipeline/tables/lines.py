"""The numbers of a table: printed ones from the paper's file, and all of them as tidy CSV."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from unpaired import catalog
from unpaired.catalog.system import Metric
from unpaired.core.errors import UnpairedError
from unpaired.core.files import reading
from unpaired.core.sealed_csv import REMEDY
from unpaired.pipeline.frames import as_csv, read_frame, read_sealed_frame

CORRELATION = "correlation"
OVER_ROWS = {CORRELATION: Metric(CORRELATION, 3, 0.02, 0.1)}

OK, UNDERTRAINED, NOT_RUN, DATA_ABSENT = "ok", "undertrained", "not run", "data absent"

PaperKey = tuple[str, str, str, str]  # as in KEY
KEY = ["setting", "method", "dataset", "metric"]


@dataclass(frozen=True)
class Line:
    """One number of a table. ``value`` is ours, ``paper_value`` the printed one; either may lack.

    ci_low, ci_high: 95 % interval of the mean over images, from 10 images on. delta: ours minus the
    paper's, only where data set and scoring protocol are the paper's.
    """

    table: int
    setting: str
    method: str
    dataset: str
    metric: str
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n_images: int | None = None
    repeats: int | None = None
    seeds: str = ""
    paper_value: float | None = None
    delta: float | None = None
    scale: str = ""
    status: str = NOT_RUN


def metric_of(name: str) -> Metric:
    """Return a metric of any scorer, or one over the rows of a table."""
    return OVER_ROWS[name] if name in OVER_ROWS else catalog.metrics()[name]


def read_paper_numbers(path: Path) -> dict[PaperKey, float]:
    """Read the printed values; raises UnpairedError for a missing column."""
    printed = read_frame(path)
    needed = {*KEY, "value"}
    if not needed <= set(printed):
        raise UnpairedError(f"{path}: columns {', '.join(sorted(needed))} are needed")
    return printed.set_index(KEY)["value"].astype(float).to_dict()


def lines_as_csv(lines: Iterable[Line]) -> str:
    """Return the tidy table: one row per number, empty where there is none."""
    rows = [
        {name: _plain(value, line.metric) for name, value in asdict(line).items()} for line in lines
    ]
    return as_csv(rows, [field.name for field in fields(Line)])


def _plain(value: object, metric: str) -> object:
    return f"{value:.{metric_of(metric).decimals + 2}f}" if isinstance(value, float) else value


def read_lines(path: Path) -> list[Line]:
    """Read the tidy table back.

    Raises UnpairedError if it is missing, not as it was written, or of another version.
    """
    names = [field.name for field in fields(Line)]
    with reading(path), open(path, "rb") as file:
        if file.readline().strip() != ",".join(names).encode():
            raise UnpairedError(f"{path}: columns {', '.join(names)} are needed; {REMEDY}")
    return [_line_from(row) for row in read_sealed_frame(path).to_dict("records")]


def _line_from(row: dict[str, str]) -> Line:
    numbers = dict.fromkeys(("value", "ci_low", "ci_high", "paper_value", "delta"), float)
    numbers |= dict.fromkeys(("table", "n_images", "repeats"), int)
    return Line(
        **{
            key: (number(row[key]) if row[key] else None)
            if (number := numbers.get(key))
            else row[key]
            for key in row
        }
    )
