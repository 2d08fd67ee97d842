"""``unpaired status``: what of each table is there, what is missing and why, and what it costs.

Files alone tell. ``snakemake -n`` says whether code or data changed since they were written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unpaired.datasets import get_dataset, how_to_get, is_present
from unpaired.errors import UnpairedError
from unpaired.estimates import Estimate, Records
from unpaired.plan import Cell, Model, Score, TablePlan, plan_table
from unpaired.settings import Settings, Table, load_table

SCORED, DATA_ABSENT, NOT_TRAINED, NOT_SCORED = (
    "scored",
    "data absent",
    "not trained",
    "not scored",
)


@dataclass(frozen=True)
class Job:
    """A training or a scoring that is missing. is_possible: whether its data is there."""

    what: str
    estimate: Estimate | None
    is_possible: bool


@dataclass(frozen=True)
class TableStatus:
    """A table's plan, the state of each of its cells, and the missing jobs by what they make."""

    plan: TablePlan
    states: tuple[str, ...]
    jobs: dict[str, Job]
    is_written: bool

    def cells(self, state: str) -> list[Cell]:
        paired = zip(self.plan.cells, self.states, strict=True)
        return [cell for cell, own in paired if own == state]

    @property
    def summary(self) -> str:
        """Say whether the table is complete; below paper scale a column without data is no lack."""
        missing = len(self.cells(NOT_TRAINED)) + len(self.cells(NOT_SCORED))
        if self.plan.settings.scale == "paper":
            missing += len(self.cells(DATA_ABSENT))
        if missing:
            return "not complete"
        csv = f"results/{self.plan.name}.csv"
        return "complete" if self.is_written else f"scored, but {csv} is not written yet"


def describe(settings: Settings, tables_folder: Path, root: Path, number: int | None = None) -> str:
    """Return the state of every table of a folder, or of one; ``root`` holds ``results/``.

    Raises UnpairedError for a number that no table has, and if the settings allow none of them.
    """
    records = Records(root)
    reports, jobs, refusals = [], {}, []
    for table in _tables(tables_folder, number):
        try:
            status = table_status(table, settings, records, root)
        except UnpairedError as error:
            refusals.append(error)
            reports.append(f"table {table.number}: not with these settings: {error}")
            continue
        reports.append(_report(status, root))
        jobs |= status.jobs
    if len(refusals) == len(reports):
        raise refusals[0]
    return "\n\n".join([*reports, _total(jobs)])


def _tables(folder: Path, number: int | None) -> list[Table]:
    tables = [load_table(path) for path in folder.glob("table*.yaml")]
    tables.sort(key=lambda table: table.number)
    if not tables:
        raise UnpairedError(f"{folder}: no tables here; run this in the project's folder")
    chosen = [table for table in tables if number in (None, table.number)]
    if not chosen:
        known = ", ".join(str(table.number) for table in tables)
        raise UnpairedError(f"there is no table {number}; there are: {known}")
    return chosen


def table_status(table: Table, settings: Settings, records: Records, root: Path) -> TableStatus:
    """Look up what of a table is there; raises UnpairedError where it cannot be planned."""
    plan = plan_table(table, settings, assume_data=True)
    states = tuple(_state(cell, plan, root) for cell in plan.cells)
    jobs: dict[str, Job] = {}
    # What a present test set needs comes first: a model may serve an absent one as well.
    for cell in sorted(plan.cells, key=lambda cell: not cell.is_present):
        for made, job in _missing_jobs(cell, plan, records, root):
            jobs.setdefault(made, job)
    if {NOT_TRAINED, NOT_SCORED} & set(states):
        for model in plan.renderers:
            if _lacks_training(model, root):
                what = f"train {model.method}"
                jobs.setdefault(model.id, Job(what, records.training(model), True))
    return TableStatus(plan, states, jobs, (root / f"results/{plan.name}.csv").is_file())


def _state(cell: Cell, plan: TablePlan, root: Path) -> str:
    if not cell.is_present:
        return DATA_ABSENT
    if all(_is_scored(score, root) for score in cell.scores):
        return SCORED
    lacking = [score.model for score in cell.scores if _lacks_training(score.model, root)]
    if lacking:
        return NOT_TRAINED if not _absent_sets(lacking, plan) else DATA_ABSENT
    return NOT_SCORED


def _is_scored(score: Score, root: Path) -> bool:
    return (root / f"{score.stem}.csv").is_file()


def _lacks_training(model: Model, root: Path) -> bool:
    return model.is_trained and not (root / model.file).is_file()


def _absent_sets(models: Iterable[Model], plan: TablePlan) -> list[str]:
    """Return the training sets of models that are not there."""
    names = dict.fromkeys(name for model in models for name in model.data_sets)
    settings = plan.settings
    return [name for name in names if not is_present(get_dataset(name, settings), settings)]


def _missing_jobs(
    cell: Cell, plan: TablePlan, records: Records, root: Path
) -> Iterator[tuple[str, Job]]:
    for score in cell.scores:
        if _is_scored(score, root):
            continue
        model, is_possible = score.model, cell.is_present
        if _lacks_training(model, root):
            is_possible = is_possible and not _absent_sets([model], plan)
            for needed in model.lineage:
                if _lacks_training(needed, root):
                    estimate = records.training(needed)
                    yield needed.id, Job(f"train {needed.method}", estimate, is_possible)
        yield score.stem, Job(f"score {model.method}", records.scoring(score), is_possible)


