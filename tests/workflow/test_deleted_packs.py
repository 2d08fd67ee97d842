"""Packs are intermediate: what is made again when some of them are gone."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.workflow.conftest import Project, make_copy

pytestmark = [pytest.mark.workflow, pytest.mark.long]

SETTINGS = ["--cores", "1", "--configfile", "config/smoke.yaml", "own.yaml", "--config"]
TABLE = "results/table1.part.csv"


def write_picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (80, 80, 3), np.uint8)
    Image.fromarray(noise).save(path)


def run(project, testsets="[mine]", *options, seeds="[1]"):
    config = [f"testsets={testsets}", f"seeds={seeds}", "methods=[n2n]", "train_set=learned"]
    done = project.run(*SETTINGS, *config, "device=cpu", *options, "--", TABLE)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    return re.findall(r"^Job \d+: (.*)$", text, re.MULTILINE)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run on own folders; tests must not change it."""
    project = Project(make_copy(tmp_path_factory.mktemp("trained") / "project"))
    for number, name in enumerate(("learned", "mine", "other")):
        write_picture(project.folder / name / "a.png", number)
    folders = {name: name for name in ("learned", "mine", "other")}
    (project.folder / "own.yaml").write_text(yaml.safe_dump({"folders": folders}))
    run(project)
    return project


@pytest.fixture
def clone(trained, tmp_path):
    shutil.copytree(trained.folder, tmp_path / "clone")
    clone = Project(tmp_path / "clone")
    shutil.rmtree(clone.folder / "results/packs")
    return clone


def times(project):
    """Return when what took long was made."""
    folder = project.folder / "results"
    made = [*folder.glob("models/*/model.safetensors"), *folder.glob("scores/*/mine*.csv")]
    return {path: path.stat().st_mtime_ns for path in made}


def test_a_new_test_set_and_a_new_seed_make_only_what_is_missing(clone):
    """The check of training against test set reads a deleted pack, and so does the training."""
    before = times(clone)
    jobs = run(clone, "[mine,other]", seeds="[1,2]")
    (train,) = [message for message in jobs if message.startswith("Train")]
    assert "seed 2" in train
    kinds = sorted(message.split()[0] for message in jobs)
    assert kinds == ["Assemble", "Check", "Evaluate", "Evaluate", "Evaluate", "Pack", "Train"]
    assert "Pack data set other" in jobs
    assert times(clone).items() > before.items()
    packs = {path.name for path in (clone.folder / "results/packs").iterdir()}
    assert packs == {"learned.h5", "mine.h5", "other.h5"}
    assert run(clone, "[mine,other]", "-n", seeds="[1,2]") == []


def test_a_pack_that_is_asked_for_is_the_same_and_no_reason_either(clone):
    done = clone.run(*SETTINGS, "device=cpu", "--", "results/packs/learned.h5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(clone, "[mine]", "-n") == []


def test_changed_pictures_are_learned_anew_also_without_their_pack(clone):
    write_picture(clone.folder / "learned/a.png", 7)
    jobs = "\n".join(run(clone, "[mine]", "-n"))
    for message in ("Pack data set learned", "Train n2n", "Evaluate n2n", "Assemble"):
        assert message in jobs
    assert "Pack data set mine" not in jobs


def test_edited_code_trains_on_a_pack_that_was_deleted(clone):
    path = clone.folder / "src/unpaired/systems/denoising/methods/n2n.py"
    path.write_text(path.read_text() + "\nNEW = 1\n")
    assert not any("Pack" in message for message in run(clone, "[mine]"))
    (log,) = (clone.folder / "results/logs/train").iterdir()
    assert "results/packs/learned.h5: 1 pictures" in log.read_text()
    assert run(clone, "[mine]", "-n") == []


def test_pictures_that_changed_unseen_are_one_line(clone):
    """The run sees that pictures are others before it plans: here they change meanwhile."""
    (clone.folder / "src/unpaired/systems/denoising/methods/n2n.py").open("a").write("\nNEW = 1\n")
    receipt = clone.folder / "results/data_sets/learned.json"
    receipt.write_text(receipt.read_text().replace('"pictures": 1', '"pictures": 2'))
    done = clone.run(
        *SETTINGS,
        "testsets=[mine]",
        "methods=[n2n]",
        "train_set=learned",
        "device=cpu",
        "--",
        TABLE,
    )
    assert done.returncode == 1
    assert "delete results/data_sets/learned.json and run again" in done.stderr
    assert "Traceback" not in done.stderr
