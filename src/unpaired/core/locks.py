"""Locks between processes that the kernel frees, however their holder ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from unpaired.core.errors import UnpairedError, shown
from unpaired.core.files import reason_of

with suppress(ImportError):  # Windows has none.
    import fcntl

WITHOUT_LOCKS = "UNPAIRED_WITHOUT_LOCKS"
WORKERS = Path(".snakemake", "workers.lock")
_NO_LOCKS_HERE = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` between processes; the empty file stays.

    wait: for another process that holds it; else `filelock.Timeout` is raised. On a file system
    without locks nothing is held where the environment sets UNPAIRED_WITHOUT_LOCKS.
    Raises UnpairedError where it does not, or where the file cannot be written.
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=wait)
    except Timeout:
        raise
    except OSError as error:
        _refuse_unless_without_locks(path, error)
    try:
        yield
    finally:
        lock.release()


def _refuse_unless_without_locks(path: Path, error: OSError) -> None:
    if error.errno not in _NO_LOCKS_HERE:
        raise UnpairedError(f"cannot lock {shown(path)}: {reason_of(error) or error}") from error
    if not os.environ.get(WITHOUT_LOCKS):
        raise UnpairedError(
            f"cannot lock {shown(path)}: its file system has no locks; use a folder on another "
            f"disk, or set {WITHOUT_LOCKS}=1 and see to it that one run at a time works here"
        ) from error


@contextmanager
def at_work() -> Iterator[None]:
    """Let later runs in this folder see that this process lives and may be writing results.

    A worker outlives its run where that alone is killed. Nothing is told where Snakemake never ran
    or where there are no such locks. See `nobody_at_work`.
    """
    with ExitStack() as held:
        with suppress(OSError, NameError):
            file = held.enter_context(open(WORKERS, "a+"))
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def nobody_at_work() -> bool:
    """Say whether no process of this folder is `at_work`; False where that cannot be known."""
    with suppress(OSError, NameError), open(WORKERS, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
