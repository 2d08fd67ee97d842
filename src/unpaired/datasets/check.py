"""``unpaired data check``: what is found, what is missing, and where it is to be had."""

from __future__ import annotations

from pathlib import Path

import yaml

from unpaired.datasets import (
    DATASETS,
    DataSet,
    folder_of,
    get_dataset,
    how_to_get,
    is_present,
    open_reader,
)
from unpaired.errors import UnpairedError
from unpaired.images import find_pictures
from unpaired.packs import Source
from unpaired.settings import Settings, load_table, parse_settings


def load_settings(paths: list[Path], data_root: str | None) -> Settings:
    """Merge configuration files as Snakemake does (nested keys, later files win) and check them."""
    config: dict = {}
    for path in paths:
        try:
            loaded = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            text = " ".join(str(error).split())
            raise UnpairedError(f"{path}: not a readable configuration: {text}") from None
        if not isinstance(loaded, dict):
            raise UnpairedError(f"{path}: not a configuration: keys with values are needed")
        _merge(config, loaded)
    if data_root is not None:
        config["data_root"] = data_root
    return parse_settings(config)


def _merge(config: dict, extra: dict) -> None:
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        else:
            config[key] = value


def describe(settings: Settings, tables_folder: Path) -> str:
    """Return one line per data set: those of the settings and the tables, then all others."""
    names = [settings.train_set, *settings.folders, *(settings.testsets or [])]
    for path in sorted(tables_folder.glob("table*.yaml")):
        names += load_table(path).testsets
    names += DATASETS
    datasets = [get_dataset(name, settings) for name in dict.fromkeys(names)]
    return "\n".join(_line(dataset, settings) for dataset in datasets)


def _line(dataset: DataSet, settings: Settings) -> str:
    if not is_present(dataset, settings):
        return f"missing  {how_to_get(dataset, settings)}"
    if dataset.folder is None:
        where = dataset.where or "inside installed packages"
        return f"found    {dataset.name}: {dataset.pictures} pictures ({where})"
    if dataset.rendered and not Path(dataset.folder).is_dir():
        return f"found    {dataset.name}: made by the workflow ({dataset.where})"
    folder = folder_of(dataset, settings)
    try:
        records = open_reader(dataset)(folder)
        count = records.count() if isinstance(records, Source) else len(find_pictures([folder]))
    except UnpairedError as error:
        return f"bad      {dataset.name}: {error}"
    expected = dataset.pictures
    short = f", but the protocol has {expected}" if expected and count < expected else ""
    return f"found    {dataset.name}: {count} pictures in {folder}{short}"
