"""From settings and a table to the models, scores and files that make it: the DAG as plain data.

No torch here: Snakemake reads this whenever it starts, on every node.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unpaired.corruptions.noise import get_noise
from unpaired.datasets import get_dataset, how_to_get, is_present
from unpaired.errors import UnpairedError, suggest
from unpaired.methods import PER_IMAGE, module_of
from unpaired.settings import Row, Settings, Table, canonical_json


def _short_hash(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:10]


def uses_gpu(settings: Settings) -> bool:
    """Say whether jobs will run on a GPU, without loading PyTorch to find out."""
    if settings.device != "auto":
        return settings.device != "cpu"
    return Path("/dev/nvidiactl").exists() or sys.platform == "darwin"


@dataclass(frozen=True)
class Model:
    """A method with everything that defines what it learns; ``spec`` is plain JSON data.

    A method that restores every image by itself is a model too, without training data, and so are
    imported weights.
    """

    method: str
    spec: dict[str, Any] = field(hash=False)

    @property
    def id(self) -> str:
        return f"{self.method}-{_short_hash(self.spec)}"

    @property
    def is_trained(self) -> bool:
        """Whether the pipeline trains it."""
        return self.method not in PER_IMAGE and "weights" not in self.spec

    @property
    def file(self) -> str | None:
        """Where its weights are; None if it has none."""
        trained = f"results/models/{self.id}/model.safetensors" if self.is_trained else None
        return self.spec.get("weights", trained)

    @property
    def module(self) -> str:
        return module_of(self.method)


@dataclass(frozen=True)
class Protocol:
    """How one test set is scored: centre crops or whole images, and noise draws per image."""

    testset: str
    crop_px: int | None
    repeats: int
    paper_repeats: int

    @property
    def label(self) -> str:
        """Part of a score file's name, so that no protocol overwrites another's scores."""
        extent = "whole" if self.crop_px is None else f"crop{self.crop_px}"
        return f"{self.testset}_{extent}_r{self.repeats}"

    @property
    def is_papers(self) -> bool:
        return self.crop_px is None and self.repeats == self.paper_repeats


@dataclass(frozen=True)
class Score:
    """One score file: a model on a test set with a noise."""

    model: Model
    protocol: Protocol
    noise: str
    read_out: str | None = None

    @property
    def stem(self) -> str:
        read_out = f".{self.read_out}" if self.read_out else ""
        return f"results/scores/{self.model.id}/{self.protocol.label}-{self.noise}{read_out}"


@dataclass(frozen=True)
class Cell:
    """One cell of a table: a row, a noise and a test set, with one score file per seed."""

    noise: str
    row: Row
    testset: str
    is_present: bool
    scores: tuple[Score, ...]

    @property
    def setting(self) -> str:
        """What the paper's numbers call this noise in this row."""
        return self.row.setting.format(noise=self.noise)

    @property
    def method(self) -> str:
        """What the paper's numbers call this row's method."""
        return self.row.printed_as or self.row.name


@dataclass(frozen=True)
class TablePlan:
    """A table as this run will fill it."""

    table: Table
    settings: Settings
    cells: tuple[Cell, ...]
    is_part: bool

    @property
    def name(self) -> str:
        return f"table{self.table.number}" + (".part" if self.is_part else "")

    @property
    def scores(self) -> list[Score]:
        """Every score file that the table reads, each once, in a fixed order."""
        return list({score.stem: score for cell in self.cells for score in cell.scores}.values())

    @property
    def models(self) -> list[Model]:
        return list({score.model.id: score.model for score in self.scores}.values())

    @property
    def measured_budgets(self) -> list[str]:
        """Methods whose cost at the paper's budget is measured, to be told beside the demo's."""
        if self.settings.scale != "demo":
            return []
        return sorted({model.method for model in self.models})

    @property
    def noises(self) -> list[str]:
        return list(dict.fromkeys(cell.noise for cell in self.cells))


