"""A table of a paper as its file describes it. No PyTorch: Snakemake reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml
from pydantic import Field

from unpaired.core.errors import UnpairedError, one_line
from unpaired.pipeline.settings import Typed, validate

# The same language, read ten times as fast; PyYAML has it where it was built with libyaml.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class TrainSets(Typed):
    """A table's own training sets, by what they hold; ``noisy`` and ``clean`` share no scene."""

    pairs: str
    noisy: str | None = None
    clean: str | None = None

    def __getitem__(self, kind: str) -> str | None:
        return getattr(self, kind)


class TrainSetsByScale(Typed):
    """The training sets of the paper's protocol, and those of the smaller scales."""

    paper: TrainSets
    demo: TrainSets

    def at(self, scale: str) -> TrainSets:
        """Return the sets of a scale."""
        return self.paper if scale == "paper" else self.demo


class PairsFrom(Typed):
    """Where a row's training pairs come from: a degradation learned from unpaired sets.

    options, defaults: as for a row, of the degradation method. source: the pictures that pairs are
    made of. how: the method's own ways to make them.
    """

    method: str
    options: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    source: Literal["noisy", "clean"] = "clean"
    how: dict[str, Any] = {}


class Row(Typed):
    """One row of a table: a method with its options. A bare name means the method of that name.

    A name may stand twice, for different noises with different options.

    options: fields of the method's ``Config``. An option left out, rather than given the value it
        has anyway, lets tables share a model.
    defaults: such fields too, which the settings of a run replace: the paper's training.
    noises, testsets, train_sets: in place of the table's.
    starts_from: row of the same table whose model its training starts from. needs: rows or models
        of the same table that its method is given, by their role.
    train_on: which of the training sets. train_noise: noise to train on, if another than
        the one that is scored. pairs_from: train on synthesized pairs instead.
    read_out: which of the method's ways to restore; rows that differ in it alone share a model.
    only_at: scale at which the row is run, "demo" being all but the paper's; at others it is
        printed only.
    weights: imported weights instead of a training, a path with ``{noise}`` in it; without the file
        there is no such row.
    setting, printed_as: what the paper's numbers call the noise, with ``{noise}`` in it, and the
        method; the row's name if not given.
    """

    name: str
    method: str
    noise_draw: Literal["fresh", "fixed"] = "fresh"
    noises: list[str] | None = None
    testsets: list[str] | None = None
    options: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    train_sets: TrainSetsByScale | None = None
    train_on: Literal["pairs", "noisy", "clean"] = "pairs"
    train_noise: str | None = None
    pairs_from: PairsFrom | None = None
    starts_from: str | None = None
    needs: dict[str, str] = {}
    read_out: str | None = None
    weights: str | None = None
    only_at: Literal["paper", "demo"] | None = None
    setting: str = "{noise}"
    printed_as: str | None = None
    note: str = ""

    @pydantic.field_validator("setting", "weights")
    @classmethod
    def _with_the_noise_alone(cls, text: str | None) -> str | None:
        try:
            (text or "").format(noise="")
        except (KeyError, IndexError, ValueError, AttributeError):
            raise ValueError("holds braces; {noise} alone may stand in braces") from None
        return text


class Correlation(Typed):
    """How two metrics agree over some rows of a table, each a mean over test sets.

    over: the method of these rows. setting, method, dataset: what the paper's numbers call it.
    of: metric -> its test sets.
    """

    setting: str
    method: str
    dataset: str
    over: str
    of: dict[str, list[str]] = Field(min_length=2, max_length=2)


