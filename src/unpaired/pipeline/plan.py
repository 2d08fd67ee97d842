"""From settings and a table to the models, scores and files that make it: the DAG as plain data.

No PyTorch here: Snakemake reads this whenever it starts, on every node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unpaired import catalog
from unpaired.catalog.method_settings import check_settings
from unpaired.core.errors import UnpairedError, check_choice, suggest
from unpaired.learning.conditions import is_drawn, noise_or_condition
from unpaired.learning.schedules import SCHEDULES
from unpaired.pipeline.datasets import flaw_of, folder_of, get_dataset, how_to_get, is_present
from unpaired.pipeline.models import Cell, Protocol, Score, TablePlan
from unpaired.pipeline.settings import Settings
from unpaired.pipeline.specs import plan_model, scoring_models, train_sets_of
from unpaired.pipeline.table import Row, Table


class DataAbsent(UnpairedError):
    """A table cannot be planned because pictures that it needs are not there."""


def plan_table(table: Table, settings: Settings, *, assume_data: bool = False) -> TablePlan:
    """Work out what a table needs; raises UnpairedError for unknown names and absent paper data.

    assume_data: plan every score as if all data sets were there; ``is_present`` still tells.
    """
    names = list(dict.fromkeys(row.name for row in table.rows))
    _require_methods(table, settings)
    _require_train_set(table, settings)
    rows = _narrow("methods", names, settings.methods)
    testsets = _narrow("testsets", table.all_testsets, settings.testsets, settings.folders)
    usual = table.noises_at(settings.scale)
    noises = _narrow("noises", usual, settings.noises, dict.fromkeys(table.all_noises, ""))
    entries = [*table.rows, *table.models]
    for noise in [*table.all_noises, *(row.train_noise for row in entries if row.train_noise)]:
        noise_or_condition(noise)  # Or one line that names the nearest.
    planned = [
        (noise, row, testset)
        for noise in noises
        for row in table.rows
        if row.name in rows and table.has(row, noise)
        if _is_run(settings, table, row, noise)
        for testset in testsets
        if testset in (row.testsets or [*table.testsets, *settings.folders])
    ]
    if not assume_data:
        _require_data(settings, table, planned)
    cells = tuple(_plan_cell(settings, table, *entry, assume_data) for entry in planned)
    _require_rows(settings, table, cells)
    is_part = not (
        set(rows) >= {row.name for row in table.rows}
        and set(testsets) >= set(table.all_testsets)
        and set(noises) >= set(usual)
    )
    return TablePlan(table, settings, cells, is_part)


def plan_tables(
    tables: Iterable[Table], settings: Settings
) -> tuple[dict[int, TablePlan], dict[int, UnpairedError]]:
    """Plan every table that the settings allow, by number, and say why the others have no plan."""
    plans, refusals = {}, {}
    scored: dict[str, tuple[int, Score]] = {}
    for table in tables:
        try:
            plan = plan_table(table, settings)
            _require_sound_folders(plan)
            own = {score.stem: (table.number, score) for score in plan.scores}
            _require_one_way_to_score(own, scored)
            plans[table.number] = plan
            scored |= own
        except UnpairedError as error:
            refusals[table.number] = error
    return plans, refusals


def _require_one_way_to_score(
    own: Mapping[str, tuple[int, Score]], others: Mapping[str, tuple[int, Score]]
) -> None:
    """Tables share score files; no file holds two tasks, or is scored with two models."""
    for stem in own.keys() & others.keys():
        (number, score), (other, same) = own[stem], others[stem]
        if (score.task, score.inputs) != (same.task, same.inputs):
            raise UnpairedError(
                f"table {number}: table {other} has the same scores, {stem}.csv, made by another "
                "task or with other models; let one of them have another name for its condition"
            )


def _require_sound_folders(plan: TablePlan) -> None:
    """Where a data set's folder should be there is one with something in it, or nothing at all."""
    names = dict.fromkeys([*(cell.testset for cell in plan.cells), *plan.train_sets])
    datasets = [get_dataset(name, plan.settings) for name in names]
    spoiled = [
        how_to_get(dataset, plan.settings)
        for dataset in datasets
        if not dataset.made_in
        and (folder := folder_of(dataset, plan.settings)) is not None
        and folder.exists()
        and flaw_of(folder) is not None
    ]
    if spoiled:
        raise UnpairedError("; ".join(spoiled))


def _require_methods(table: Table, settings: Settings) -> None:
    """Methods are known, and so is all that they are told, by the settings and by the table."""
    catalog.scorer(table.task)
    for method, own in settings.overrides.items():
        _require_sound("config: overrides", method, own)
    for data_set, overrides in settings.overrides_on.items():
        get_dataset(data_set, settings)
        for method, own in overrides.items():
            _require_sound(f"config: overrides_on: {data_set}", method, own)
    for row in [*table.rows, *table.models]:
        where = f"table {table.number}: row '{row.name}'"
        defaults = table.defaults if catalog.method(row.method).is_trained else {}
        _require_sound(where, row.method, {**defaults, **row.defaults, **row.options})
        if row.pairs_from:
            how = row.pairs_from
            _require_sound(where, how.method, {**how.defaults, **how.options})