# ---- Telling ------------------------------------------------------------------------------------


def _report(status: TableStatus, root: Path) -> str:
    table = status.plan.table
    scored, cells = len(status.cells(SCORED)), len(status.states)
    lines = [f"table {table.number}, {table.title}: {status.summary}"]
    lines.append(f"  {SCORED}: {scored} of {cells} cells")
    lines += _absent_data(status, root)
    for state in (NOT_TRAINED, NOT_SCORED):
        missing = status.cells(state)
        if missing:
            lines.append(f"  {state}, {_count(len(missing), 'cell')}:")
            lines += [f"    {line}" for line in _by_row(missing)]
    lines += _absent_weights(status)
    jobs = status.jobs.values()
    now = [job for job in jobs if job.is_possible]
    later = [job for job in jobs if not job.is_possible]
    lines += _costs("cost of what is missing", now)
    lines += _costs("cost of what is missing, once its data is there", later)
    return "\n".join(lines)


def _absent_data(status: TableStatus, root: Path) -> list[str]:
    """Tell of every absent data set how many cells wait for it and how to get it."""
    settings = status.plan.settings
    waiting: dict[str, int] = {}
    for cell in status.cells(DATA_ABSENT):
        if not cell.is_present:
            waiting[cell.testset] = waiting.get(cell.testset, 0) + 1
        untrained = [score.model for score in cell.scores if _lacks_training(score.model, root)]
        for name in _absent_sets(untrained, status.plan):
            waiting[name] = waiting.get(name, 0) + 1
    return [
        f"  {DATA_ABSENT}, {_count(count, 'cell')}: "
        f"{how_to_get(get_dataset(name, settings), settings)}"
        for name, count in waiting.items()
    ]


def _absent_weights(status: TableStatus) -> list[str]:
    """Tell of every row of imported weights for which noises its file is not there."""
    plan = status.plan
    planned = {(cell.row.name, cell.noise) for cell in plan.cells}
    lines = []
    for row in plan.table.rows:
        wanted = plan.settings.methods is None or row.name in plan.settings.methods
        noises = [n for n in plan.noises if (row.name, n) not in planned]
        if row.weights and wanted and noises:
            lines.append(
                f"  weights not imported: {row.name} ({', '.join(noises)}): "
                f"unpaired import-weights {row.method} FILE.pth"
            )
    return lines


def _by_row(cells: list[Cell]) -> list[str]:
    """Return lines "rows: noises on test sets", rows that lack the same in one line."""
    lacking: dict[str, dict[str, list[str]]] = {}
    for cell in cells:
        lacking.setdefault(cell.row.name, {}).setdefault(cell.noise, []).append(cell.testset)
    rows: dict[str, list[str]] = {}
    for row, testsets_of in lacking.items():
        noises_of: dict[str, list[str]] = {}
        for noise, testsets in testsets_of.items():
            noises_of.setdefault(", ".join(testsets), []).append(noise)
        pieces = [f"{', '.join(noises)} on {on}" for on, noises in noises_of.items()]
        rows.setdefault("; ".join(pieces), []).append(row)
    return [f"{', '.join(names)}: {what}" for what, names in rows.items()]


def _costs(title: str, jobs: list[Job]) -> list[str]:
    """Return a line for the jobs of each kind, with the first record that their times come from."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.what, []).append(job)
    lines = [f"  {title}: {_sum(jobs)}"] if jobs else []
    for what, group in groups.items():
        times = f", {len(group)} times" if len(group) > 1 else ""
        lines.append(f"    {what}{times}: {_sum(group)}{_sources(group)}")
    return lines


def _sources(jobs: list[Job]) -> str:
    sources = list(dict.fromkeys(job.estimate.source for job in jobs if job.estimate))
    if not sources:
        return ", nothing like it is recorded"
    more = f"; and {_count(len(sources) - 1, 'record')} more" if len(sources) > 1 else ""
    return f", by {sources[0]}{more}"


def _total(jobs: dict[str, Job]) -> str:
    now = [job for job in jobs.values() if job.is_possible]
    later = [job for job in jobs.values() if not job.is_possible]
    if not jobs:
        return "total: nothing is missing"
    told = f"total: {_count(len(now), 'job')} to run, {_sum(now)}"
    if later:
        told += f"; once their data is there {len(later)} more, {_sum(later)}"
    return f"{told}; one after another, on the devices of the records"


def _sum(jobs: list[Job]) -> str:
    known = [job.estimate.seconds for job in jobs if job.estimate]
    unknown = len(jobs) - len(known)
    parts = [duration(sum(known))] if known or not unknown else []
    if unknown:
        parts.append("unknown" if not known else f"{_count(unknown, 'job')} unknown")
    return " and ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """Return seconds in the unit that a person would take."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            amount = seconds / length
            return f"{amount:,.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}"
    return f"{seconds:.0f} s"
