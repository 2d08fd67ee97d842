"""Where results go, decided and checked before anything is computed.

A folder that results were written to holds a hidden list of them (``.unpaired-output``), so that a
later run on a folder above it does not take results for inputs.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from unpaired.core.errors import UnpairedError, counted, list_some, shown
from unpaired.core.files import atomic_path
from unpaired.imaging.finding import SUFFIXES, TIFF_SUFFIXES, survey

MARKER = ".unpaired-output"


class LeftOut(NamedTuple):
    """What lies below the inputs and is not taken. count: of the pictures in it."""

    path: Path
    reason: str
    count: int


def found_and_skipped(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Return the pictures as `find_pictures` does, and lines on what is passed over, and why."""
    found, skipped = survey(paths)
    return found, told(LeftOut(path, reason, 1) for path, reason in skipped.items())


def find_and_tell(paths: Iterable[Path]) -> list[Path]:
    """Return the pictures as `find_pictures` does; print what is passed over, and why."""
    found, skipped = found_and_skipped(paths)
    for line in skipped:
        print(line, flush=True)
    return found


def told(left_out: Iterable[LeftOut]) -> list[str]:
    """Name what was left out in a line for every reason, long lists shortened."""
    paths: dict[str, list[str]] = {}
    for path, reason, _ in left_out:
        paths.setdefault(reason, []).append(shown(path))
    return [f"skipped {list_some(names, 5)}: {reason}" for reason, names in paths.items()]


@contextmanager
def naming(*paths: Path) -> Iterator[None]:
    """Put the names of files before what is wrong with them, unless it names one itself."""
    try:
        yield
    except UnpairedError as error:
        if any(shown(path) in str(error) for path in paths):
            raise
        raise UnpairedError(f"{' and '.join(map(shown, paths))}: {error}") from None


