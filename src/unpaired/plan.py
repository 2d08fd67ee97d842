"""From settings and a table to the models, scores and files that make it: the DAG as plain data.

No torch here: Snakemake reads this whenever it starts, on every node.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from unpaired.corruptions.distorting_networks import METHOD as DISTORTING
from unpaired.corruptions.distorting_networks import draw_settings
from unpaired.corruptions.noise import CAMERA, NONE, get_noise
from unpaired.datasets import (
    flaw_of,
    folder_of,
    get_dataset,
    how_to_get,
    is_present,
)
from unpaired.errors import UnpairedError, suggest
from unpaired.files import sha256_of
from unpaired.methods import (
    COLORIZERS,
    DISTORTERS,
    METRICS,
    UNTRAINED,
    WITH_PICTURES,
    module_of,
)
from unpaired.settings import PairsFrom, Row, Settings, Table, TrainSets, canonical_json

# Of the stand-in for BAPPS, of any scale. The paper has 96 networks and an epoch of ImageNet each:
# longer trainings of so few would leave hardly anything to judge.
DISTORTING_NETWORKS = 6
DISTORTING_IMAGES_SEEN = 2400
RENDERED_FROM = "embedded_train"


class DataAbsent(UnpairedError):
    """A table cannot be planned because pictures that it needs are not there."""


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
    imported weights. pairs: the synthesized pairs it is trained on, if it is. start: the model that
    its training starts from.
    """

    method: str
    spec: dict[str, Any] = field(hash=False)
    pairs: Pairs | None = None
    start: Model | None = None

    @property
    def id(self) -> str:
        return f"{self.method}-{_short_hash(self.spec)}"

    @property
    def is_trained(self) -> bool:
        """Whether the pipeline trains it."""
        return self.method not in UNTRAINED and "weights" not in self.spec

    @property
    def file(self) -> str | None:
        """Where its weights are; None if it has none."""
        trained = f"results/models/{self.id}/model.safetensors" if self.is_trained else None
        return self.spec.get("weights", trained)

    @property
    def module(self) -> str:
        return module_of(self.method)

    @property
    def lineage(self) -> list[Model]:
        """The models that must be trained before this one, and itself."""
        before = [
            *((self.pairs.model,) if self.pairs else ()),
            *((self.start,) if self.start else ()),
        ]
        return [*(model for first in before for model in first.lineage), self]

    @property
    def packs(self) -> list[str]:
        """Names of the packs that it is trained on: one, or a noisy and a clean one.

        Or those of the pictures that it uses without a training.
        """
        keys = ("train_set", "clean_set")
        return [self.spec[key] for key in keys if key in self.spec]

    @property
    def prior(self) -> str | None:
        """Whose colours it counts as rare or frequent: a data set; None if it does not, see
        `colour_prior_of`.
        """
        return self.spec.get("prior")

    @property
    def data_sets(self) -> list[str]:
        """The sets whose pictures it has learned from, directly or through synthesized pairs."""
        own = self.pairs.model.packs if self.pairs else self.packs
        return list(dict.fromkeys([*own, *(self.start.data_sets if self.start else ())]))


@dataclass(frozen=True)
class Pairs:
    """Training pairs that a degradation model makes of the pictures of one of its sets."""

    model: Model
    spec: dict[str, Any] = field(hash=False)

    @property
    def id(self) -> str:
        return f"pairs_{_short_hash(self.spec)}"


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
    task: str = "restore"

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
        """Every model that is scored, each once."""
        return list({score.model.id: score.model for score in self.scores}.values())

    @property
    def trainings(self) -> list[Model]:
        """Every model that is trained, each once, those that others start from before them."""
        lineages = {m.id: m for model in self.models for m in model.lineage}
        return [model for model in lineages.values() if model.is_trained]

    @property
    def train_sets(self) -> list[str]:
        """The data sets that its models learn from."""
        return list(dict.fromkeys(name for model in self.trainings for name in model.data_sets))

    @property
    def renderers(self) -> list[Model]:
        """The models whose outputs are part of its data sets, each once."""
        names = [cell.testset for cell in self.cells if cell.scores] + self.train_sets
        if any(get_dataset(name, self.settings).rendered for name in names):
            return distorting_networks(self.settings)
        return []

    @property
    def measured_budgets(self) -> list[str]:
        """Methods whose cost at the paper's budget is measured, to be told beside the demo's.

        Not where a table or a row has defaults of its own, whose cost is not that of the method.
        """
        if self.settings.scale != "demo" or self.table.defaults:
            return []
        scores = (s for cell in self.cells if not cell.row.defaults for s in cell.scores)
        return sorted({model.method for score in scores for model in score.model.lineage})

    @property
    def noises(self) -> list[str]:
        return list(dict.fromkeys(cell.noise for cell in self.cells))


