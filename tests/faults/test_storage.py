"""Disks that are full, read-only or slow, and clocks that go back; README.md lists them all."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.workflow.conftest import SMOKE, TABLE

pytestmark = [pytest.mark.workflow, pytest.mark.long]


@contextmanager
def disk(folder: Path, size: str):
    """Mount a disk of its own at ``folder``; skips where that is not allowed."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a disk can be mounted by root only, and not in every container")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def assert_completes(project, finished):
    done = project.smoke()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.folder / TABLE).read_text() == (finished.folder / TABLE).read_text()
    assert not project.planned_rules()
    assert not list((project.folder / "results").rglob(".*.part*"))


def test_a_full_disk(project, finished):
    results = project.folder / "results"
    with disk(results, "1m"):
        full = project.smoke()
        assert full.returncode != 0
        assert "the disk is full; free some space or choose another folder" in full.stderr
        assert "Traceback" not in full.stdout + full.stderr
        remount(results, "size=200m")
        assert_completes(project, finished)


def test_read_only_results(project, finished):
    results = project.folder / "results"
    with disk(results, "200m"):
        begun = project.run(*SMOKE, "--", "results/packs/embedded_train.h5")
        assert begun.returncode == 0, begun.stdout + begun.stderr
        remount(results, "ro")
        refused = project.smoke()
        assert refused.returncode != 0
        assert "ead-only file system" in refused.stderr
        remount(results, "rw")
        assert_completes(project, finished)


def test_a_clock_set_back(project, finished):
    """What the first run made carries a time of tomorrow; the second run has the right time."""
    begun = project.run(*SMOKE, "--", "results/packs/embedded_train.h5")
    assert begun.returncode == 0, begun.stdout + begun.stderr
    tomorrow = time.time() + 24 * 3600
    for path in (project.folder / "results").rglob("*"):
        os.utime(path, (tomorrow, tomorrow))
    assert_completes(project, finished)


LATE = """
import os, subprocess, sys

replace = os.replace


def replace_late(source, target):
    if "results/" not in str(target) or "results/work" in str(target):
        return replace(source, target)
    # The job ends before others can see what it wrote, as on a network disk that is slow to tell.
    aside = os.path.abspath(source) + "~"
    os.rename(source, aside)
    subprocess.Popen(
        ["sh", "-c", 'sleep 2; mv "$0" "$1"', aside, os.path.abspath(target)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if "stages" in " ".join(sys.orig_argv):
    os.replace = replace_late
"""


def test_a_network_folder_that_answers_late(project, finished, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LATE)
    search = f"{project.folder / 'src'}:{tmp_path / 'site'}"
    monkeypatch.setattr(
        type(project), "environment", property(lambda self: os.environ | {"PYTHONPATH": search})
    )
    started = time.monotonic()
    done = project.smoke()
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started > 10  # Five stages one after another, each told late.
    monkeypatch.undo()
    assert_completes(project, finished)
