"""Typed settings. This module and what it imports never load torch: Snakemake parses it often."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from unpaired.core.errors import UnpairedError, one_line, suggest
from unpaired.pipeline.command_line import in_braces


def _as_list(value: object) -> object:
    """Accept ``a,b`` or a single value where a list is meant, as typed after ``--config``."""
    if isinstance(value, str):
        return [item.strip() for item in value.strip("[]").split(",") if item.strip()]
    return [value] if isinstance(value, int) else value


def _unique(values: list) -> list:
    if not values:
        raise ValueError("holds nothing; name one at least, or leave it out")
    if len(set(values)) != len(values):
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


def _as_overrides_on(value: object) -> object:
    if not isinstance(value, dict):
        return {} if value is None else value
    return {data_set: _as_overrides(own) for data_set, own in value.items()}


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
Names = Annotated[
    list[str],
    BeforeValidator(_as_list),
    pydantic.AfterValidator(_unique),
    Field(min_length=1),
]
Seeds = Annotated[
    list[Annotated[int, Field(ge=0)]],
    BeforeValidator(_as_list),
    pydantic.AfterValidator(_unique),
    Field(min_length=1),
]


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

    scale: Literal["demo", "smoke", "overnight", "paper"] = Field(
        "demo", description="Label of the results."
    )
    data_root: TypedPath | None = Field(
        None, description="Folder that holds the data sets' folders."
    )
    folders: dict[str, TypedPath] = Field(
        {}, description="Own data sets: name -> folder of pictures."
    )
    train_set: str | None = Field(
        None, description="What models are trained on; null: each table's own."
    )
    files: dict[str, TypedPath] = Field(
        {}, description="Own files in place of what is made of a data set: name -> file."
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
    overrides_on: Annotated[
        dict[str, dict[str, dict[str, Any]]], BeforeValidator(_as_overrides_on)
    ] = Field(
        {},
        description="Training set -> overrides of what is trained on it, which go before others.",
    )


def canonical_json(value: object) -> str:
    """Return JSON with sorted keys: equal values always have equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def load_settings(paths: list[Path], data_root: str | None) -> Settings:
    """Merge configuration files as Snakemake does (nested keys, later files win) and check them.

    Raises UnpairedError for a file that is missing, is no YAML, or holds no keys.
    """
    config: dict = {}
    for path in paths:
        _merge(config, _read_configuration(path.expanduser()))
    if data_root is not None:
        config["data_root"] = data_root
    return parse_settings(config)


def _read_configuration(path: Path) -> dict:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnpairedError(
            f"{path}: no such file; run this in the project's folder, or name a file with --config"
        ) from None
    except IsADirectoryError:
        raise UnpairedError(f"{path}: a folder; --config takes a file") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        text = one_line(error)
        raise UnpairedError(f"{path}: not a readable configuration: {text}") from None
    if not isinstance(loaded, dict | None):
        raise UnpairedError(f"{path}: not a configuration: it should hold lines like `seeds: [1]`")
    return loaded or {}


def _merge(config: dict, extra: dict) -> None:
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        else:
            config[key] = value


def parse_settings(config: dict[str, Any]) -> Settings:
    """Check a configuration; raises UnpairedError naming every bad key, in one line."""
    return validate(Settings, _with_nulls(dict(config)), "config")


def _with_nulls(value: object) -> Any:
    """Take the text "null" for null: that is how it arrives when typed after ``--config``."""
    if isinstance(value, dict):
        return {key: _with_nulls(item) for key, item in value.items()}
    return None if value == "null" else value


def validate(model: type[Typed], content: object, where: str):
    """Check plain data; raises UnpairedError naming every bad key, in one line."""
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
    key = str(location[-1])
    if key.partition(".")[0] in model.model_fields:
        return f"unknown key '{name}'; write {in_braces(key, problem['input'])}"
    return f"unknown key '{name}'{suggest(key, model.model_fields)}"
