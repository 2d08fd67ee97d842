"""What a folder holds, as one digest: of the pictures themselves, not of folder times and paths.

Snakemake packs a data set again when this digest changes. It is asked for at every start, so what
was found is kept in a file: only what looks changed by size or times is read again.

* Folders of ordinary pictures count by the names and bytes of their pictures.
* Data sets with readers of their own are published archives, of up to a million files: they count
  by the names of their files, and a folder is listed again only when its own times have changed.
  A file of an archive that is overwritten in place is not noticed.

No torch and no reading of pixels here. Hidden files never count.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unpaired.core.files import atomic_path, reading, sha256_of
from unpaired.imaging.finding import SUFFIXES

if TYPE_CHECKING:
    from unpaired.data.sources import DataSet

# These read folders of ordinary pictures.
FOLDER_READERS = ("unpaired.data.sources.folder", "unpaired.data.sources.embedded")
TOLD_FROM_BYTES = 10**9  # Reading this much takes seconds: say so.

Found = dict[str, list[Any]]  # relative name -> size or none, times in nanoseconds, digest ...


def contents_of(dataset: DataSet, folder: Path, memory: Path, *, look: bool = True) -> str:
    """Return the digest of what ``folder`` holds for ``dataset``.

    memory: JSON file of what was found the last time; rewritten when something changed. look: False
    takes what is kept there without looking at the folder, where there is such a file.
    Raises UnpairedError if something cannot be read.
    """
    known = _known(memory)
    if known is not None and not look:
        return _digest(known)
    find = _pictures if dataset.module in FOLDER_READERS else _names
    with reading(folder):
        found = find(folder, known or {})
    if found != known:
        with atomic_path(memory) as aside:
            aside.write_text(json.dumps(found), encoding="utf-8")
    return _digest(found)


def holds_pictures(folder: Path) -> bool:
    """Say whether there is any file with a picture's suffix in a folder or below it."""
    with reading(folder):
        return any(_picture_files(folder))


def _known(memory: Path) -> Found | None:
    # A damaged file is as good as none: everything is read again.
    with suppress(OSError, ValueError):
        found = json.loads(memory.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return None


def _digest(found: Found) -> str:
    names = json.dumps([(name, about[-1]) for name, about in sorted(found.items())])
    return hashlib.sha256(names.encode()).hexdigest()[:16]


def _entries(folder: Path) -> list[os.DirEntry]:
    with os.scandir(folder) as scanned:
        return [entry for entry in scanned if not entry.name.startswith(".")]


def _picture_files(
    folder: Path, below: str = "", above: frozenset[str] = frozenset()
) -> Iterator[tuple[str, os.DirEntry]]:
    """Yield relative name and entry of every picture; ``above`` stops links that lead back up."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in _entries(folder):
        name = below + entry.name
        if entry.is_dir():
            yield from _picture_files(Path(entry), f"{name}/", above | {real})
        elif entry.name.lower().endswith(SUFFIXES):
            yield name, entry


def _times(status: os.stat_result) -> list[int]:
    # The time of the last change of any kind: a copy may bring an old time of writing with it.
    return [status.st_mtime_ns, status.st_ctime_ns]


def _pictures(folder: Path, known: Found) -> Found:
    """Return every picture with its size, times and digest; unchanged ones are not read."""
    found, changed = {}, {}
    for name, entry in _picture_files(folder):
        status = entry.stat()
        looks = [status.st_size, *_times(status)]
        if name in known and known[name][:-1] == looks:
            found[name] = known[name]
        else:
            changed[name] = looks
    _say_if_long(folder, changed.values())
    return found | {name: [*looks, sha256_of(folder / name)] for name, looks in changed.items()}


def _say_if_long(folder: Path, changed: Iterable[list[int]]) -> None:
    size = sum(looks[0] for looks in changed)
    if size >= TOLD_FROM_BYTES:
        print(
            f"read {size / 1e9:.1f} GB of new or changed pictures in {folder}, once, to know them "
            "by their content",
            file=sys.stderr,
            flush=True,
        )


def _names(folder: Path, known: Found) -> Found:
    """Return every folder with its times, sub-folders and the digest of its names."""
    found: Found = {}

    def visit(path: Path, name: str, above: frozenset[str]) -> None:
        real = os.path.realpath(path)
        if real in above:
            return
        times = _times(os.stat(path))
        found[name] = known[name] if known.get(name, [])[:2] == times else _listed(path, times)
        for sub_folder in found[name][2]:
            visit(path / sub_folder, f"{name}{sub_folder}/", above | {real})

    visit(folder, "", frozenset())
    return found


def _listed(folder: Path, times: list[int]) -> list[Any]:
    entries = _entries(folder)
    names = sorted(entry.name for entry in entries)
    digest = hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()
    return [*times, sorted(entry.name for entry in entries if entry.is_dir()), digest]
