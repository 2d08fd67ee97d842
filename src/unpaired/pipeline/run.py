"""A run as its rules see it: files by what they are, for the shared rules and those of systems.

No PyTorch, and tested without Snakemake.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from unpaired import catalog
from unpaired.catalog.system import Files, Stage
from unpaired.core.errors import UnpairedError
from unpaired.core.files import sha256_of
from unpaired.data.sources import DataSet
from unpaired.pipeline.datasets import get_dataset, is_present
from unpaired.pipeline.models import Budget, Cell, Model, Pairs, Score, TablePlan
from unpaired.pipeline.settings import Settings
from unpaired.pipeline.specs import data_models, data_models_of


@dataclass(frozen=True)
class Run:
    """All tables that the settings allow.

    plans, refusals: by number of a table; why there is no plan.
    """

    settings: Settings
    plans: Mapping[int, TablePlan]
    refusals: Mapping[int, UnpairedError]

    @cached_property
    def data_models(self) -> list[Model]:
        """The models whose outputs are data sets of this run, each once."""
        made = [model for plan in self.plans.values() for model in data_models_of(plan)]
        return list({model.id: model for model in made}.values())

    def data_models_of(self, folder: str) -> list[Model]:
        """Return the models that make the data sets in ``folder``; none if nobody needs them."""
        wanted = any(folder in plan.made_in for plan in self.plans.values())
        return data_models(self.settings)[folder] if wanted else []

    @cached_property
    def models(self) -> dict[str, Model]:
        """Every model by its id."""
        planned = [m for plan in self.plans.values() for m in [*plan.models, *plan.trainings]]
        return {model.id: model for model in [*planned, *self.data_models]}

    @cached_property
    def waiting(self) -> Counter[str]:
        """How many models are trained after every other, because they are given it, by its id."""
        lineages = ({one.id for one in model.lineage[:-1]} for model in self.models.values())
        return Counter(before for lineage in lineages for before in lineage)

    @cached_property
    def pairs(self) -> dict[str, Pairs]:
        """Every set of synthesized pairs by its id."""
        return {model.pairs.id: model.pairs for model in self.models.values() if model.pairs}

    @cached_property
    def budgets(self) -> dict[str, Budget]:
        """Every budget of a paper that can be measured, by its id."""
        return {one.id: one for plan in self.plans.values() for one in plan.budgets}

    @cached_property
    def scores(self) -> dict[str, Score]:
        """Every score file by its path without suffix."""
        return {score.stem: score for plan in self.plans.values() for score in plan.scores}

    @cached_property
    def imported_weights(self) -> list[str]:
        """The files of weights that no rule makes."""
        scored = [
            model
            for score in self.scores.values()
            for model in (score.model, *(other for _, other in score.inputs))
        ]
        given = [one for model in scored for one in model.lineage if not one.is_trained]
        return list(dict.fromkeys(model.file for model in given if model.file))

    def first_cells(self, table: int) -> list[Cell]:
        """Return the scored cells of a table's first test set that is there."""
        plan = self.plans.get(table)
        cells = [cell for cell in plan.cells if cell.scores] if plan else []
        return [cell for cell in cells if cell.testset == cells[0].testset]

    @staticmethod
    def score_files(cells: Iterable[Cell]) -> dict[str, list[str]]:
        """Return the tables and the records of cells' scores, in their order."""
        stems = [score.stem for cell in cells for score in cell.scores]
        return {
            "scores": [f"{stem}.csv" for stem in stems],
            "records": [f"{stem}.json" for stem in stems],
        }

    @property
    def is_part(self) -> bool:
        """Whether tables, or parts of them, are left out."""
        return bool(self.refusals) or any(plan.is_part for plan in self.plans.values())

    @cached_property
    def digests(self) -> dict[str, str]:
        """The identity of every file that the settings put in an artifact's place."""
        return {name: sha256_of(file) for name, file in self.settings.files.items()}

    def pack(self, data_set: str) -> str:
        """Return the file of a data set's pack."""
        return f"results/packs/{data_set}.h5"

    def receipt(self, data_set: str) -> str:
        """Return the file that stands for a pack in the DAG; see `packing`."""
        return f"results/data_sets/{data_set}.json"

    def packs_among(self, files: Files) -> list[str]:
        """Return the data sets whose packs are among a rule's files."""
        return [name for paths in files.values() for name in map(_packed, _listed(paths)) if name]

    def in_dag(self, files: Files) -> Files:
        """Return a rule's files with receipts in place of packs."""
        return {
            key: [self.receipt(_packed(path)) if _packed(path) else path for path in _listed(paths)]
            for key, paths in files.items()
        }

    def split(self, train_set: str, test_set: str) -> str:
        """Return the file that proves that two sets share no picture."""
        return f"results/data_sets/disjoint/{train_set}-{test_set}.txt"

    def artifact(self, name: str, data_set: str) -> str:
        """Return the file of an artifact: the settings' own, or the one made of a data set."""
        made = catalog.artifacts()[name].path.format(dataset=data_set)
        return self.settings.files.get(name, made)

    def artifacts(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return the artifacts that rules make, as input of one, by name.

        wanted: name -> data set. Those of the settings are known by their digest, not by place and
        time.
        """
        made = {name: one for name, one in wanted.items() if name not in self.settings.files}
        return {name: self.artifact(name, data_set) for name, data_set in made.items()}

    def artifact_options(self, wanted: Mapping[str, str]) -> list[str]:
        """Return artifacts as arguments of a command line."""
        return [f"--artifact={name}={self.artifact(name, one)}" for name, one in wanted.items()]

    def part_of(self, stage: Stage) -> str:
        """Return what stands in the names of a stage's files: ".part" for parts of its tables."""
        plans = [self.plans[number] for number in stage.tables if number in self.plans]
        return ".part" if any(plan.is_part for plan in plans) else ""

    def files_of(self, stage: Stage) -> Files | None:
        """Return a stage's input files; None where these settings have none."""
        if any(number not in self.plans for number in stage.tables) or self.absent_of(stage):
            return None
        return stage.inputs(self)

    def absent_of(self, stage: Stage) -> list[DataSet]:
        """Return the data sets that a stage declares and that are not there."""
        declared = [get_dataset(name, self.settings) for name in stage.data_sets]
        return [one for one in declared if not is_present(one, self.settings)]

    def stage_targets(self) -> list[str]:
        """Return what systems' own rules make, as far as it is asked for with everything."""
        return [
            output.path.format(part=self.part_of(stage))
            for stage in catalog.stages().values()
            if stage.is_target and self.files_of(stage) is not None
            for output in stage.outputs.values()
        ]


def _listed(paths: str | list[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)


def _packed(path: str) -> str | None:
    """Return the data set that a file is the pack of; None if it is none."""
    found = re.fullmatch(r"results/packs/(\w+)\.h5", path)
    return found[1] if found else None


def as_arguments(values: Mapping[str, Any]) -> list[str]:
    """Return ``--key value ...`` for a command line, in the order given."""
    words = []
    for key, value in values.items():
        words += [f"--{key.replace('_', '-')}", *map(str, _listed(value))]
    return words