def plan_table(table: Table, settings: Settings, *, assume_data: bool = False) -> TablePlan:
    """Work out what a table needs; raises UnpairedError for unknown names and absent paper data.

    assume_data: plan every score as if all data sets were there; ``is_present`` still tells.
    """
    names = list(dict.fromkeys(row.name for row in table.rows))
    _require_methods(table, settings)
    rows = _narrow("methods", names, settings.methods)
    testsets = _narrow("testsets", table.all_testsets, settings.testsets, settings.folders)
    noises = _narrow("noises", table.all_noises, settings.noises)
    for noise in [*table.all_noises, *(row.train_noise for row in table.rows if row.train_noise)]:
        get_noise(noise)
    planned = [
        (noise, row, testset)
        for noise in noises
        for row in table.rows
        if row.name in rows and noise in (row.noises or table.noises)
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
        and set(noises) >= set(table.all_noises)
    )
    return TablePlan(table, settings, cells, is_part)


def plan_tables(
    tables: Iterable[Table], settings: Settings
) -> tuple[dict[int, TablePlan], dict[int, UnpairedError]]:
    """Plan every table that the settings allow, by number, and say why the others have no plan."""
    plans, refusals = {}, {}
    for table in tables:
        try:
            plan = plan_table(table, settings)
            _require_sound_folders(plan)
            plans[table.number] = plan
        except UnpairedError as error:
            refusals[table.number] = error
    return plans, refusals


def _require_sound_folders(plan: TablePlan) -> None:
    """Where a data set's folder should be there is one with something in it, or nothing at all."""
    names = dict.fromkeys([*(cell.testset for cell in plan.cells), *plan.train_sets])
    datasets = [get_dataset(name, plan.settings) for name in names]
    spoiled = [
        how_to_get(dataset, plan.settings)
        for dataset in datasets
        if not dataset.rendered
        and (folder := folder_of(dataset, plan.settings)) is not None
        and folder.exists()
        and flaw_of(folder) is not None
    ]
    if spoiled:
        raise UnpairedError("; ".join(spoiled))


def _require_methods(table: Table, settings: Settings) -> None:
    pairs = (row.pairs_from for row in table.rows if row.pairs_from)
    for method in [*(entry.method for entry in [*table.rows, *pairs]), *settings.overrides]:
        module_of(method)


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
    """Say whether a row's imported weights are there, or those it starts from, and its scale."""
    start = next((other for other in table.rows if other.name == row.starts_from), row)
    return row.only_at in (None, settings.scale) and all(
        one.weights is None or Path(one.weights.format(noise=noise)).is_file()
        for one in (row, start)
    )


def _require_rows(settings: Settings, table: Table, cells: tuple[Cell, ...]) -> None:
    """A row that was asked for by name needs its imported weights."""
    planned = {cell.row.name for cell in cells}
    for row in table.rows:
        if row.weights and row.name in (settings.methods or ()) and row.name not in planned:
            raise UnpairedError(
                f"config: methods: {row.name}: no file {row.weights}; make it from the authors' "
                f"file by: unpaired import-weights {row.method} FILE.pth"
            )


def _train_sets(settings: Settings, table: Table, row: Row) -> TrainSets:
    own = row.train_sets or table.train_sets
    return own.at(settings.scale) if own else TrainSets(pairs=settings.train_set)


def _require_data(settings: Settings, table: Table, planned: list[tuple[str, Row, str]]) -> None:
    """Training data must be there, and test sets at paper scale or asked for by name."""
    needed: dict[str, bool] = {}
    for _, row, testset in planned:
        needed |= {name: True for _, name in _train_sets(settings, table, row) if name}
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
    evaluation = settings.evaluation
    # What a camera took is what it is: there is nothing to draw again.
    repeats = 1 if noise in (CAMERA, NONE) else evaluation.repeats or dataset.paper_repeats
    # Patches were judged as they are.
    crop_px = None if table.task == "judge" else evaluation.crop_px
    protocol = Protocol(testset, crop_px, repeats, dataset.paper_repeats)
    models = {
        (model := plan_model(settings, table, noise, row, seed)).id: model
        for seed in settings.seeds
    }
    scores = tuple(
        Score(model, protocol, noise, row.read_out, table.task) for model in models.values()
    )
    return Cell(noise, row, testset, present, scores if present or assume_data else ())


