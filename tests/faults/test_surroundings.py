"""Odd surroundings in which a run is the same as anywhere: folders, files, locales, no network."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.workflow.conftest import TABLE, Project, make_copy

pytestmark = [pytest.mark.workflow, pytest.mark.long]

# What a shell, a format string or a pattern would take for its own.
ODD = "ü b'c\"$(touch MARK) {x}{0} [d] *? %s"


def assert_the_same(project, finished):
    done = project.smoke()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (project.folder / TABLE).read_text() == (finished.folder / TABLE).read_text()


def own_python(folder: Path) -> str:
    """Return the interpreter of a virtual environment in ``folder`` with all that this one has."""
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").symlink_to(Path(sys.prefix, "lib"))
    (folder / "pyvenv.cfg").write_text(Path(sys.prefix, "pyvenv.cfg").read_text())
    for name in ("python", Path(sys.executable).name):
        if not (folder / "bin" / name).exists():
            (folder / "bin" / name).symlink_to(sys.executable)
    return str(folder / "bin/python")


def test_project_and_interpreter_in_folders_of_odd_names(tmp_path, finished, monkeypatch):
    project = Project(make_copy(tmp_path / ODD / f"{ODD} too"), finished.settings)
    python = own_python(tmp_path / ODD / "venv {v}")
    monkeypatch.setattr(
        Project, "command", lambda self, *words: [python, "-m", "snakemake", *words]
    )
    assert_the_same(project, finished)
    assert not list(tmp_path.rglob("MARK"))


def test_a_link_to_the_project_is_the_project(finished, tmp_path):
    clone = finished.copy(tmp_path / "clone", "results", ".snakemake")
    (tmp_path / "link").symlink_to(clone.folder)
    assert replace(clone, folder=tmp_path / "link").planned_rules() == set()


def wrapped(*words):
    """Return what `Project.command` becomes when every run is started through another program."""
    whole = Project.command
    return lambda self, *arguments: [*words, *whole(self, *arguments)]


def test_64_open_files(project, finished, monkeypatch):
    monkeypatch.setattr(Project, "command", wrapped("sh", "-c", 'ulimit -n 64; exec "$@"', "sh"))
    assert_the_same(project, finished)


def test_no_network(project, finished, monkeypatch):
    alone = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("a network of its own is not allowed here")
    monkeypatch.setattr(Project, "command", wrapped(*alone))
    assert_the_same(project, finished)


@pytest.mark.parametrize(
    "odd",
    [
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {
            **{"LC_ALL": "tr_TR.UTF-8", "LANG": "no_SUCH"},
            **{"TZ": "Pacific/Kiritimati", "COLUMNS": "5", "TERM": "dumb"},
        },
    ],
    ids=["ASCII", "no such locale, another day, a narrow terminal"],
)
def test_locales_clocks_and_terminals(project, finished, monkeypatch, odd):
    surroundings = os.environ | {"PYTHONPATH": str(project.folder / "src")} | odd
    monkeypatch.setattr(Project, "environment", property(lambda self: surroundings))
    assert_the_same(project, finished)