class Notes:
    """What is to be said of pictures, every text once."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, path: Path, *texts: str) -> None:
        """Note what is to be said of a picture."""
        for text in texts:
            self._names.setdefault(text, []).append(shown(path.name))

    def lines(self) -> list[str]:
        """Return a line for every text, with the first of the pictures that it is about."""
        return [
            f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {text}"
            for text, names in self._names.items()
        ]


@dataclass(frozen=True)
class Outputs:
    """Where every picture goes.

    targets: picture -> file to write. folder: what else is written belongs there. is_file: the
    person named one file instead of a folder. left_out: for the caller to print.
    """

    targets: dict[Path, Path]
    folder: Path
    is_file: bool
    left_out: tuple[LeftOut, ...]

    def mark(self, command: str) -> None:
        """List the results in the output folder; call it before the first of them is written.

        A folder of a single named file is not marked: it may hold anything else. command: the name
        of what writes them.
        """
        if self.is_file:
            return
        names = {target.relative_to(self.folder).as_posix() for target in self.targets.values()}
        names |= {path.relative_to(self.folder).as_posix() for path in results_in(self.folder)}
        with atomic_path(self.folder / MARKER) as aside:
            aside.write_text(json.dumps({"command": command, "files": sorted(names)}, indent=1))


@dataclass(frozen=True)
class Outcome:
    """How every input ended. refused: why, each naming its file. skipped: what was left out."""

    written: list[Path]
    refused: list[str]
    skipped: tuple[LeftOut, ...]

    def summary(self, output: Path) -> str:
        """Return the last line that a person sees, which counts all inputs."""
        skipped = sum(left_out.count for left_out in self.skipped)
        count = len(self.written)
        pictures = f"{count} picture{'' if count == 1 else 's'}"
        return (
            f"{pictures} written to {shown(output)}, {len(self.refused)} refused, {skipped} skipped"
        )


def plan_outputs(inputs: Sequence[Path], output: Path, *, overwrite: bool = False) -> Outputs:
    """Decide where every picture goes; files of a folder keep their place below ``output``.

    output: a folder, or, for a single picture, a file that has a picture's suffix. Left out are
    hidden folders below the inputs, results of earlier runs there, and whatever lies in the output
    folder itself. A file or folder that is named explicitly is always taken.

    Raises UnpairedError, all of a kind at once, if a picture is missing, two would meet, one would
    be its own output, an output is there already and not to be overwritten, or the output cannot
    be written.
    """
    output = Path(output)
    sources, left_out = _sources(inputs, output)
    is_file = output.suffix.lower() in SUFFIXES and not output.is_dir()
    if is_file:
        targets = {_only(sources, output): output}
    else:
        targets = {path: output / relative for path, relative in sources.items()}
    refuse_clashes(targets)
    refuse_existing(targets.values(), overwrite)
    folder = output.parent if is_file else output
    refuse_unwritable([folder, *(target.parent for target in targets.values())])
    return Outputs(targets, folder, is_file, tuple(left_out))


def refuse_clashes(targets: Mapping[Path, Path]) -> None:
    """Raise UnpairedError if two pictures would become one file, or a file is an input."""
    taken: dict[Path, Path] = {}
    clashes = []
    sources = {path.resolve() for path in targets}
    for path, target in targets.items():
        if target.resolve() in sources:
            clashes.append(f"{target} is an input")
        elif target in taken:
            clashes.append(f"{path} and {taken[target]} would both become {target}")
        taken[target] = path
    if clashes:
        raise UnpairedError(f"{list_some(clashes)}; choose another --output folder")


def refuse_existing(paths: Iterable[Path], overwrite: bool, option: str = "--output") -> None:
    """Raise UnpairedError for files that are there already, unless they may be overwritten.

    Where a folder has the name of a file to write, overwriting does not help. option: that names
    the files.
    """
    there = [path for path in paths if os.path.lexists(path)]
    folders = [str(path) for path in there if path.is_dir()]
    if folders:
        raise UnpairedError(f"{list_some(folders)}: a folder, not a file; choose another {option}")
    if there and not overwrite:
        raise UnpairedError(
            f"{list_some(map(str, there))}: there already; choose another {option}, or add "
            "--overwrite"
        )


def refuse_unwritable(folders: Iterable[Path], option: str = "--output") -> None:
    """Raise UnpairedError unless files can be written into every folder, which may not exist yet.

    A temporary file is created and removed in it, or in the nearest folder above that exists.
    option: that names the files.
    """
    checked: dict[Path, Path] = {}
    for folder in folders:
        checked.setdefault(_nearest(folder), folder)
    for nearest, folder in checked.items():
        if not nearest.is_dir():
            raise UnpairedError(
                f"{folder}: {nearest} is a file, not a folder; choose another {option}"
            )
        try:
            with tempfile.NamedTemporaryFile(dir=nearest, prefix=".unpaired-"):
                pass
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UnpairedError(
                f"{folder}: cannot be written ({reason}); choose another {option}"
            ) from None


def check_files(
    *paths: Path | None,
    suffix: str,
    overwrite: bool = False,
    inputs: Iterable[Path | None] = (),
    option: str = "--output",
) -> None:
    """Check files that are to be written later, a table for instance; None is none.

    suffix: that their names must end in. inputs: what is read, which is never overwritten. option:
    that names the files. Raises UnpairedError as `plan_outputs` does, and for another suffix.
    """
    named = [Path(path) for path in paths if path is not None]
    read = {Path(path).resolve() for path in inputs if path is not None}
    for path in named:
        if path.suffix.lower() != suffix and not path.is_dir():
            raise UnpairedError(f"{option} {path}: a {suffix} file is written; name one")
        if path.resolve() in read:
            raise UnpairedError(f"{path} is an input; choose another {option}")
    refuse_existing(named, overwrite, option)
    refuse_unwritable((path.parent for path in named), option)


def results_in(folder: Path) -> list[Path]:
    """Return the files that earlier runs wrote into ``folder``, as its list says; none without one.

    A list that is damaged, or not ours, counts as none.
    """
    try:
        names = json.loads((folder / MARKER).read_text())["files"]
        return [folder / name for name in names if (folder / name).is_file()]
    except (OSError, ValueError, TypeError, KeyError):
        return []


# ---- Inputs -------------------------------------------------------------------------------------


def _sources(inputs: Sequence[Path], output: Path) -> tuple[dict[Path, Path], list[LeftOut]]:
    """Return every picture with its place below the output, and what was left out."""
    sources: dict[Path, Path] = {}
    left_out: list[LeftOut] = []
    seen: set[Path] = set()
    for given in map(Path, inputs):
        found, skipped = survey([given])
        left_out += [LeftOut(path, reason, 1) for path, reason in skipped.items()]
        results = _results_below(given, output, found) if given.is_dir() else {}
        for folder, files in results.items():
            reason = f"{counted(len(files), 'result')} of an earlier run"
            left_out.append(LeftOut(folder, reason, len(files)))
        written = {path for files in results.values() for path in files}
        taken = [path for path in found if path not in written]
        if not taken:
            raise UnpairedError(
                f"{given}: no picture but results of earlier runs; name their folder to take them"
            )
        if given.is_dir():
            left_out += _hidden_folders(given)
            left_out += _other_files(given, output, skipped)
        for path in taken:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                sources[path] = path.relative_to(given) if given.is_dir() else Path(path.name)
    return sources, left_out


def _results_below(given: Path, output: Path, found: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return, per folder below ``given``, those of the pictures found that are earlier results."""
    results: dict[Path, list[Path]] = {}
    listed = {
        result.resolve(): folder
        for folder in {above for path in found for above in path.parents}
        if given in folder.parents
        for result in results_in(folder)
    }
    takes_output = _is_inside(given, output)
    for path in found:
        if not takes_output and _is_inside(path, output):
            results.setdefault(output, []).append(path)
        elif path.resolve() in listed:
            results.setdefault(listed[path.resolve()], []).append(path)
    return results


