"""Files that are either complete or absent."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from unpaired.core.errors import UnpairedError, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file would be larger than the system allows; choose another folder",
    errno.EACCES: "permission denied; change its permissions or use another",
    errno.EPERM: "permission denied; change its permissions or use another",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.ENOENT: "no such file or folder; check its name",
    errno.ENOTDIR: "a part of its path is a file, not a folder; check its name",
    errno.EEXIST: "a part of its path is a file, not a folder; check its name",
    errno.EISDIR: "it is a folder; check its name",
    errno.ELOOP: "its symbolic links form a loop; mend them",
    errno.ENAMETOOLONG: "its name is too long; shorten it",
    errno.EIO: "the disk reports an input/output error; check the disk",
    errno.ESTALE: "the network folder was mounted anew meanwhile; run again",
    errno.EMFILE: "too many files are open; allow more by: ulimit -n 4096",
    errno.ENFILE: "too many files are open on this machine; close some programs",
}
# What `atomic_path` calls its files, and the writer of safetensors those that it renames to them.
_LEFTOVER = re.compile(r"\.[0-9a-f]{16}\.part(\.\w+)?|\.tmp\w{6}")


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it becomes ``path``, complete and synced.

    The temporary name is hidden and keeps the suffix, so writers that choose a format by suffix
    work. Missing parent folders are created. If the body raises, the temporary file is removed and
    whatever stood at ``path`` before stays as it was. The file's permissions are those of the one
    that it replaces, else what the umask asks for, whatever the writer in the body gave it.

    Raises UnpairedError, naming ``path``, where the file system refuses (full, read-only,
    forbidden ...); any other error of the body passes through.
    """
    path = Path(path)
    part = path.with_name(f".{secrets.token_hex(8)}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _mode_for(path, part)
        yield part
        _sync(part)
        if stat.S_IMODE(part.stat().st_mode) != mode:
            with suppress(PermissionError):  # Some network and memory card systems have no modes.
                part.chmod(mode)
        os.replace(part, path)
        _sync(path.parent)
    except Exception as error:
        named = getattr(error, "filename", None)
        about_another_file = named is not None and Path(named) not in (part, path, *path.parents)
        reason = reason_of(error)
        if about_another_file or reason is None:
            raise
        raise UnpairedError(f"cannot write {shown(path)}: {reason}") from error
    finally:
        # Also after KeyboardInterrupt; a folder that refused the file may refuse this as well.
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a folder to be made, which then replaces the one at ``path``.

    If the body raises, what it made is removed. Raises UnpairedError as `atomic_path` does.
    """
    with atomic_path(path) as aside:
        try:
            yield aside
            shutil.rmtree(path, ignore_errors=True)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise


def _mode_for(path: Path, part: Path) -> int:
    """Return the permissions that ``path`` has or, if it is not there, that a new file gets.

    The umask can only be read by setting it, which other threads would notice.
    """
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    part.touch()
    mode = stat.S_IMODE(part.stat().st_mode)
    part.unlink()
    return mode


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing below ``folder``.

    Not while a process may be writing there; see `locks.nobody_at_work`.
    """
    for path in [path for path in folder.rglob(".*") if _LEFTOVER.fullmatch(path.name)]:
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
    """Turn what the file system says against reading ``path`` into an UnpairedError naming it.

    Where the system names a file of its own accord, say inside a folder, that one is named.
    """
    try:
        yield
    except OSError as error:
        reason = reason_of(error)
        if reason is None:
            raise
        raise UnpairedError(f"cannot read {shown(error.filename or path)}: {reason}") from error


def sha256_of(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal; raises UnpairedError if unreadable."""
    with reading(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_of(*paths: Path) -> str:
    """Return sizes and times of files: what changes when they do."""
    states = []
    for path in paths:
        with reading(path):
            states.append(path.stat())
    return " ".join(f"{state.st_size}:{state.st_mtime_ns}" for state in states)


def _sync(path: Path) -> None:
    """Flush a file, or a folder's list of names, to the disk; Windows can do neither from here."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot sync a folder; the files in it are synced all the same.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def reason_of(error: Exception) -> str | None:
    """Say in plain words what the file system objects to; None if the error is another matter."""
    if isinstance(error, UnpairedError):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return _REASONS.get(error.errno)
    # HDF5 and safetensors raise errors of their own, with the system's words inside.
    text = str(error)
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    codes = (*full, errno.EACCES, errno.EROFS, errno.EIO, errno.ESTALE)
    return next((_REASONS[code] for code in codes if os.strerror(code) in text), None)


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a CSV with a header, aside and renamed; the columns are the keys of all rows.

    Names of files that are not UTF-8 appear as `errors.shown` shows them.
    """
    with atomic_path(path) as aside:
        aside.write_text(rows_as_csv(rows), encoding="utf-8", newline="")


def save_figure(figure: Figure, path: Path, dpi: int) -> None:
    """Write a drawing as PNG, aside and renamed."""
    with atomic_path(path) as aside:
        figure.savefig(aside, dpi=dpi, format="png")


def rows_as_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Return what `write_rows` writes."""
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return shown(value) if isinstance(value, (str, Path)) else value