def plan_model(settings: Settings, table: Table, noise: str, row: Row, seed: int) -> Model:
    """Return the model behind a row: what its folder's name is the hash of."""
    if row.weights is not None:
        return Model(row.method, {"weights": row.weights.format(noise=noise)})
    if row.method in UNTRAINED:
        overrides = settings.overrides.get(row.method, {}) | row.options
        spec = {"method": row.method, "overrides": overrides}
        if row.method in WITH_PICTURES:
            train_set = _train_sets(settings, table, row)[row.train_on]
            spec |= {"train_set": train_set, "seed": seed}
        return Model(row.method, spec)
    defaults, sets = table.defaults | row.defaults, _train_sets(settings, table, row)
    if row.pairs_from is None:
        trained_on = {
            "noise": row.train_noise or noise,
            "noise_draw": row.noise_draw,
            "train_set": sets[row.train_on],
        }
        if row.method in COLORIZERS:
            trained_on["prior"] = colour_prior_of(settings, sets[row.train_on])
        start = _start_of(settings, table, noise, row, seed)
        if start:
            trained_on["start"] = start.id
        model = _trained(
            settings, row.method, defaults, row.options, seed, trained_on, sets[row.train_on]
        )
        return replace(model, start=start)
    pairs = _plan_pairs(settings, row.pairs_from, noise, sets, seed)
    trained_on = {"noise": CAMERA, "noise_draw": "fresh", "train_set": pairs.id}
    model = _trained(settings, row.method, defaults, row.options, seed, trained_on, sets.clean)
    return replace(model, pairs=pairs)


def colour_prior_of(settings: Settings, data_set: str) -> str:
    """Say which colour prior is used: that of ``data_set``, or of the settings, by its digest.

    Raises UnpairedError if the settings name a file that is not there.
    """
    if settings.colour_prior is None:
        return data_set
    path = Path(settings.colour_prior)
    if not path.is_file():
        raise UnpairedError(f"config: colour_prior: {path}: no such file")
    return f"sha256:{sha256_of(path)}"


def distorting_networks(settings: Settings) -> list[Model]:
    """Return the networks that distort patches in the stand-in for BAPPS.

    They belong to the data: neither seeds nor a run's own training set change them, and only
    ``overrides`` of their method makes them shorter.
    """
    trained_on = {"noise": NONE, "noise_draw": "fresh", "train_set": RENDERED_FROM}
    return [
        _trained(
            settings,
            DISTORTING,
            {"images_seen": DISTORTING_IMAGES_SEEN},
            draw_settings(number),
            1,
            trained_on,
            RENDERED_FROM,
        )
        for number in range(DISTORTING_NETWORKS)
    ]


def _start_of(settings: Settings, table: Table, noise: str, row: Row, seed: int) -> Model | None:
    if row.starts_from is None:
        return None
    first = next((other for other in table.rows if other.name == row.starts_from), None)
    if first is None or first.starts_from:
        raise UnpairedError(
            f"table {table.number}: row '{row.name}' starts from '{row.starts_from}', which is no "
            "row that starts from nothing itself"
        )
    return plan_model(settings, table, noise, first, seed)


def _plan_pairs(
    settings: Settings, how: PairsFrom, noise: str, sets: TrainSets, seed: int
) -> Pairs:
    trained_on = {
        "noise": noise,
        "noise_draw": "fresh",
        "train_set": sets.noisy,
        "clean_set": sets.clean,
    }
    model = _trained(settings, how.method, how.defaults, how.options, seed, trained_on, sets.noisy)
    spec = {
        "model": model.id,
        "source": sets.clean if how.generation_method == 3 else sets.noisy,
        "generation_method": how.generation_method,
        "seed": seed,
    }
    return Pairs(model, spec)


def _trained(
    settings: Settings,
    method: str,
    defaults: dict[str, Any],
    options: dict[str, Any],
    seed: int,
    trained_on: dict[str, Any],
    data_set: str,
) -> Model:
    """Return a model of which ``options`` are fixed, and ``defaults`` give way to the settings.

    data_set: that the pictures are like those of.
    """
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
    if method in COLORIZERS | METRICS | DISTORTERS:
        set_by_config = {}  # Those are for restorers; ``overrides`` sets what these are at a scale.
    overrides = defaults | {key: value for key, value in set_by_config.items() if value is not None}
    overrides |= settings.overrides.get(method, {})
    channels = get_dataset(data_set, settings).channels
    if channels != 3:
        overrides["channels"] = channels
    spec = {
        "method": method,
        "overrides": overrides | options,
        **trained_on,
        "seed": seed,
        "scale": settings.scale,
        "precision": training.precision,
        "threads": training.threads,
    }
    return Model(method, spec)
