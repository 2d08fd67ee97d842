"""What the page says before its tables: scale, date, how many numbers are near, what is absent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from unpaired.core.errors import UnpairedError
from unpaired.pipeline.models import TablePlan
from unpaired.pipeline.plan import DataAbsent
from unpaired.pipeline.report.numbers import LARGEST_SIZE, SIZES, size_of
from unpaired.pipeline.table import Table
from unpaired.pipeline.tables.lines import Line

SCALES = {
    "overnight": "small networks, one night of training",
    "smoke": "tiny networks, seconds of training; its numbers mean nothing",
    "demo": "small networks, minutes of training",
    "paper": "the papers' networks, pictures and lengths of training",
}


@dataclass(frozen=True)
class LeftOut:
    """A table that is not on the page: why, and the command that makes it."""

    name: str
    why: str
    command: str


def describe_scale(scale: str) -> str:
    """Return a scale's name and what it means."""
    return f"{scale} scale: {SCALES[scale]}"


def describe_dates(paths: Iterable[Path]) -> str:
    """Say when files were made, by their own times: the same files always give the same page."""
    times = [path.stat().st_mtime for path in paths]
    first, last = (
        f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"
        for time in (min(times), max(times))
    )
    return f"made on {last}" if first == last else f"made from {first} to {last}"


def count_sizes(lines: Sequence[Line]) -> str:
    """Count the numbers that match the paper's, are near them, or far from them."""
    compared = [line for line in lines if line.delta is not None]
    measured = [line for line in lines if line.value is not None]
    if not compared:
        return (
            f"None of {len(measured)} numbers can be compared with the paper's: they are of other "
            "pictures, or not scored as in the paper."
        )
    counts = Counter(size_of(line.delta, line.metric) for line in compared)
    told = ", ".join(f"{counts[size]} {size}" for size in (*SIZES, LARGEST_SIZE))
    return f"Of {len(measured)} numbers {len(compared)} can be compared with the paper's: {told}."


def left_out(table: Table, error: UnpairedError) -> LeftOut:
    """Say why a table has no plan."""
    command = f"snakemake --cores all results/table{table.number}.csv"
    if isinstance(error, DataAbsent):
        return LeftOut(table.name, f"its data is not here: {error}", command)
    return LeftOut(
        table.name, f"these settings do not fit it: {error}; it can be made without them", command
    )


def not_made(plan: TablePlan) -> LeftOut:
    """Say that a table was planned and not made."""
    command = f"snakemake --cores all results/{plan.name}.csv"
    return LeftOut(plan.table.name, "it is not made yet", command)