def _hidden_folders(folder: Path) -> Iterator[LeftOut]:
    """Yield the hidden folders below that hold pictures; links to folders are not followed."""
    for current, names, _ in os.walk(folder):
        for name in sorted(names):
            if name.startswith(".") and (count := _count_pictures(Path(current, name))):
                yield LeftOut(Path(current, name), "a hidden folder", count)
        names[:] = [name for name in names if not name.startswith(".")]


def _other_files(folder: Path, output: Path, skipped: Container[Path]) -> Iterator[LeftOut]:
    """Yield how many files below are no pictures by their names; results' folders have others."""
    count = 0
    for current, folders, names in os.walk(folder):
        place = Path(current)
        if _is_inside(place, output) or (place / MARKER).exists():
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        others = [place / name for name in names if not name.startswith(".")]
        count += sum(p.suffix.lower() not in SUFFIXES and p not in skipped for p in others)
    if count:
        yield LeftOut(folder, f"{counted(count, 'file')} of another kind", count)


def _count_pictures(folder: Path) -> int:
    return sum(
        Path(name).suffix.lower() in SUFFIXES for _, _, names in os.walk(folder) for name in names
    )


# ---- Checks -------------------------------------------------------------------------------------


def _only(sources: dict[Path, Path], output: Path) -> Path:
    """Return the one picture that goes into the file ``output``."""
    if len(sources) > 1:
        raise UnpairedError(
            f"{output}: a file, but there are {len(sources)} pictures; name a folder"
        )
    (path,) = sources
    suffix = output.suffix.lower()
    if suffix != path.suffix.lower() and suffix not in TIFF_SUFFIXES:
        raise UnpairedError(
            f"{output}: what comes from {path.name} is written in its format, or as TIFF; name it "
            f"{output.with_suffix(path.suffix).name} or {output.with_suffix('.tif').name}"
        )
    return path


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _nearest(folder: Path) -> Path:
    """Return the folder itself if it is there, else the nearest one above that is."""
    folder = Path(os.path.abspath(folder))
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))
