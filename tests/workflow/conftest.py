"""Real Snakemake runs in a copy of the project."""

from __future__ import annotations

import atexit
import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.waiting import PATIENCE_SECONDS
from tests.workflow import preloaded

PARTS = ("Snakefile", "environment.yml", "profiles", "config", "workflow", "src")
SMOKE = [
    "--cores",
    "2",
    "--configfile",
    "config/smoke.yaml",
    "--config",
    "methods=[n2n,neighbor2neighbor,cbm3d]",
    "device=cpu",
]
TABLE = "results/table1.part.csv"


@dataclass
class Project:
    """A working copy whose own ``src`` is the package that runs.

    settings: what its smoke runs have besides SMOKE.
    """

    folder: Path
    settings: tuple[str, ...] = ()

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.folder / "src")}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if preloaded.can_run(self.environment):
            return preloaded.run(list(arguments), self.folder, self.environment, PATIENCE_SECONDS)
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a run as its own process group, so that all of it can be killed."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def smoke(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(*SMOKE, *self.settings, *arguments, "--", TABLE)

    def planned_rules(self, *arguments: str) -> set[str]:
        """Return the rules that a smoke run would execute now."""
        done = self.smoke("-n", *arguments)
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        if "Nothing to be done" in text:
            return set()
        statistics = text.split("Job stats:")[1].split("total")[0].splitlines()[3:]
        return {line.split()[0] for line in statistics if line.strip()}

    def copy(self, folder: Path, *results: str) -> Project:
        """Return a fresh clone with some of this project's results copied over, times kept."""
        clone = Project(make_copy(folder), self.settings)
        for name in results:
            shutil.copytree(self.folder / name, folder / name, dirs_exist_ok=True)
        return clone


def make_copy(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        _copy_part(_compiled_source() if part == "src" else REPOSITORY / part, folder / part)
    return folder


def _copy_part(source: Path, target: Path, *ignored: str) -> None:
    # copyfile leaves the time of copying on the files, as a fresh clone has.
    if source.is_dir():
        ignore = shutil.ignore_patterns(*ignored)
        shutil.copytree(source, target, copy_function=shutil.copyfile, ignore=ignore)
    else:
        shutil.copyfile(source, target)


@cache
def _compiled_source() -> Path:
    """Return a copy of ``src`` that Python need not compile again for each copy of it."""
    folder = Path(tempfile.mkdtemp(prefix="unpaired-"))
    atexit.register(shutil.rmtree, folder)
    _copy_part(REPOSITORY / "src", folder / "src", "__pycache__", "*.egg-info")
    by_content = py_compile.PycInvalidationMode.CHECKED_HASH  # The files' times do not matter.
    compileall.compile_dir(folder / "src", quiet=1, invalidation_mode=by_content)
    return folder / "src"


@pytest.fixture(scope="session")
def smoke_settings() -> tuple[str, ...]:
    """What smoke runs have besides SMOKE; a folder of tests may override it."""
    return ()


@pytest.fixture
def project(tmp_path, smoke_settings) -> Project:
    """A fresh copy of the project without results."""
    return Project(make_copy(tmp_path / "a project"), smoke_settings)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, smoke_settings) -> Project:
    """A project with a finished smoke run; tests must not change it."""
    done = Project(make_copy(tmp_path_factory.mktemp("finished") / "project"), smoke_settings)
    result = done.smoke()
    assert result.returncode == 0, result.stdout + result.stderr
    return done
