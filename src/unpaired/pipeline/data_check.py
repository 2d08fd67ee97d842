"""``unpaired data check``: what is found, what is missing, and where it is to be had.

Nothing heavy is imported here: ``unpaired status`` takes the settings from here and counts nothing.
"""

from __future__ import annotations

from pathlib import Path

from unpaired import catalog
from unpaired.core.errors import UnpairedError, counted
from unpaired.data.sources import DataSet
from unpaired.pipeline.datasets import (
    folder_in,
    folder_of,
    get_dataset,
    how_to_get,
    is_present,
    open_reader,
)
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import Settings
from unpaired.pipeline.specs import EMBEDDED_SET
from unpaired.pipeline.table import Table, load_tables


def describe(settings: Settings, tables_folder: Path, number: int | None = None) -> str:
    """Return one line per data set: those of the settings and the tables, then all others.

    With a ``number``, only those that this table needs with these settings. Raises UnpairedError
    for a number that no table has.
    """
    tables = load_tables(tables_folder, number)
    if number is None:
        names = [settings.train_set or EMBEDDED_SET, *settings.folders, *(settings.testsets or [])]
        names += [testset for table in tables for testset in table.testsets]
        names += catalog.datasets()
    else:
        names = _needed(tables[0], settings)
    datasets = [get_dataset(name, settings) for name in dict.fromkeys(names)]
    return "\n".join(_line(dataset, settings) for dataset in datasets)


def _needed(table: Table, settings: Settings) -> list[str]:
    """Return the data sets that a table learns from and is scored on."""
    plan = plan_table(table, settings, assume_data=True)
    learned_from = [name for model in plan.models for name in model.data_sets]
    return [*learned_from, *(cell.testset for cell in plan.cells)]


def _line(dataset: DataSet, settings: Settings) -> str:
    if not is_present(dataset, settings):
        return f"missing  {how_to_get(dataset, settings)}"
    if dataset.folder is None:
        where = dataset.where or "inside installed packages"
        return f"found    {dataset.name}: {counted(dataset.pictures, 'picture')} ({where})"
    if dataset.made_in and not Path(dataset.folder).is_dir():
        return f"found    {dataset.name}: made by the workflow ({dataset.where})"
    folder = folder_of(dataset, settings)
    try:
        count = _count(dataset, folder, settings)
    except (UnpairedError, OSError) as error:
        return f"bad      {dataset.name}: {error}"
    expected = dataset.pictures
    short = f", but the protocol has {expected}" if expected and count < expected else ""
    return f"found    {dataset.name}: {counted(count, 'picture')} in {folder}{short}"


def _count(dataset: DataSet, folder: Path, settings: Settings) -> int:
    from unpaired.data.records import Source
    from unpaired.data.sources.embedded import TRAIN
    from unpaired.imaging.finding import find_pictures

    records = open_reader(dataset)(folder)
    if isinstance(records, Source):
        return records.count()
    own = folder_in(dataset.name, settings.folders)
    embedded = len(TRAIN) if own not in (None, dataset.name) else 0
    return embedded + len(find_pictures([folder]))