class Table(Typed):
    """A table of a paper: which rows, noises and test sets, and where the printed values are.

    source: which table of which paper, in a few words: "Neighbor2Neighbor, Table 1".
    task: what its products do, and so how they are scored. metrics: what stands in its cells, in
        this order. scored_with: models that the scoring works with, by what they are to it.
    noises_of_paper: what is run at the paper's scale, where ``noises`` are only those of the others
        unless the settings name more.
    models: trained for others' sake, without a row.
    train_sets: what its rows are trained on. takes_train_set: whether any pictures will do, so that
        a ``train_set`` of the settings comes in their place; else such settings refuse the table.
    defaults: those of all its trained rows.
    """

    number: int = Field(gt=0)
    title: str
    source: str
    paper: str
    paper_numbers: str
    noises: list[str]
    noises_of_paper: list[str] | None = None
    testsets: list[str]
    rows: list[Row]
    models: list[Row] = []
    task: str = "restore"
    metrics: list[str] = ["psnr_db", "ssim"]
    metrics_of: dict[str, list[str]] = {}
    correlations: list[Correlation] = []
    scored_with: dict[str, str] = {}
    train_sets: TrainSetsByScale | None = None
    takes_train_set: bool = False
    defaults: dict[str, Any] = {}
    pictures: bool = False

    @property
    def name(self) -> str:
        """Its number, and what it is in the paper: "Table 19 (thesis, Table 6.5)"."""
        return f"Table {self.number} ({self.source})"

    def metrics_at(self, testset: str) -> list[str]:
        """Return what is measured on a test set."""
        return self.metrics_of.get(testset, self.metrics)

    @property
    def all_metrics(self) -> list[str]:
        """What is measured on any test set, and over the rows."""
        of_sets = (metric for metrics in self.metrics_of.values() for metric in metrics)
        own = ["correlation"] if self.correlations else []
        return list(dict.fromkeys([*self.metrics, *of_sets, *own]))

    def noises_at(self, scale: str) -> list[str]:
        """Return noises of the table and of single rows that are run at a scale."""
        own = (self.noises_of_paper if scale == "paper" else None) or self.noises
        of_rows = (noise for row in self.rows for noise in row.noises or ())
        return list(dict.fromkeys([*own, *of_rows]))

    @property
    def all_noises(self) -> list[str]:
        """Noises of the table and of single rows, at any scale."""
        return list(dict.fromkeys([*(self.noises_of_paper or ()), *self.noises_at("demo")]))

    def has(self, row: Row, noise: str) -> bool:
        """Say whether a noise is one of a row's."""
        return noise in (row.noises or self._of_all_rows)

    @property
    def _of_all_rows(self) -> list[str]:
        return list(dict.fromkeys([*(self.noises_of_paper or ()), *self.noises]))

    @property
    def all_testsets(self) -> list[str]:
        """Test sets of the table and of single rows."""
        of_rows = (testset for row in self.rows for testset in row.testsets or ())
        return list(dict.fromkeys([*self.testsets, *of_rows]))

    @pydantic.field_validator("rows", "models", mode="before")
    @classmethod
    def _expand_rows(cls, rows: object) -> object:
        if not isinstance(rows, list):
            return rows
        return [_expand_row(row) for row in rows]

    @pydantic.model_validator(mode="after")
    def _sets_for_every_row(self) -> Table:
        for row in [*self.rows, *self.models]:
            own = row.train_sets or self.train_sets
            kinds = {"noisy", "clean"} if row.pairs_from else {row.train_on}
            if own is None and kinds != {"pairs"}:
                raise ValueError(f"row '{row.name}' needs train_sets with {', '.join(kinds)}")
            missing = [k for k in kinds if own and None in (own.paper[k], own.demo[k])]
            if missing:
                raise ValueError(f"row '{row.name}' needs train_sets with {', '.join(missing)}")
        return self

    @pydantic.model_validator(mode="after")
    def _one_row_per_name_and_noise(self) -> Table:
        seen = set()
        for row in self.rows:
            for noise in row.noises or self._of_all_rows:
                if (row.name, noise) in seen:
                    raise ValueError(f"row '{row.name}' stands twice for noise '{noise}'")
                seen.add((row.name, noise))
        return self


def _expand_row(row: object) -> object:
    if isinstance(row, str):
        return {"name": row, "method": row}
    if isinstance(row, dict) and len(row) == 1:
        ((name, details),) = row.items()
        return {"name": name, "method": name} | (details or {})
    return row


def load_table(path: Path) -> Table:
    """Read a table's YAML; raises UnpairedError if it is missing or wrong."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _YAML_LOADER)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UnpairedError(f"{path}: not a readable table: {one_line(error)}") from None
    return validate(Table, content, str(path))


def load_tables(folder: Path, number: int | None = None) -> list[Table]:
    """Read a folder's tables by number, or the one of that number.

    Raises UnpairedError for a folder without tables, and for a number that none of them has.
    """
    tables = [load_table(path) for path in folder.glob("table*.yaml")]
    tables.sort(key=lambda table: table.number)
    if not tables:
        raise UnpairedError(f"{folder}: no tables here; run this in the project's folder")
    chosen = [table for table in tables if number in (None, table.number)]
    if not chosen:
        known = ", ".join(str(table.number) for table in tables)
        raise UnpairedError(f"there is no table {number}; there are: {known}")
    return chosen


def parse_table(content: dict[str, Any]) -> Table:
    """Check a table given as plain data (what ``Table.model_dump`` returns)."""
    return validate(Table, content, "table")
