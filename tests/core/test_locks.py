from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from filelock import Timeout

from unpaired.core import locks
from unpaired.core.errors import UnpairedError
from unpaired.core.locks import WITHOUT_LOCKS, at_work, locked, nobody_at_work

fcntl = pytest.importorskip("fcntl")
SPAWN = multiprocessing.get_context("spawn")


def hold(path, held) -> None:
    with locked(path):
        held.set()
        time.sleep(60)


def test_a_lock_waits_and_is_freed_by_a_kill(tmp_path):
    path, held = tmp_path / "deep" / "a.lock", SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(path, held))
    process.start()
    assert held.wait(30)
    with pytest.raises(Timeout), locked(path, wait=False):
        pass
    os.kill(process.pid, signal.SIGKILL)
    with locked(path):
        pass
    process.join()


def answer(monkeypatch, code: int) -> None:
    """Let the file system answer every wish for a lock so."""

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_line_or_gone_without(tmp_path, monkeypatch, code):
    answer(monkeypatch, code)
    monkeypatch.delenv(WITHOUT_LOCKS, raising=False)
    with pytest.raises(UnpairedError) as caught, locked(tmp_path / "a.lock"):
        pass
    assert f"cannot lock {tmp_path}/a.lock: its file system has no locks" in str(caught.value)
    assert f"set {WITHOUT_LOCKS}=1" in str(caught.value)
    monkeypatch.setenv(WITHOUT_LOCKS, "1")
    with locked(tmp_path / "a.lock"), locked(tmp_path / "a.lock", wait=False):
        pass


def test_another_refusal_is_told_as_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv(WITHOUT_LOCKS, "1")
    answer(monkeypatch, errno.EIO)
    with (
        pytest.raises(UnpairedError, match=r"a\.lock: the disk reports"),
        locked(tmp_path / "a.lock"),
    ):
        pass
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UnpairedError, match="is a file, not a folder"),
        locked(tmp_path / "file" / "a.lock"),
    ):
        pass


def test_with_the_setting_a_lock_that_works_still_holds(tmp_path, monkeypatch):
    monkeypatch.setenv(WITHOUT_LOCKS, "1")
    with (
        locked(tmp_path / "a.lock"),
        pytest.raises(Timeout),
        locked(tmp_path / "a.lock", wait=False),
    ):
        pass


def be_at_work(folder: Path, working) -> None:
    os.chdir(folder)
    with at_work():
        working.set()
        time.sleep(60)


def test_a_living_worker_is_seen_until_it_ends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    assert nobody_at_work()
    working = SPAWN.Event()
    process = SPAWN.Process(target=be_at_work, args=(tmp_path, working))
    process.start()
    assert working.wait(30)
    assert not nobody_at_work()
    with at_work():  # Workers do not wait for each other.
        pass
    process.kill()
    process.join()
    assert nobody_at_work()


def test_where_nothing_can_be_known_somebody_may_be_at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with at_work():  # No folder of Snakemake: nothing to tell.
        assert not locks.WORKERS.exists()
    assert not nobody_at_work()
    (tmp_path / ".snakemake").mkdir()
    answer(monkeypatch, errno.ENOLCK)
    with at_work():
        pass
    assert not nobody_at_work()


def test_an_error_of_the_work_passes_through(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    with pytest.raises(FileNotFoundError), at_work():
        (tmp_path / "absent").read_text()
