"""The page "Add a system", done as it says: a folder and YAML, and nothing else of the project."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open

from tests.conftest import REPOSITORY
from tests.waiting import wait_for
from tests.workflow.conftest import Project
from tests.workflow.pages import blocks
from unpaired.core.files import sha256_of

pytestmark = [pytest.mark.workflow, pytest.mark.long]

CODE = blocks(REPOSITORY / "docs/add_a_system.md")
TABLES = ["results/table101.csv", "results/table102.csv"]
FIGURE = "results/figures/table101_hole8.png"
OPTIONS = ["--configfile", "holes.yaml", "--config", "training={checkpoint_seconds: 0.2}"]
COMMAND = ["--cores", "2", *OPTIONS, "--", *TABLES, FIGURE]


def follow_the_page(project: Project) -> None:
    """Write every file of the page: none of them was there before."""
    for name, text in CODE.items():
        path = project.folder / name
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.suffix == ".py" and not (path.parent / "__init__.py").exists():
            (path.parent / "__init__.py").touch()


def run(project: Project) -> str:
    done = project.run(*COMMAND)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(project: Project) -> dict[str, int]:
    """Return how often every rule would run."""
    done = project.run("-n", *COMMAND)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    statistics = text.split("Job stats:")[1].split("total")[0].splitlines()[3:]
    return {rule: int(count) for rule, count in map(str.split, filter(str.strip, statistics))}


def identities(project: Project) -> dict[str, dict[str, str]]:
    command = [sys.executable, "-m", "tests.test_identities", "config"]
    paths = os.pathsep.join([str(project.folder / "src"), str(REPOSITORY)])
    environment = project.environment | {"PYTHONPATH": paths}
    where = {"cwd": project.folder, "env": environment}
    done = subprocess.run(command, **where, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def results(project: Project) -> dict[str, bytes]:
    """Return the content of all results but for what counts seconds."""
    folder = project.folder / "results"
    found = {}
    for pattern in ("table10?.csv", "figures/*.png", "models/hole_*-*/model.safetensors"):
        found |= {str(path): path.read_bytes() for path in folder.glob(pattern)}
    for path in folder.glob("models/hole_*-*/history.csv"):
        found[str(path)] = path.read_bytes()
    return found


def scores(project: Project) -> list[dict[str, str]]:
    rows = []
    for path in sorted((project.folder / "results/scores").glob("*/*.csv")):
        rows += [row | {"of": path.parent.name} for row in read(path)]
    return [{key: row[key] for key in row if key != "seconds_per_mpix"} for row in rows]


def kill_a_training_of_the_gan(project: Project) -> Path:
    """Kill a run with all its jobs in the middle of a training; return the model's folder."""
    process = project.start(*COMMAND)
    work = project.folder / "results/work"
    (checkpoint,) = wait_for(lambda: [*work.glob("hole_gan-*/checkpoint.safetensors")], process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    model = project.folder / "results/models" / checkpoint.parent.name
    assert not (model / "model.safetensors").exists()
    return model


def test_a_system_is_a_folder_and_its_tables(project):
    follow_the_page(project)
    committed = json.loads((REPOSITORY / "tests/identities.json").read_text())
    now = identities(project)
    assert {table: now[table] for table in committed} == committed
    assert now.keys() - committed.keys() == {"table101", "table102"}
    # One prior for both tables, and a generator for each.
    expected = {"train": 3, "evaluate": 2, "table": 2, "pack": 2, "check_split": 1, "budget": 1}
    assert planned(project) == expected | {"figure": 1}

    killed = kill_a_training_of_the_gan(project)
    run(project)
    log = project.folder / "results/logs/train" / f"{killed.name}.log"
    assert "resume after" in log.read_text()
    assert "Nothing to be done" in run(project)
    look_at_the_tables(project)
    look_at_the_scores(project)

    # The one that was killed, trained and scored again without a disturbance, is the same.
    before = results(project), scores(project)
    shutil.rmtree(killed)
    shutil.rmtree(project.folder / "results/scores" / killed.name)
    for path in (project.folder / "results").glob("table10*"):
        path.unlink()
    assert run(project).count("Train hole_gan on hole") == 1
    assert "resume after" not in log.read_text()
    assert (results(project), scores(project)) == before

    # A condition's values count where it is trained or scored under, though its name stays.
    declaration = project.folder / "src/unpaired/systems/holes/__init__.py"
    declaration.write_text(declaration.read_text().replace("_hole(16)", "_hole(12)"))
    assert planned(project) == {"train": 1, "evaluate": 1, "table": 1}


def look_at_the_tables(project: Project) -> None:
    first, second = (read(project.folder / name) for name in TABLES)
    found = [
        tuple(row[key] for key in ("setting", "method", "metric", "paper_value", "repeats"))
        for row in [*first, *second]
    ]
    assert found == [
        ("hole8", "hole_gan", "psnr_db", "30.0000", "3"),
        ("hole8", "hole_gan", "spread", "", "3"),
        ("hole16", "little_help", "psnr_db", "25.0000", "3"),
    ]
    assert {row["status"] for row in [*first, *second]} == {"ok"}
    assert all(float(row["value"]) > 10 for row in [first[0], *second])
    with Image.open(project.folder / FIGURE) as picture:
        assert picture.size[0] > 100


def look_at_the_scores(project: Project) -> None:
    rows = scores(project)
    assert len(rows) == 2 * 3 * 3  # Models, pictures, samples.
    assert len({row["psnr_db"] for row in rows}) == len(rows)
    assert all(float(row["spread"]) > 0 for row in rows)
    (prior,) = (project.folder / "results/models").glob("hole_prior-*/model.safetensors")
    given = {"prior": sha256_of(prior)}
    for path in (project.folder / "results/models").glob("hole_gan-*/model.json"):
        assert json.loads(path.read_text())["given"] == given
        with safe_open(path.with_suffix(".safetensors"), framework="pt") as file:
            assert {key.split(".")[0] for key in file.keys()} == {"generator", "discriminator"}  # noqa: SIM118
    for path in (project.folder / "results/scores").glob("*/*.json"):
        assert json.loads(path.read_text())["given"] == given | {"judge": given["prior"]}
