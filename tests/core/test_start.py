"""Jobs that are copies of a process which has loaded what they need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.waiting import wait_for
from unpaired.core.start import THREADS
from unpaired.core.start_server import start_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux only")

# "wave" stands for what takes long to load: a job that finds it loaded is a copy.
JOB = """
import os, pathlib, signal, sys, time
if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    print(what, *rest, os.environ["WORD"], pathlib.Path.cwd().name, "wave" in sys.modules)
    print("and here", file=sys.stderr, flush=True)
    sys.stdout.flush()
    if what == "code":
        sys.exit(int(rest[0]))
    if what == "text":
        sys.exit("a last line")
    if what == "error":
        raise ValueError("what went wrong")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "wait":
        def save(number, frame):
            pathlib.Path("saved").write_text(str(number))
            sys.exit(7)
        signal.signal(signal.SIGTERM, save)
        pathlib.Path("pid").write_text(str(os.getpid()))
        while not pathlib.Path("end").exists():
            time.sleep(0.02)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/job.py").write_text(JOB)
    (tmp_path / "a folder/.snakemake").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a folder")
    paths = [str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("WORD", "a\nword")
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    return Path.cwd()


@contextmanager
def served():
    left = sockets()
    server = start_server(["wave"], 1)
    try:
        wait_for(lambda: sockets() - left, seconds=60)
        yield server
    finally:
        server.stdin.close()
        server.wait(timeout=60)


def sockets() -> set[int]:
    # Without asking for them by name: one may go meanwhile.
    with os.scandir(".snakemake") as entries:
        return {entry.inode() for entry in entries if entry.name.endswith(".socket")}


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "unpaired.core.start", "job", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end_of(*arguments: str) -> tuple[int, str, str]:
    job = start(*arguments)
    out, told = job.communicate(timeout=60)
    return job.returncode, out, told


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["plain", "--a=b c", "ä'\""], 0, ""),
        (["code", "0"], 0, ""),
        (["code", "3"], 3, ""),
        (["text"], 1, "a last line\n"),
        (["error"], 1, "ValueError: what went wrong\n"),
    ],
)
def test_a_copy_is_as_a_job_that_is_started(folder, arguments, code, told):
    usual = end_of(*arguments)
    with served():
        copy = end_of(*arguments)
    expected = " ".join(arguments) + " a\nword a folder "
    assert usual[:2] == (code, f"{expected}False\n")
    assert copy[:2] == (code, f"{expected}True\n")
    for _, _, errors in (usual, copy):
        assert errors.startswith("and here\n")
        assert errors.endswith(told)


def test_many_at_once(folder):
    with served():
        jobs = [start("code", str(code)) for code in range(20)]
        assert [job.wait(timeout=60) for job in jobs] == list(range(20))


def test_a_signal_passes_through(folder):
    with served():
        job = start("wait")
        wait_for((folder / "pid").exists, seconds=60)
        job.terminate()
        assert job.wait(timeout=60) == 7
        assert (folder / "saved").read_text() == str(int(signal.SIGTERM))


def test_a_copy_ends_with_the_process_that_stands_for_it(folder):
    with served():
        job = start("wait")
        wait_for((folder / "pid").exists, seconds=60)
        job.kill()
        wait_for(lambda: not is_alive(int((folder / "pid").read_text())), seconds=60)
        assert not (folder / "saved").exists()


def test_a_copy_that_is_killed_is_told_as_a_failure(folder):
    with served():
        assert end_of("die")[0] == 128 + signal.SIGKILL


def test_a_copy_outlives_the_run_it_belongs_to(folder):
    with served() as server:
        job = start("wait")
        wait_for((folder / "pid").exists, seconds=60)
        server.stdin.close()
        wait_for(lambda: not sockets(), seconds=60)
        (folder / "end").touch()
        assert job.wait(timeout=60) == 0


def test_jobs_of_more_threads_and_of_a_dead_server_start_as_usual(folder, monkeypatch):
    with served() as server:
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert end_of("plain")[1].endswith("False\n")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        server.kill()
        server.wait(timeout=60)
        assert end_of("plain")[1].endswith("False\n")
    with served():
        assert end_of("plain")[1].endswith("True\n")


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    return False
