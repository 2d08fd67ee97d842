"""Text of a person's settings on its way through shell commands: it arrives, nothing is run."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.pipeline.test_typed_paths import NASTY, PASSED_ON
from tests.workflow.conftest import SMOKE, TABLE

pytestmark = [pytest.mark.workflow, pytest.mark.long]

OWN = f"{NASTY} own"
WORK = f"{NASTY} work"
PRIOR = f"{NASTY}.npy"


def write_settings(project) -> None:
    """Make what the settings name, below the project and under nasty names."""
    pictures = project.folder / NASTY / OWN / "sub {1}"
    pictures.mkdir(parents=True)
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (80, 80, 3), np.uint8)
        Image.fromarray(noise).save(pictures / f"{number} $(touch MARK);.png")
    np.save(project.folder / PRIOR, np.full(313, 1 / 313))
    settings = {
        "data_root": NASTY,
        "folders": {"mine": OWN},
        "train_set": "mine",
        "work_root": WORK,
        "files": {"color_prior": PRIOR},
    }
    assert set(settings) - {"train_set"} | {"overrides", "overrides_on"} == PASSED_ON
    (project.folder / "nasty.yaml").write_text(yaml.safe_dump(settings))


def run(project, *arguments):
    options = list(SMOKE)
    options.insert(options.index("--config"), "nasty.yaml")
    return project.run(*options, *arguments)


def test_nothing_is_executed_and_all_arrives(project):
    write_settings(project)
    done = run(project, "methods=[n2n]", "--", TABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.folder / WORK).is_dir()
    record = json.loads(next(project.folder.glob("results/models/*/model.json")).read_text())
    assert record["data"][0]["pictures"] == 2
    colors = ["methods=[gray]", "testsets=[mine]", "noises=null", "train_set=embedded_train"]
    done = run(project, *colors, "--", "results/table10.part.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(project.folder.rglob("MARK"))


@pytest.mark.parametrize("key", ["overrides", "overrides_on"])
def test_text_in_overrides_arrives(project, key):
    overrides: dict = {"laine19": {"noise_model": NASTY}}
    overrides = {"embedded_train": overrides} if key == "overrides_on" else overrides
    (project.folder / "nasty.yaml").write_text(f"{key}: {json.dumps(overrides)}")
    done = run(project, "methods=[laine19_mu]", "-n", "-p", "--", TABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = (
        line for line in (done.stdout + done.stderr).splitlines() if "unpaired.stages.train" in line
    )
    words = shlex.split(line)
    assert json.loads(words[words.index("--spec") + 1])["overrides"]["noise_model"] == NASTY
