"""Killed runs: the same command again gives the same weights, without --unlock."""

from __future__ import annotations

import os
import shutil
import signal

import psutil
import pytest

from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.workflow.conftest import Project, make_copy

pytestmark = [pytest.mark.workflow, pytest.mark.long]

# Long enough to be caught in the middle, short enough to wait for.
ARGUMENTS = [
    "--cores",
    "1",
    "--configfile",
    "config/smoke.yaml",
    "--config",
    "methods=[neighbor2neighbor]",
    "device=cpu",
    "training={images_seen: 400, patch_px: 64, checkpoint_seconds: 0.2}",
    "--",
    "results/table1.part.csv",
]


def weights(project):
    (path,) = (project.folder / "results/models").glob("*/model.safetensors")
    return path.read_bytes()


def wait_for_checkpoint(project, run):
    """Wait until training has saved some progress, and is not about to finish."""
    work = project.folder / "results/work"
    wait_for(lambda: any(work.glob("*/checkpoint.safetensors")), run)


def worker_of(run):
    """Return the training process below a run."""
    for process in psutil.Process(run.pid).children(recursive=True):
        if {"unpaired.core.start", "unpaired.stages.train"} <= set(process.cmdline()):
            return process
    raise AssertionError("no training process")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A project with a finished run that nothing disturbed; tests must not change it."""
    project = Project(make_copy(tmp_path_factory.mktemp("undisturbed") / "project"))
    done = project.run(*ARGUMENTS)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@pytest.fixture(scope="session")
def undisturbed(trained):
    """The weights of that run."""
    return weights(trained)


@pytest.fixture
def packed(trained, project):
    """The project's data sets are packed already."""
    for name in ("results/packs", "results/data_sets", ".snakemake"):
        shutil.copytree(trained.folder / name, project.folder / name)


def finish(project, undisturbed):
    done = project.run(*ARGUMENTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert weights(project) == undisturbed
    log = next((project.folder / "results/logs/train").iterdir()).read_text()
    assert "resume after" in log
    assert "Nothing to be done" in (again := project.run(*ARGUMENTS)).stdout + again.stderr


def test_kill_9_of_everything(project, undisturbed):
    run = project.start(*ARGUMENTS)
    wait_for_checkpoint(project, run)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    finish(project, undisturbed)


@pytest.mark.usefixtures("packed")
def test_kill_9_of_the_worker(project, undisturbed):
    run = project.start(*ARGUMENTS)
    wait_for_checkpoint(project, run)
    worker_of(run).kill()
    run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode != 0
    finish(project, undisturbed)


def orphan_of_a_killed_run(project):
    """Kill Snakemake alone in the middle of a training, and return what goes on with it."""
    run = project.start(*ARGUMENTS)
    wait_for_checkpoint(project, run)
    orphan = worker_of(run)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    return orphan


@pytest.mark.usefixtures("packed")
def test_kill_9_of_snakemake_alone(project, undisturbed):
    """The worker lives on as an orphan; the next run waits for it or takes over."""
    orphan = orphan_of_a_killed_run(project)
    assert orphan.is_running()
    done = project.run(*ARGUMENTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert weights(project) == undisturbed


@pytest.mark.usefixtures("packed")
def test_what_a_worker_finished_alone_is_taken_over(project, undisturbed):
    orphan_of_a_killed_run(project).wait(120)
    about = (project.folder / "results/models").glob("*/model.json")
    made = {path: path.read_bytes() for path in about}
    assert len(made) == 1
    done = project.run(*ARGUMENTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert weights(project) == undisturbed
    assert all(path.read_bytes() == content for path, content in made.items())
    log = next((project.folder / "results/logs/train").iterdir()).read_text()
    assert "which was finished after its run had ended" in log
    assert "train on" not in log
    assert not list((project.folder / "results/work").rglob("*.finished"))
    assert "Nothing to be done" in (again := project.run(*ARGUMENTS)).stdout + again.stderr


@pytest.mark.usefixtures("packed")
def test_sigterm_of_the_worker_saves_before_it_ends(project, undisturbed):
    run = project.start(*ARGUMENTS)
    wait_for_checkpoint(project, run)
    worker_of(run).terminate()
    output, _ = run.communicate(timeout=PATIENCE_SECONDS)
    assert "run the same command again to go on from there" in output
    finish(project, undisturbed)


@pytest.mark.usefixtures("packed")
def test_sigterm_of_everything(project, undisturbed):
    """As a batch system ends a job: a signal to all processes, and some time to end."""
    run = project.start(*ARGUMENTS)
    wait_for_checkpoint(project, run)
    os.killpg(run.pid, signal.SIGTERM)
    run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode != 0
    finish(project, undisturbed)


def test_a_second_run_at_once_stops_with_one_line(project):
    run = project.start(*ARGUMENTS)
    packs = project.folder / "results/packs"
    wait_for(lambda: any(packs.glob("*.h5")), run)  # The first thing that a run makes.
    second = project.run(*ARGUMENTS)
    lines = [line for line in second.stderr.splitlines() if "another run is working in" in line]
    assert second.returncode != 0
    assert len(lines) == 1
    assert "Traceback" not in second.stderr
    output, _ = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0, output
