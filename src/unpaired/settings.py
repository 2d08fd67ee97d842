"""Typed settings. This module and what it imports never load torch: Snakemake parses it often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from unpaired.errors import UnpairedError, suggest


def _as_list(value: object) -> object:
    """Accept ``a,b`` or a single value where a list is meant, as typed after ``--config``."""
    if isinstance(value, str):
        return [item.strip() for item in value.strip("[]").split(",") if item.strip()]
    return [value] if isinstance(value, int) else value


def _unique(values: list | None) -> list | None:
    if values is not None and len(set(values)) != len(values):
        raise ValueError("holds the same entry twice")
    return values


def _as_overrides(value: object) -> object:
    """Accept null, and texts for numbers: after ``--config`` all that is nested arrives as text."""
    if not isinstance(value, dict):
        return {} if value is None else value
    return {
        method: {key: yaml.safe_load(v) if isinstance(v, str) else v for key, v in own.items()}
        if isinstance(own, dict)
        else own
        for method, own in value.items()
    }


def _as_path(value: object) -> object:
    """Expand ``~`` and ``~user``, and refuse what is no name of a file or folder."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise ValueError("an empty path; name a file or folder, or leave it out")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("holds a line break or another control character; rename it")
    try:
        return str(Path(value).expanduser())
    except RuntimeError:
        raise ValueError(
            f"there is no user {value.split('/')[0]}; write the path in full"
        ) from None


# A path that a person types.
TypedPath = Annotated[str, BeforeValidator(_as_path)]
Names = Annotated[list[str], BeforeValidator(_as_list), pydantic.AfterValidator(_unique)]
Seeds = Annotated[
    list[Annotated[int, Field(ge=0)]],
    BeforeValidator(_as_list),
    pydantic.AfterValidator(_unique),
    Field(min_length=1),
]
# The same language, read ten times as fast; PyYAML has it where it was built with libyaml.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Typed(BaseModel):
    """Unknown keys are errors, values are checked, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Training(Typed):
    """How long and how models are trained. ``null`` means: the method's own value, the paper's."""

    images_seen: int | None = Field(None, gt=0, description="Length of a training, in images.")
    batch_size: int | None = Field(None, gt=0, description="Images per optimizer step.")
    patch_px: int | None = Field(None, gt=0, multiple_of=64, description="Side of a crop, pixels.")
    learning_rate: float | None = Field(None, gt=0, description="Of the optimizer at its peak.")
    schedule: (
        Literal["halve_every_fifth", "tenth_every_sixth", "cosine_ramps", "warmup_cosine"] | None
    ) = Field(None, description="Learning rate over the fraction of training done.")
    beta2: float | None = Field(None, gt=0, lt=1, description="Adam's second-moment decay.")
    precision: Literal["auto", "bf16", "fp32"] = Field(
        "auto", description="auto: bf16 where the processor has it, else fp32."
    )
    threads: int = Field(1, gt=0, description="CPU threads of one training; part of the result.")
    workers: int = Field(0, ge=0, description="Processes that prepare batches; 0: in line.")
    devices: int = Field(1, gt=0, description="GPUs that share every batch, on each machine.")
    nodes: int = Field(1, gt=0, description="Machines that share every batch.")
    checkpoint_seconds: float = Field(60, gt=0, description="Seconds between two checkpoints.")


class Network(Typed):
    """Size of the networks. ``null`` means: the method's own value, the paper's."""

    width: int | None = Field(None, gt=0, description="Feature channels.")
    global_residual: bool | None = Field(
        None, description="Let the network predict a correction of its input."
    )


class Evaluation(Typed):
    """How models are scored."""

    crop_px: int | None = Field(
        None, gt=0, description="Score center crops of this side; null: whole images."
    )
    repeats: int | None = Field(
        None, gt=0, description="Noise draws per image; null: the paper's number for the test set."
    )


class Settings(Typed):
    """Everything a run can be told; see config/README.md for what each key changes."""

    scale: Literal["demo", "smoke", "paper"] = Field("demo", description="Label of the results.")
    data_root: TypedPath | None = Field(
        None, description="Folder that holds the data sets' folders."
    )
    folders: dict[str, TypedPath] = Field(
        {}, description="Own data sets: name -> folder of pictures."
    )
    train_set: str = Field("embedded_train", description="What models are trained on.")
    colour_prior: TypedPath | None = Field(
        None, description="Color prior (.npy) to use; null: that of the data set itself."
    )
    methods: Names | None = Field(None, description="Rows to run; null: all of a table.")
    testsets: Names | None = Field(None, description="Test sets to run; null: all of a table.")
    noises: Names | None = Field(None, description="Noises to run; null: all of a table.")
    seeds: Seeds = Field([1], description="One model is trained per seed.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where to train.")
    work_root: TypedPath = Field("results/work", description="Folder of checkpoints in progress.")
    training: Training = Training()
    network: Network = Network()
    evaluation: Evaluation = Evaluation()
    overrides: Annotated[dict[str, dict[str, Any]], BeforeValidator(_as_overrides)] = Field(
        {}, description="Method -> settings of its own that replace those of training and network."
    )


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

    options, defaults: as for a row, of the degradation method. generation_method: of LUD-VAE
    (Figure 3): 2 makes clean pictures of noisy ones, 3 noisy pictures of clean ones.
    """

    method: str
    options: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    generation_method: Literal[2, 3] = 3


