"""Places205 by its official lists: a line of train_places205.csv is a path and a class number."""

from __future__ import annotations

from pathlib import Path

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import reading
from unpaired.systems.features.sources.listed import Listed, listed_pictures

LISTS = "trainvalsplit_places205"


def train_records(folder: Path) -> Listed:
    """Return the training pictures below ``folder``; the lists lie in a folder beside it."""
    return _records(folder, "train")


def validation_records(folder: Path) -> Listed:
    """Return the validation pictures as `train_records` does."""
    return _records(folder, "val")


def _records(folder: Path, split: str) -> Listed:
    path = folder.parent / LISTS / f"{split}_places205.csv"
    labels = read_list(path)
    missing = [name for name in labels if not (folder / name).is_file()]
    if missing:
        raise UnpairedError(
            f"{folder}: {len(missing)} pictures of {path} are missing: {list_some(missing, 3)}"
        )
    return listed_pictures(folder, labels)


def read_list(path: Path) -> dict[str, int]:
    """Return picture -> class of a list. Raises UnpairedError for what is no such list."""
    with reading(path):
        lines = path.read_text(encoding="utf-8").splitlines()
    found = {}
    for number, line in enumerate(lines, 1):
        name, _, label = line.strip().rpartition(" ")
        if not name or not label.isdecimal():
            raise UnpairedError(
                f"{path}: line {number} is no path and class number; take the official list"
            )
        found[name] = int(label)
    if not found:
        raise UnpairedError(f"{path}: no pictures in it; take the official list")
    return found
