"""``unpaired status``: what of each table is there, what is missing and why, and what it costs.

Files alone tell. ``snakemake -n`` says whether code or data changed since they were written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.datasets import get_dataset, how_to_get, is_present
from unpaired.pipeline.estimates import Estimate, Records, Reference, reference_of_table
from unpaired.pipeline.models import Cell, Model, Score, TablePlan
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import Settings, load_settings
from unpaired.pipeline.specs import data_models_of
from unpaired.pipeline.table import Table, load_tables

SCORED, DATA_ABSENT, NOT_TRAINED, NOT_SCORED = (
    "scored",
    "data absent",
    "not trained",
    "not scored",
)
COMPLETE, NOT_COMPLETE = "complete", "not complete"
SETS_NAMED = 3  # Absent data sets that a line names.
# Settings that change what is computed, and so how long it takes.
WHAT_IS_COMPUTED = (
    "scale",
    "train_set",
    "files",
    "methods",
    "testsets",
    "noises",
    "seeds",
    "training",
    "network",
    "evaluation",
    "overrides",
    "overrides_on",
)


@dataclass(frozen=True)
class Job:
    """A training or a scoring that is missing. is_possible: whether its data is there."""

    what: str
    estimate: Estimate | None
    is_possible: bool


@dataclass(frozen=True)
class TableStatus:
    """A table's plan, the state of each of its cells, and the missing jobs by what they make.

    root: folder that holds ``results/``.
    """

    root: Path
    plan: TablePlan
    states: tuple[str, ...]
    jobs: dict[str, Job]

    @property
    def is_written(self) -> bool:
        return (self.root / f"results/{self.plan.name}.csv").is_file()

    def cells(self, state: str) -> list[Cell]:
        paired = zip(self.plan.cells, self.states, strict=True)
        return [cell for cell, own in paired if own == state]

    @property
    def needs_all_data(self) -> bool:
        return self.plan.settings.scale == "paper"

    @property
    def summary(self) -> str:
        """Say whether the table is complete; below paper scale a column without data is no lack."""
        missing = len(self.cells(NOT_TRAINED)) + len(self.cells(NOT_SCORED))
        if self.needs_all_data:
            missing += len(self.cells(DATA_ABSENT))
        if missing:
            return NOT_COMPLETE
        csv = f"results/{self.plan.name}.csv"
        return COMPLETE if self.is_written else f"scored, but {csv} is not written yet"


def describe(
    settings: Settings,
    tables_folder: Path,
    root: Path,
    number: int | None = None,
    *,
    verbose: bool = False,
) -> str:
    """Return the state of every table of a folder, or of one; ``root`` holds ``results/``.

    One line a table, or with ``verbose`` all that is missing and what each job would take. Raises
    UnpairedError for a number that no table has, and if the settings allow none of them.
    """
    records = Records(root)
    told: list[tuple[Table, TableStatus | UnpairedError]] = []
    for table in load_tables(tables_folder, number):
        try:
            told.append((table, table_status(table, settings, records, root)))
        except UnpairedError as error:
            told.append((table, error))
    statuses = [status for _, status in told if isinstance(status, TableStatus)]
    if not statuses:
        raise next(refusal for _, refusal in told if isinstance(refusal, UnpairedError))
    is_shipped = _computes_the_same(settings, tables_folder.parent / "config.yaml")
    if verbose:
        reports = [_report(table, state, is_shipped) for table, state in told]
        return "\n\n".join([*reports, _total(statuses, is_shipped)])
    width = max(len(table.name) for table, _ in told)
    lines = [f"{table.name:{width}}  {_line(table, state, is_shipped)}" for table, state in told]
    return "\n".join([*lines, "", *_hints(statuses, is_shipped)])


def _computes_the_same(settings: Settings, shipped: Path) -> bool:
    """Say whether settings train and score as a configuration file says, wherever that happens."""
    ours, theirs = (
        chosen.model_dump(include=set(WHAT_IS_COMPUTED))
        for chosen in (settings, load_settings([shipped], None))
    )
    return ours == theirs


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
        for model in data_models_of(plan):
            if _lacks_training(model, root):
                what = f"train {model.method}"
                jobs.setdefault(model.id, Job(what, records.training(model), True))
    return TableStatus(root, plan, states, jobs)


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


def _waiting_cells(status: TableStatus) -> dict[str, int]:
    """Return the absent data sets, and how many cells wait for each."""
    waiting: dict[str, int] = {}
    for cell in status.cells(DATA_ABSENT):
        if not cell.is_present:
            waiting[cell.testset] = waiting.get(cell.testset, 0) + 1
        untrained = [s.model for s in cell.scores if _lacks_training(s.model, status.root)]
        for name in _absent_sets(untrained, status.plan):
            waiting[name] = waiting.get(name, 0) + 1
    return waiting


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


# ---- One line a table ---------------------------------------------------------------------------


def _line(table: Table, state: TableStatus | UnpairedError, is_shipped: bool) -> str:
    """Return how much of a table is made, what the rest takes, and what it waits for."""
    if isinstance(state, UnpairedError):
        return f"left out by these settings: {state}"
    reference = reference_of_table(table.number) if is_shipped else None
    said = [_made(state), _time_left(state, reference), _lacks_data(state)]
    return "; ".join(filter(None, said))


def _made(status: TableStatus) -> str:
    if status.summary != NOT_COMPLETE:
        return "done" if status.summary == COMPLETE else "scored, but not written yet"
    scored = len(status.cells(SCORED))
    wanted = scored + len(status.cells(NOT_TRAINED)) + len(status.cells(NOT_SCORED))
    if status.needs_all_data:
        wanted = len(status.states)
    return f"{scored} of {wanted} cells made" if scored else "not made"


def _time_left(status: TableStatus, reference: Reference | None) -> str:
    """Say what is left to compute takes: by the records here, else by the reference."""
    jobs = [job for job in status.jobs.values() if job.is_possible or status.needs_all_data]
    if not jobs:
        return ""
    known = [job.estimate.seconds for job in jobs if job.estimate]
    if len(known) == len(jobs):
        return f"takes about {duration(sum(known))}, one job after another"
    if reference:
        return _by_reference(status, reference)
    if sum(known) == 0:
        return "time not known"
    return f"takes more than {duration(sum(known))}, one job after another"


def _by_reference(status: TableStatus, reference: Reference) -> str:
    about = "at most" if status.cells(SCORED) else "about"
    took = f"takes {about} {duration(3600 * reference.hours)} on {reference.cores} cores"
    others = [number for number in reference.of if number != str(status.plan.table.number)]
    return f"{took}, with table {' and '.join(others)}" if others else took


def _lacks_data(status: TableStatus) -> str:
    absent = list(_waiting_cells(status))
    if not absent:
        return ""
    named = absent[:SETS_NAMED]
    more = f" and {len(absent) - SETS_NAMED} more" if len(absent) > SETS_NAMED else ""
    verb = "waits for" if status.needs_all_data else "goes without"
    return f"{verb} {', '.join(named)}{more} (data not here)"


def _hints(statuses: list[TableStatus], is_shipped: bool) -> list[str]:
    """Say what to type next, and what all that is missing takes together."""
    todo = [status for status in statuses if status.summary != COMPLETE]
    settings = "" if is_shipped else ", with the same settings"
    hints = []
    if todo:
        hints.append(f"make one: snakemake --cores all results/{todo[0].plan.name}.csv{settings}")
    if len(todo) > 1:
        together = _all_together(todo) if is_shipped else ""
        hints.append(f"make all: snakemake --cores all{settings}{together}")
    if any(status.cells(DATA_ABSENT) for status in statuses):
        hints.append("data that is not here, and where to get it: unpaired data check --table N")
    return [*hints, "more about every table: unpaired status -v"]


def _all_together(statuses: list[TableStatus]) -> str:
    """Add the references of these tables; they share some models, so it is the most it takes."""
    taken = {reference_of_table(status.plan.table.number) for status in statuses}
    if None in taken:
        return ""
    hours = sum(reference.hours for reference in taken)
    cores = max(reference.cores for reference in taken)
    return f" (at most {duration(3600 * hours)} on {cores} cores)"


# ---- All of it ----------------------------------------------------------------------------------


def _report(table: Table, status: TableStatus | UnpairedError, is_shipped: bool) -> str:
    if isinstance(status, UnpairedError):
        return f"{table.name}: left out by these settings: {status}"
    scored, cells = len(status.cells(SCORED)), len(status.states)
    lines = [
        f"{table.name}, {table.title}: {status.summary}",
        f"  {SCORED}: {scored} of {cells} cells",
    ]
    lines += _absent_data(status)
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
    reference = reference_of_table(table.number) if is_shipped and _are_unknown(now) else None
    if reference:
        lines.append(f"  the table {_by_reference(status, reference)}, by a reference run")
    lines += _costs("cost of what is missing, once its data is there", later)
    return "\n".join(lines)


def _absent_data(status: TableStatus) -> list[str]:
    """Tell of every absent data set how many cells wait for it and how to get it."""
    settings = status.plan.settings
    return [
        f"  {DATA_ABSENT}, {_count(count, 'cell')}: "
        f"{how_to_get(get_dataset(name, settings), settings)}"
        for name, count in _waiting_cells(status).items()
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
                f"{catalog.how_to_import(row.method, row.weights)}"
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


def _are_unknown(jobs: list[Job]) -> bool:
    """Say whether nothing is recorded for some of the jobs."""
    return any(job.estimate is None for job in jobs)


def _total(statuses: list[TableStatus], is_shipped: bool) -> str:
    jobs: dict[str, Job] = {}
    for status in statuses:
        jobs |= status.jobs
    now = [job for job in jobs.values() if job.is_possible]
    later = [job for job in jobs.values() if not job.is_possible]
    if not jobs:
        return "total: nothing is missing"
    told = f"total: {_count(len(now), 'job')} to run, {_sum(now)}"
    if is_shipped and _are_unknown(now):
        told += _all_together([status for status in statuses if status.summary != COMPLETE])
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
    for unit, length in (("years", 365 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            amount = seconds / length
            return f"{amount:,.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}"
    return f"{seconds:.0f} s"
