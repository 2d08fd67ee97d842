"""A run as plain data: models by what defines them, score files, cells, and tables.

No PyTorch here: Snakemake reads this whenever it starts, on every node.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from unpaired import catalog
from unpaired.catalog.system import module_of
from unpaired.pipeline.datasets import get_dataset
from unpaired.pipeline.settings import Settings, canonical_json
from unpaired.pipeline.table import Row, Table


def short_hash(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:10]


def uses_gpu(settings: Settings) -> bool:
    """Say whether jobs will run on a GPU, without loading PyTorch to find out."""
    if settings.device != "auto":
        return settings.device != "cpu"
    return Path("/dev/nvidiactl").exists() or sys.platform == "darwin"


@dataclass(frozen=True)
class Budget:
    """A method at its paper's settings, whose cost on this machine can be measured.

    options: what a table sets of them, beside the method's own.
    """

    method: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    @cached_property
    def id(self) -> str:
        return f"{self.method}-{short_hash(self.options)}" if self.options else self.method

    @property
    def file(self) -> str:
        return f"results/budgets/{self.id}.json"


@dataclass(frozen=True)
class Model:
    """A method with everything that defines what it learns; ``spec`` is plain JSON data.

    A method that restores every image by itself is a model too, without training data, and so are
    imported weights. pairs: the synthesized pairs it is trained on, if it is. start: the model that
    its training starts from. needs: trained models that it is given, by what they are to it.
    papers_options: what its table sets of the paper's training, whatever this run's is.
    """

    method: str
    spec: dict[str, Any] = field(hash=False)
    pairs: Pairs | None = None
    start: Model | None = None
    needs: tuple[tuple[str, Model], ...] = ()
    papers_options: dict[str, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def id(self) -> str:
        return f"{self.method}-{short_hash(self.spec)}"

    @property
    def is_trained(self) -> bool:
        """Whether the pipeline trains it."""
        return catalog.method(self.method).is_trained and "weights" not in self.spec

    @property
    def file(self) -> str | None:
        """Where its weights are; None if it has none."""
        trained = f"results/models/{self.id}/model.safetensors" if self.is_trained else None
        return self.spec.get("weights", trained)

    @property
    def module(self) -> str:
        return catalog.method(self.method).module

    @property
    def pairs_module(self) -> str:
        """The module that makes pairs with it."""
        return module_of(catalog.method(self.method).makes_pairs)

    @property
    def budget(self) -> Budget | None:
        """What it costs at the paper's settings.

        None for weights that others trained, and for a method that cannot take a step without other
        trained models.
        """
        if "weights" in self.spec or catalog.method(self.method).roles:
            return None
        return Budget(self.method, self.papers_options)

    @property
    def lineage(self) -> list[Model]:
        """The models that must be trained before this one, and itself."""
        before = [*((self.pairs.model,) if self.pairs else ()), *self._given]
        return [*(model for first in before for model in first.lineage), self]

    @property
    def _given(self) -> list[Model]:
        """The models whose weights its training is given."""
        return [*((self.start,) if self.start else ()), *(other for _, other in self.needs)]

    @property
    def packs(self) -> list[str]:
        """Names of the packs that it is trained on, or whose pictures it uses untrained."""
        return [value for key, value in self.spec.items() if key.endswith("_set")]

    @property
    def artifacts(self) -> dict[str, str]:
        """What its training is given besides packs: name -> data set that it is made of."""
        if not self.is_trained:
            return {}
        return dict.fromkeys(catalog.method(self.method).artifacts, self.spec["train_set"])

    @property
    def data_sets(self) -> list[str]:
        """The sets whose pictures it has learned from, directly or through synthesized pairs."""
        own = self.pairs.model.packs if self.pairs else self.packs
        given = (name for one in self._given for name in one.data_sets)
        return list(dict.fromkeys([*own, *given]))


@dataclass(frozen=True)
class Pairs:
    """Training pairs that a degradation model makes of the pictures of one of its sets."""

    model: Model
    spec: dict[str, Any] = field(hash=False)

    @cached_property
    def id(self) -> str:
        return f"pairs_{short_hash(self.spec)}"


@dataclass(frozen=True)
class Protocol:
    """How one test set is scored: center crops or whole images, and noise draws per image."""

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
    """One score file: a model on a test set with a noise or under a condition.

    inputs: trained models that the scoring works with, by name.
    """

    model: Model
    protocol: Protocol
    noise: str
    read_out: str | None = None
    task: str = "restore"
    inputs: tuple[tuple[str, Model], ...] = ()

    @cached_property
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

    @cached_property
    def scores(self) -> list[Score]:
        """Every score file that the table reads, each once, in a fixed order."""
        return list({score.stem: score for cell in self.cells for score in cell.scores}.values())

    @cached_property
    def models(self) -> list[Model]:
        """Every model that is scored, each once."""
        return list({score.model.id: score.model for score in self.scores}.values())

    @cached_property
    def trainings(self) -> list[Model]:
        """Every model that is trained, each once, those that others start from before them."""
        scorers = [other for score in self.scores for _, other in score.inputs]
        lineages = {m.id: m for model in [*self.models, *scorers] for m in model.lineage}
        return [model for model in lineages.values() if model.is_trained]

    @property
    def train_sets(self) -> list[str]:
        """The data sets that its models learn from."""
        return list(dict.fromkeys(name for model in self.trainings for name in model.data_sets))

    @property
    def made_in(self) -> set[str]:
        """The folders that rules make, of which its data sets are read."""
        names = [cell.testset for cell in self.cells if cell.scores] + self.train_sets
        folders = {get_dataset(name, self.settings).made_in for name in names}
        return {folder for folder in folders if folder}

    @property
    def budgets(self) -> list[Budget]:
        """The papers' budgets of its models, each once."""
        models = [model for score in self.scores for model in score.model.lineage]
        found = {model.budget.id: model.budget for model in models if model.budget}
        return [found[name] for name in sorted(found)]

    @property
    def measured_budgets(self) -> list[Budget]:
        """Those that are measured, to be told beside what a demo costs."""
        return self.budgets if self.settings.scale == "demo" else []

    @property
    def noises(self) -> list[str]:
        return list(dict.fromkeys(cell.noise for cell in self.cells))