class Row(Typed):
    """One row of a table: a method with its options. A bare name means the method of that name.

    A name may stand twice, for different noises with different options.

    options: fields of the method's ``Config``. An option left out, rather than given the value it
        has anyway, lets tables share a model.
    defaults: such fields too, which the settings of a run replace: the paper's training.
    noises, testsets, train_sets: in place of the table's.
    starts_from: row of the same table whose model its training starts from.
    train_on: which of the training sets. train_noise: noise to train on, if another than
        the one that is scored. pairs_from: train on synthesized pairs instead.
    read_out: which of the method's ways to restore; rows that differ in it alone share a model.
    only_at: scale at which the row is run; at others it is printed only.
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
    read_out: str | None = None
    weights: str | None = None
    only_at: Literal["paper"] | None = None
    setting: str = "{noise}"
    printed_as: str | None = None
    note: str = ""


class Correlation(Typed):
    """How two metrics agree over the networks of a table, each a mean over test sets.

    setting, method, dataset: what the paper's numbers call it. of: metric -> its test sets.
    """

    setting: str
    method: str
    dataset: str
    of: dict[str, list[str]] = Field(min_length=2, max_length=2)


class Table(Typed):
    """A table of a paper: which rows, noises and test sets, and where the printed values are.

    source: which table of which paper, in a few words: "Neighbor2Neighbor, Table 1".
    task: what its products do, and so how they are scored (see tasks.py). metrics: what stands in
        its cells, in this order (see tables.py).
    train_sets: what its rows are trained on, in place of the settings' ``train_set``.
    defaults: those of all its trained rows.
    """

    number: int = Field(gt=0)
    title: str
    source: str
    paper: str
    paper_numbers: str
    noises: list[str]
    testsets: list[str]
    rows: list[Row]
    task: Literal["restore", "colorize", "judge"] = "restore"
    metrics: list[str] = ["psnr_db", "ssim"]
    metrics_of: dict[str, list[str]] = {}
    correlations: list[Correlation] = []
    train_sets: TrainSetsByScale | None = None
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

    @property
    def all_noises(self) -> list[str]:
        """Noises of the table and of single rows."""
        of_rows = (noise for row in self.rows for noise in row.noises or ())
        return list(dict.fromkeys([*self.noises, *of_rows]))

    @property
    def all_testsets(self) -> list[str]:
        """Test sets of the table and of single rows."""
        of_rows = (testset for row in self.rows for testset in row.testsets or ())
        return list(dict.fromkeys([*self.testsets, *of_rows]))

    @pydantic.field_validator("rows", mode="before")
    @classmethod
    def _expand_rows(cls, rows: object) -> object:
        if not isinstance(rows, list):
            return rows
        return [_expand_row(row) for row in rows]

    @pydantic.model_validator(mode="after")
    def _sets_for_every_row(self) -> Table:
        for row in self.rows:
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
            for noise in row.noises or self.noises:
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


def canonical_json(value: object) -> str:
    """Return JSON with sorted keys: equal values always have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def parse_settings(config: dict[str, Any]) -> Settings:
    """Check a configuration; raises UnpairedError naming every bad key, in one line."""
    return _validate(Settings, _with_nulls(dict(config)), "config")


def _with_nulls(value: object) -> Any:
    """Take the text "null" for null: that is how it arrives when typed after ``--config``."""
    if isinstance(value, dict):
        return {key: _with_nulls(item) for key, item in value.items()}
    return None if value == "null" else value


def load_table(path: Path) -> Table:
    """Read a table's YAML; raises UnpairedError if it is missing or wrong."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _YAML_LOADER)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UnpairedError(
            f"{path}: not a readable table: {' '.join(str(error).split())}"
        ) from None
    return _validate(Table, content, str(path))


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
    return _validate(Table, content, "table")


def _validate(model: type[Typed], content: object, where: str):
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        told = [_tell(model, problem) for problem in error.errors()]
        raise UnpairedError(f"{where}: {'; '.join(told)}") from None


def _tell(model: type[Typed], problem: Any) -> str:
    location = problem["loc"]
    name = ".".join(str(part) for part in location)
    if problem["type"] != "extra_forbidden":
        return f"{name}: {problem['msg']} (got {problem['input']!r})"
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation if isinstance(part, str) else None
        if isinstance(annotation, type) and issubclass(annotation, Typed):
            model = annotation
    return f"unknown key '{name}'{suggest(str(location[-1]), model.model_fields)}"
