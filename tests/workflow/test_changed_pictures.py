"""Which results are made again when pictures change, and which are not; and damaged results."""

from __future__ import annotations

import os
import re
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.workflow.conftest import TABLE, Project, make_copy

pytestmark = [pytest.mark.workflow, pytest.mark.long]

ARGUMENTS = [
    *("--cores", "2", "--configfile", "config/smoke.yaml", "own.yaml", "--config"),
    *("methods=[n2n]", "testsets=[mine,other]", "device=cpu"),
]


def write_picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (80, 80, 3), np.uint8)
    Image.fromarray(noise).save(path)


def point_at(project, **folders):
    (project.folder / "own.yaml").write_text(yaml.safe_dump({"folders": folders}))


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A finished run that was tested on two own folders; tests must not change it."""
    project = Project(make_copy(tmp_path_factory.mktemp("scored") / "project"))
    for number, name in enumerate(("mine/sub", "other")):
        write_picture(project.folder / name / "a.png", number)
    point_at(project, mine="mine", other="other")
    done = project.run(*ARGUMENTS, "--", TABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@pytest.fixture
def clone(scored, tmp_path):
    shutil.copytree(scored.folder, tmp_path / "clone")
    return Project(tmp_path / "clone")


def planned(project):
    """Return the messages of the jobs that would run now."""
    done = project.run(*ARGUMENTS, "-n", "--", TABLE)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    return re.findall(r"^Job \d+: (.*)$", text, re.MULTILINE)


def test_touched_moved_and_hidden_files_rerun_nothing(clone):
    (clone.folder / "mine/.DS_Store").write_text("hidden")
    (clone.folder / "mine/sub/notes.txt").write_text("no picture")
    os.utime(clone.folder / "other/a.png")
    shutil.copytree(clone.folder / "mine", clone.folder / "a copy", copy_function=shutil.copyfile)
    shutil.rmtree(clone.folder / "mine")
    point_at(clone, mine=str(clone.folder / "a copy"), other="other")
    assert planned(clone) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write_picture(folder / "sub/a.png", 7),
        lambda folder: write_picture(folder / "sub/deeper/b.png", 7),
    ],
    ids=["overwritten", "added in a sub-folder"],
)
def test_changed_pictures_rerun_what_they_feed_and_nothing_else(clone, change):
    change(clone.folder / "mine")
    jobs = "\n".join(planned(clone))
    assert "Pack data set mine" in jobs
    assert "on mine_crop64_r1, gauss25" in jobs
    assert f"Assemble {TABLE}" in jobs
    assert "Train" not in jobs
    assert "other" not in jobs


def cut_at_a_line(content):
    return b"".join(content.splitlines(True)[:-1])


@pytest.mark.parametrize(
    ("pattern", "damage", "message"),
    [
        ("results/scores/*/mine*.csv", cut_at_a_line, "not as it was written (0 rows, 1 in its"),
        ("results/scores/*/mine*.json", lambda content: content[:50], "not a readable record"),
        (
            "results/packs/mine.h5",
            lambda content: bytes(len(content)),
            "not a pack of this version",
        ),
    ],
    ids=["scores", "record", "pack"],
)
def test_damaged_results_are_named_and_not_used(clone, pattern, damage, message):
    (path,) = clone.folder.glob(pattern)
    status = path.stat()
    path.write_bytes(damage(path.read_bytes()))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    rule = "evaluate" if path.suffix == ".h5" else "table"
    before = (clone.folder / TABLE).read_bytes()
    options = [*ARGUMENTS[:-4], "--forcerun", rule, *ARGUMENTS[-4:]]
    done = clone.run(*options, "--", TABLE)
    text = done.stdout + done.stderr
    assert done.returncode == 1
    name = str(path.relative_to(clone.folder))
    assert any(message in line and name in line for line in text.splitlines()), text
    assert not (clone.folder / TABLE).exists() or (clone.folder / TABLE).read_bytes() == before
    path.unlink()
    done = clone.run(*ARGUMENTS, "--", TABLE)
    assert done.returncode == 0, done.stdout + done.stderr