def _require_train_set(table: Table, settings: Settings) -> None:
    """A training set that the settings name is what at least one row learns from."""
    if settings.train_set is None or table.takes_train_set:
        return
    trained = [row for row in table.rows if catalog.method(row.method).is_trained]
    if all(row.train_sets or table.train_sets for row in trained):
        raise UnpairedError(
            f"config: train_set: table {table.number} cannot learn from '{settings.train_set}': it "
            "needs more than pictures, and has training sets of its own; leave train_set out for it"
        )


def _require_sound(where: str, method: str, given: Mapping[str, Any]) -> None:
    """Refuse at once what a training would refuse when its turn comes."""
    try:
        check_settings(method, given)
        if "schedule" in given:
            check_choice(f"method '{method}'", "schedule", given["schedule"], SCHEDULES)
    except UnpairedError as error:
        raise UnpairedError(f"{where}: {error}") from None


def _narrow(
    key: str, available: list[str], wanted: list[str] | None, extra: dict[str, str] | None = None
) -> list[str]:
    """Return the entries to run; ``extra`` names may be added to what the table lists."""
    if wanted is None:
        return available
    valid = [*available, *(extra or ())]
    for name in wanted:
        if name not in valid:
            raise UnpairedError(f"config: {key}: the table has no '{name}'{suggest(name, valid)}")
    return wanted


def _is_run(settings: Settings, table: Table, row: Row, noise: str) -> bool:
    """Say whether a row's imported weights are there, and those that it needs, and its scale."""
    sort_of_scale = "paper" if settings.scale == "paper" else "demo"
    return row.only_at in (None, sort_of_scale) and all(
        one.weights is None or Path(one.weights.format(noise=noise)).is_file()
        for one in _with_those_it_needs(table, row)
    )


def _with_those_it_needs(table: Table, row: Row) -> list[Row]:
    found, waiting = [], [row]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.append(one)
            names = {one.starts_from, *one.needs.values()}
            waiting += [other for other in [*table.rows, *table.models] if other.name in names]
    return found


def _require_rows(settings: Settings, table: Table, cells: tuple[Cell, ...]) -> None:
    """A row that was asked for by name needs imported weights, its own and of those it needs."""
    planned = {cell.row.name for cell in cells}
    asked = settings.methods or ()
    for row in (one for one in table.rows if one.name in asked and one.name not in planned):
        for one in _with_those_it_needs(table, row):
            if one.weights and (one is row or not Path(one.weights.format(noise="")).is_file()):
                raise UnpairedError(
                    f"config: methods: {row.name}: no file {one.weights}; make it from what the "
                    f"authors published by: {catalog.how_to_import(one.method, one.weights)}"
                )


def _require_data(settings: Settings, table: Table, planned: list[tuple[str, Row, str]]) -> None:
    """Training data must be there, and test sets at paper scale or asked for by name."""
    needed: dict[str, bool] = {}
    for _, row, testset in planned:
        needed |= {name: True for _, name in train_sets_of(settings, table, row) if name}
        must = settings.scale == "paper" or settings.testsets is not None
        needed.setdefault(testset, must)
    missing = [
        how_to_get(dataset, settings)
        for dataset, must in ((get_dataset(name, settings), must) for name, must in needed.items())
        if must and not is_present(dataset, settings)
    ]
    if missing:
        raise DataAbsent("; ".join(missing))


def _plan_cell(
    settings: Settings, table: Table, noise: str, row: Row, testset: str, assume_data: bool
) -> Cell:
    dataset = get_dataset(testset, settings)
    present = is_present(dataset, settings)
    evaluation, scorer = settings.evaluation, catalog.scorer(table.task)
    repeats = scorer.samples or evaluation.repeats or dataset.paper_repeats
    if not is_drawn(noise):
        repeats = scorer.samples or 1  # It is what it is: there is nothing to draw again.
    crop_px = evaluation.crop_px if scorer.crops else None
    protocol = Protocol(testset, crop_px, repeats, scorer.samples or dataset.paper_repeats)
    scores = {}
    for seed in settings.seeds:
        model = plan_model(settings, table, noise, row, seed)
        inputs = scoring_models(settings, table, noise, seed)
        score = Score(model, protocol, noise, row.read_out, table.task, inputs)
        scores.setdefault(model.id, score)
    kept = tuple(scores.values()) if present or assume_data else ()
    return Cell(noise, row, testset, present, kept)
