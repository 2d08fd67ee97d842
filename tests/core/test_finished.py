from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from unpaired.core import finished
from unpaired.core.errors import UnpairedError
from unpaired.core.finished import forget_finished, make_once

SPAWN = multiprocessing.get_context("spawn")
STAMP = {"spec": {"seed": 1}, "sizes": (1, 2)}


class Job:
    """Writes two files, and counts how often it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work" / "deep" / "a.model"
        self.outputs = (folder / "model", folder / "history.csv")
        self.times = 0

    def make(self) -> None:
        self.times += 1
        for path in self.outputs:
            path.write_text(f"{path.name} {self.times}")

    def run(self, stamp=STAMP) -> None:
        make_once(self.work, stamp, self.outputs, self.make)

    def lose(self) -> None:
        """What Snakemake does before it runs a job again."""
        for path in self.outputs:
            path.unlink()


@pytest.fixture
def job(tmp_path):
    job = Job(tmp_path)
    job.run()
    return job


@pytest.mark.parametrize("can_link", [True, False])
def test_finished_work_is_taken_over(tmp_path, monkeypatch, capsys, can_link):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    if not can_link:
        monkeypatch.setattr(os, "link", refuse)
    job = Job(tmp_path)
    job.run()
    job.lose()
    before = time.time()
    job.run()
    assert job.times == 1
    assert [path.read_text() for path in job.outputs] == ["model 1", "history.csv 1"]
    assert all(path.stat().st_mtime >= before - 1 for path in job.outputs)
    assert f"take over {job.outputs[0]}" in capsys.readouterr().out


def test_other_settings_or_damaged_files_are_made_anew(job):
    job.lose()
    job.run(STAMP | {"code": "new"})
    assert job.times == 2
    job.lose()
    (kept,) = job.work.parent.glob("*.finished/model")
    kept.write_text("damaged")
    job.run(STAMP | {"code": "new"})
    assert job.times == 3
    job.lose()
    (kept.parent / "about.json").write_text("[")
    job.run(STAMP | {"code": "new"})
    assert job.times == 4


def test_a_run_that_ends_forgets_what_is_in_its_place(job):
    root = job.work.parents[1]
    job.lose()
    forget_finished(root)  # It was not seen: Snakemake removed it.
    job.run()
    assert job.times == 1
    forget_finished(root)
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["a.model.lock"]
    job.run()  # As --forcerun asks.
    assert job.times == 2
    forget_finished(root / "absent")


def test_an_error_keeps_nothing(tmp_path):
    job = Job(tmp_path)
    with pytest.raises(UnpairedError):
        make_once(job.work, STAMP, job.outputs, lambda: (_ for _ in ()).throw(UnpairedError("x")))
    job.run()
    assert job.times == 1


def test_what_cannot_be_kept_is_no_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(finished, "_keep", full)
    job = Job(tmp_path)
    job.run()
    assert all(path.exists() for path in job.outputs)


class SlowJob(Job):
    def make(self) -> None:
        time.sleep(1)
        super().make()


def run_slowly(folder: Path, started) -> None:
    job = SlowJob(folder)
    started.set()
    job.run()


def test_the_next_process_waits_and_takes_over(tmp_path):
    started = SPAWN.Event()
    orphan = SPAWN.Process(target=run_slowly, args=(tmp_path, started))
    orphan.start()
    assert started.wait(30)
    time.sleep(0.3)
    job = SlowJob(tmp_path)
    job.run()
    orphan.join()
    assert job.times == 0
    assert job.outputs[0].read_text() == "model 1"
