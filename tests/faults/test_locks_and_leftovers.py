"""File systems without locks, files half-written or of the future, a home that is read-only."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.waiting import wait_for
from tests.workflow.conftest import SMOKE, TABLE
from unpaired.core.locks import WITHOUT_LOCKS

pytestmark = [pytest.mark.workflow, pytest.mark.long]

NO_FLOCK = """
#include <errno.h>
#include <stdlib.h>
int flock(int descriptor, int operation) {
    errno = atoi(getenv("FLOCK_ERRNO"));
    return -1;
}
"""


@pytest.fixture
def without_flock(tmp_path, monkeypatch):
    """Return a function that lets every flock of all processes to come answer an error number."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    library = tmp_path / "no_flock.so"
    build = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(build, input=NO_FLOCK, text=True, check=True)

    def answer(code: int) -> None:
        monkeypatch.setenv("LD_PRELOAD", str(library))
        monkeypatch.setenv("FLOCK_ERRNO", str(code))

    return answer


def test_a_file_system_without_locks(project, finished, without_flock, monkeypatch):
    for code in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
        without_flock(code)
        refused = project.smoke()
        (line,) = [line for line in refused.stderr.splitlines() if "cannot lock" in line]
        assert refused.returncode != 0
        assert "run.lock: its file system has no locks; use a folder on another disk" in line
        assert f"set {WITHOUT_LOCKS}=1" in line
        assert "Traceback" not in refused.stderr
    monkeypatch.setenv(WITHOUT_LOCKS, "1")
    done = project.smoke()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.folder / TABLE).read_text() == (finished.folder / TABLE).read_text()


WORKER = """
import sys
from unpaired.core.locks import at_work
with at_work():
    print("at work", flush=True)
    sys.stdin.read()
"""


def leftovers(project):
    return [path for path in (project.folder / "results").rglob(".*") if path.is_file()]


def test_a_kill_in_packing(project, tmp_path):
    """What was half-written goes with the next run, and not while a worker is alive."""
    (project.folder / "many").mkdir()
    for number in range(150):
        noise = np.random.default_rng(number).integers(0, 256, (256, 256, 3), np.uint8)
        Image.fromarray(noise).save(project.folder / "many" / f"{number}.png", compress_level=0)
    pack = ["--cores", "1", "--config", "folders={many: many}", "--", "results/packs/many.h5"]
    run = project.start(*pack)
    wait_for(lambda: leftovers(project), run)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    (left,) = leftovers(project)
    assert left.name.endswith(".part.h5")

    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        cwd=project.folder,
        env=project.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdout.readline()
    other = ["--cores", "1", "--", "results/packs/embedded_test.h5"]
    assert project.run(*other).returncode == 0
    assert left.exists()
    worker.communicate()
    done = project.run(*pack)
    assert done.returncode == 0, done.stdout + done.stderr
    assert leftovers(project) == []


def test_given_files_of_the_future(project, finished):
    """Pictures, weights that others published, tables: as results, whoever's clock was wrong."""
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (64, 64, 3), np.uint8)
        (project.folder / "mine").mkdir(exist_ok=True)
        Image.fromarray(noise).save(project.folder / "mine" / f"{number}.png")
    weights = project.folder / "weights/neighbor2neighbor/gauss25.safetensors"
    weights.parent.mkdir(parents=True)
    (trained,) = finished.folder.glob("results/models/neighbor2neighbor-*/model.safetensors")
    shutil.copyfile(trained, weights)
    tomorrow = time.time() + 24 * 3600
    for place in ("mine", "weights", "config"):
        for path in [project.folder / place, *(project.folder / place).rglob("*")]:
            os.utime(path, (tomorrow, tomorrow))
    settings = [
        *SMOKE,
        "methods=[neighbor2neighbor_authors]",
        "testsets=[mine]",
        "folders={mine: mine}",
    ]
    report = "results/report.part.html"  # Made of the table, too.
    done = project.run(*settings, "--", report)
    assert done.returncode == 0, done.stdout + done.stderr
    again = project.run(*settings, "--", report)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_home_that_cannot_be_written(project, tmp_path, monkeypatch):
    """The remedy of docs/troubleshooting.md; nobody, not even root, can write below /proc."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/nobody")
    refused = project.run(*SMOKE, "-n", "--", TABLE)
    assert refused.returncode != 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = project.smoke()
    assert done.returncode == 0, done.stdout + done.stderr
