"""A run's data sets: listed ones and a person's own, where each lies, and what is wrong there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from unpaired import catalog
from unpaired.core.errors import UnpairedError, suggest
from unpaired.data.contents import holds_pictures
from unpaired.data.sources import DataSet

if TYPE_CHECKING:
    from unpaired.data.records import Record
    from unpaired.pipeline.settings import Settings

# A training set of the embedded photographs and of one folder: this, then the folder's name.
EMBEDDED_AND = "embedded_train_and_"
MAGIC = {".npy": b"\x93NUMPY"}  # What files of a kind begin with.


def get_dataset(name: str, settings: Settings) -> DataSet:
    """Return a listed data set, one of the user's ``folders``, or ``embedded_train_and_<folder>``.

    Raises UnpairedError if there is no such data set.
    """
    listed = catalog.datasets()
    own = folder_in(name, settings.folders)
    if own in listed:
        raise UnpairedError(f"config: folders.{own}: the name of a listed data set; rename it")
    if name in listed:
        return listed[name]
    if own is None:
        asked = name.removeprefix(EMBEDDED_AND)
        if asked in listed:
            raise UnpairedError(f"config: {name}: '{asked}' is no name in folders")
        near = suggest(asked, [*listed, *settings.folders])
        raise UnpairedError(f"unknown data set '{asked}'{near}")
    if not re.fullmatch(r"[a-z0-9_]+", own):
        raise UnpairedError(
            f"config: folders.{own}: a data set's name may hold a-z, 0-9 and _ only"
        )
    source = "folder:records" if own == name else "embedded:records_with_folder"
    return DataSet(
        name,
        title_of(name, settings.folders),
        f"unpaired.data.sources.{source}",
        folder=settings.folders[own],
        where="your own pictures",
        layout="any tree of PNG, JPEG, TIFF or WebP files",
    )


def folder_in(name: str, folders: Container[str]) -> str | None:
    """Return which of ``folders`` a data set holds, alone or after the embedded photographs."""
    own = name.removeprefix(EMBEDDED_AND)
    return own if own in folders else None


def title_of(name: str, folders: Container[str] = ()) -> str:
    """Return the title of a listed data set or of one of the user's ``folders``, else ``name``."""
    if own := folder_in(name, folders):
        return f"{'' if own == name else 'embedded photographs (train) and '}folder {own}"
    listed = catalog.datasets()
    return listed[name].title if name in listed else name


def folder_of(dataset: DataSet, settings: Settings) -> Path | None:
    """Return where a data set's pictures should lie; None if embedded or without ``data_root``."""
    if dataset.made_in:
        return Path(dataset.folder)
    if dataset.folder is None or (
        settings.data_root is None and dataset.name in catalog.datasets()
    ):
        return None
    return Path(settings.data_root or ".", dataset.folder)


def is_present(dataset: DataSet, settings: Settings) -> bool:
    """Say whether a data set is embedded or made here, or its folder exists."""
    folder = folder_of(dataset, settings)
    if dataset.folder is None or dataset.made_in:
        return True
    return folder is not None and folder.is_dir()


def flaw_of(folder: Path) -> str | None:
    """Say in a few words why nothing can be read from a folder; None if it is fine."""
    if not folder.exists():
        return "does not exist; check its name"
    if not folder.is_dir():
        return "is a file, not a folder; name the folder that holds the pictures"
    if not os.access(folder, os.R_OK | os.X_OK):
        return "cannot be read; change its permissions"
    with os.scandir(folder) as entries:
        if all(entry.name.startswith(".") for entry in entries):
            return "is empty; check its name"
    return None


def require_typed_paths(settings: Settings) -> None:
    """Raise UnpairedError unless every path that the settings name is there and of its kind.

    A data set that nobody pointed at may be absent; what a person typed is either found or a slip.
    """
    named = {"data_root": Path(settings.data_root)} if settings.data_root is not None else {}
    for name in settings.folders:
        named[f"folders.{name}"] = folder_of(get_dataset(name, settings), settings)
    told = [f"{key}: {path} {flaw}" for key, path in named.items() if (flaw := flaw_of(path))]
    told += [
        f"{key}: {path} holds no picture; check its name"
        for key, path in named.items()
        if key != "data_root" and flaw_of(path) is None and not holds_pictures(path)
    ]
    for name, file in settings.files.items():
        if name not in catalog.artifacts():
            told.append(f"files.{name}: no such file is used{suggest(name, catalog.artifacts())}")
        elif flaw := _flaw_of_file(Path(file), Path(catalog.artifacts()[name].path).suffix):
            told.append(f"files.{name}: {file} {flaw}")
    if Path(settings.work_root).exists() and not Path(settings.work_root).is_dir():
        told.append(f"work_root: {settings.work_root} is a file; name a folder")
    if told:
        raise UnpairedError(f"config: {'; '.join(told)}")


def _flaw_of_file(path: Path, suffix: str) -> str | None:
    if not path.exists():
        return "does not exist; check its name"
    if not path.is_file():
        return f"is a folder, not a file; name a {suffix} file"
    if not os.access(path, os.R_OK):
        return "cannot be read; change its permissions"
    magic = MAGIC.get(suffix, b"")
    with open(path, "rb") as file:
        if file.read(len(magic)) != magic:
            return f"is no {suffix} file; check its name"
    return None


def how_to_get(dataset: DataSet, settings: Settings) -> str:
    """Return one line: what is missing, where it is to be had and how its folder must look."""
    folder = folder_of(dataset, settings)
    place = "data_root is not set" if folder is None else f"{folder} {_state(folder)}"
    return f"data set '{dataset.name}': {place}; get {dataset.where}; layout: {dataset.layout}"


def _state(folder: Path) -> str:
    return (flaw_of(folder) or "is there").partition(";")[0]


def open_reader(dataset: DataSet) -> Callable[[Path | None], Iterator[Record]]:
    """Import and return the function that reads a data set."""
    return catalog.load(dataset.reader)