def plan_table(table: Table, settings: Settings, *, assume_data: bool = False) -> TablePlan:
    """Work out what a table needs; raises UnpairedError for unknown names and absent paper data.

    assume_data: plan every score as if all data sets were there; ``is_present`` still tells.
    """
    for method in [*(row.method for row in table.rows), *settings.overrides]:
        module_of(method)
    names = list(dict.fromkeys(row.name for row in table.rows))
    rows = _narrow("methods", names, settings.methods)
    testsets = _narrow("testsets", table.testsets, settings.testsets, settings.folders)
    noises = _narrow("noises", table.noises, settings.noises)
    for noise in table.noises:
        get_noise(noise)
    if not assume_data:
        _require_data(settings, testsets)
    cells = tuple(
        _plan_cell(settings, noise, row, testset, assume_data)
        for noise in noises
        for row in table.rows
        if row.name in rows and noise in (row.noises or table.noises) and _has_weights(row, noise)
        for testset in testsets
    )
    _require_rows(settings, table, cells)
    is_part = not (
        set(rows) >= {row.name for row in table.rows}
        and set(testsets) >= set(table.testsets)
        and set(noises) >= set(table.noises)
    )
    return TablePlan(table, settings, cells, is_part)


def plan_tables(
    tables: Iterable[Table], settings: Settings
) -> tuple[dict[int, TablePlan], dict[int, UnpairedError]]:
    """Plan every table that the settings allow, by number, and say why the others have no plan."""
    plans, refusals = {}, {}
    for table in tables:
        try:
            plans[table.number] = plan_table(table, settings)
        except UnpairedError as error:
            refusals[table.number] = error
    return plans, refusals


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


def _has_weights(row: Row, noise: str) -> bool:
    return row.weights is None or Path(row.weights.format(noise=noise)).is_file()


def _require_rows(settings: Settings, table: Table, cells: tuple[Cell, ...]) -> None:
    """A row that was asked for by name needs its imported weights."""
    planned = {cell.row.name for cell in cells}
    for row in table.rows:
        if row.weights and row.name in (settings.methods or ()) and row.name not in planned:
            raise UnpairedError(
                f"config: methods: {row.name}: no file {row.weights}; make it from the authors' "
                f"file by: unpaired import-weights {row.method} FILE.pth"
            )


def _require_data(settings: Settings, testsets: list[str]) -> None:
    """Training data must be there; at paper scale the test sets too."""
    needed = [settings.train_set, *(testsets if settings.scale == "paper" else [])]
    missing = [
        how_to_get(dataset, settings)
        for dataset in (get_dataset(name, settings) for name in needed)
        if not is_present(dataset, settings)
    ]
    if missing:
        raise UnpairedError("; ".join(missing))


def _plan_cell(settings: Settings, noise: str, row: Row, testset: str, assume_data: bool) -> Cell:
    dataset = get_dataset(testset, settings)
    present = is_present(dataset, settings)
    evaluation = settings.evaluation
    protocol = Protocol(
        testset,
        evaluation.crop_px,
        evaluation.repeats or dataset.paper_repeats,
        dataset.paper_repeats,
    )
    models = {
        (model := plan_model(settings, noise, row, seed)).id: model for seed in settings.seeds
    }
    scores = tuple(Score(model, protocol, noise, row.read_out) for model in models.values())
    return Cell(noise, row, testset, present, scores if present or assume_data else ())


def plan_model(settings: Settings, noise: str, row: Row, seed: int) -> Model:
    """Return the model behind a row: what its folder's name is the hash of."""
    if row.weights is not None:
        return Model(row.method, {"weights": row.weights.format(noise=noise)})
    if row.method in PER_IMAGE:
        overrides = settings.overrides.get(row.method, {}) | row.options
        return Model(row.method, {"method": row.method, "overrides": overrides})
    training, network = settings.training, settings.network
    set_by_config = {
        "images_seen": training.images_seen,
        "batch_size": training.batch_size,
        "patch_px": training.patch_px,
        "learning_rate": training.learning_rate,
        "schedule": training.schedule,
        "beta2": training.beta2,
        "width": network.width,
        "global_residual": network.global_residual,
    }
    overrides = {key: value for key, value in set_by_config.items() if value is not None}
    overrides |= settings.overrides.get(row.method, {})
    spec = {
        "method": row.method,
        "overrides": overrides | row.options,
        "noise": noise,
        "noise_draw": row.noise_draw,
        "train_set": settings.train_set,
        "seed": seed,
        "scale": settings.scale,
        "precision": training.precision,
        "threads": training.threads,
    }
    return Model(row.method, spec)
