"""Names by which a person finds the models of the tables, whose folders are named by a hash.

``results/models/by_name/table10-full`` is a link to the folder of that row's model, and
``--model table10:full`` means its file. A row with several noises has the noise in the name, and
several seeds have theirs: ``table1-neighbor2neighbor-gauss25-seed1``.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from unpaired.core.errors import UnpairedError, list_some

if TYPE_CHECKING:
    from unpaired.pipeline.models import Cell, Model, TablePlan

MODELS = Path("results/models")
BY_NAME = MODELS / "by_name"
FILE = "model.safetensors"
TABLE_NAME = re.compile(r"table\d+(\.part)?:[^/\\]+")
LISTED = 30


def resolve_model(text: str | os.PathLike) -> Path:
    """Return the file of a model that a person named, relative to the working folder.

    text: a file, a folder of the pipeline's that holds one, or TABLE:ROW, where :NOISE and :seedN
    may follow, such as ``table10:full`` or ``table1:n2n:gauss25:seed1``. A path that does not exist
    comes back as it is, for whoever opens it to complain.

    Raises UnpairedError, listing what there is, for a row without a model, and for one with several
    of which none is named.
    """
    path, name = Path(text), os.fspath(text)
    if path.exists() or not TABLE_NAME.fullmatch(name):
        return path / FILE if (path / FILE).is_file() else path
    wanted = name.replace(":", "-")
    names = sorted(entry.name for entry in BY_NAME.iterdir()) if BY_NAME.is_dir() else []
    found = [one for one in names if one == wanted or one.startswith(f"{wanted}-")]
    if wanted in found:
        found = [wanted]
    if len(found) > 1:
        raise UnpairedError(f"{name}: several models; name one of {_as_typed(found)}")
    if not found:
        table = name.partition(":")[0]
        near = [one for one in names if one.startswith(f"{table}-")] or names
        there = f"there are {_as_typed(near)}" if near else _how_to_make(table)
        raise UnpairedError(f"{name}: no such model in {BY_NAME}; {there}")
    (only,) = found
    file = _folder_of(BY_NAME / only) / FILE
    if not file.is_file():
        raise UnpairedError(f"{name}: {file} is gone; make the table again")
    return file


def _how_to_make(table: str) -> str:
    return (
        "no table was made in this folder; if you have cloned the project, this makes one: "
        f"snakemake --cores all results/{table}.csv"
    )


def link_models(plan: TablePlan, root: Path = Path()) -> None:
    """Give the trained models of a table their readable links, and take away stale ones.

    Where links cannot be made, a text file with the folder's relative path takes their place.
    """
    folder = root / BY_NAME
    folder.mkdir(parents=True, exist_ok=True)
    names = {name: Path("..", model.id) for name, model in names_of(plan).items()}
    for entry in folder.iterdir():
        is_stale = entry.name.startswith(f"{plan.name}-") and entry.name not in names
        if is_stale or not _folder_of(entry).is_dir():
            _remove(entry)
    for name, target in names.items():
        entry = folder / name
        if not entry.exists() or _folder_of(entry).resolve() != (folder / target).resolve():
            _remove(entry)
            _link(entry, target)


def _remove(entry: Path) -> None:
    """Remove a link, or the folder that a copy without links has put in its place."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def names_of(plan: TablePlan) -> dict[str, Model]:
    """Return every trained model that a table scores, or that its rows need, by readable names.

    A row that trains nothing and needs one trained model gives it the row's name.
    """
    found = {}
    for cell in plan.cells:
        for score in cell.scores:
            needed = {cell.row.needs[role]: other for role, other in score.model.needs}
            models = {**needed, cell.row.name: score.model}
            trained = {name: model for name, model in models.items() if model.is_trained}
            if len(trained) == 1:
                trained = {cell.row.name: next(iter(trained.values()))}
            for name, model in trained.items():
                found[_name(plan, name, cell, model)] = model
    return found


def _name(plan: TablePlan, name: str, cell: Cell, model: Model) -> str:
    parts = [plan.name, name]
    if len(cell.row.noises or plan.table.noises) > 1 and model.spec["noise"] == cell.noise:
        parts.append(cell.noise)
    if len(plan.settings.seeds) > 1:
        parts.append(f"seed{model.spec['seed']}")
    return "-".join(parts)


def _link(entry: Path, target: Path) -> None:
    try:
        entry.symlink_to(target, target_is_directory=True)
    except OSError:
        entry.write_text(target.as_posix())


def _folder_of(entry: Path) -> Path:
    """Return the folder that a link leads to, or that the text in its place names."""
    return entry.parent / entry.read_text().strip() if entry.is_file() else entry


def _as_typed(names: list[str]) -> str:
    return list_some((name.replace("-", ":") for name in names), LISTED)
