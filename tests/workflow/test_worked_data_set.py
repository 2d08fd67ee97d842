"""The page "Add a data set", done as it says."""

from __future__ import annotations

import csv
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from tests.workflow.conftest import TABLE

pytestmark = pytest.mark.workflow

PAGE = REPOSITORY / "docs/add_a_data_set.md"
REGISTRY = "src/unpaired/data/sources/__init__.py"
READER = "src/unpaired/data/sources/garden_pairs.py"


def blocks() -> dict[str, str]:
    """Return the page's code, by the file that it belongs to."""
    found = re.findall(r'```\w+ title="([^",]+)[^"]*"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    return dict(found)


def save_pictures(folder, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(1, count + 1):
        image = rng.integers(0, 256, (72, 80, 3), np.uint8)
        Image.fromarray(image).save(folder / f"{number:02}.png")


def run(project, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_a_folder_of_ones_own_is_trained_on_and_scored(project):
    (project.folder / "own.yaml").write_text(blocks()["own.yaml"])
    save_pictures(project.folder / "my_pictures/train", 2, seed=1)
    save_pictures(project.folder / "my_pictures/test", 3, seed=2)
    configs = ["--config", "config/config.yaml", "--config", "own.yaml"]
    text = run(project, "-m", "unpaired.cli", "data", "check", *configs)
    assert "found    my_train: 2 pictures in my_pictures/train" in text
    assert "found    my_test: 3 pictures in my_pictures/test" in text
    command = (
        "snakemake --cores all results/table1.part.csv --configfile config/smoke.yaml own.yaml"
    )
    assert f"    {command}\n" in PAGE.read_text()
    target, *files = command.split()[3], *command.split()[5:]
    done = project.run(
        "--cores", "2", "--configfile", *files, "--config", "device=cpu", "--", target
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with open(project.folder / TABLE, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["value"]]
    assert {row["method"] for row in rows} == {"n2n", "cbm3d"}
    assert {(row["dataset"], row["n_images"]) for row in rows} == {("my_test", "3")}


def test_the_entry_and_the_reader_of_pairs_are_found_and_packed(project):
    code = blocks()
    registry = project.folder / REGISTRY
    text, place = registry.read_text(), "\n)\n"
    assert text.endswith(place)
    registry.write_text(text.removesuffix(place) + "\n" + code[REGISTRY] + ")\n")
    (project.folder / READER).write_text(code[READER])
    for side, seed in (("noisy", 1), ("clean", 2)):
        save_pictures(project.folder / f"data/garden_pairs/{side}", 2, seed)
    save_pictures(project.folder / "data/garden", 12, seed=3)
    said = run(project, "-m", "unpaired.cli", "data", "check", "--data-root", "data")
    assert "found    garden: 12 pictures in data/garden" in said
    packing = (
        "from pathlib import Path\n"
        "from unpaired.data.sources.garden_pairs import records\n"
        "from unpaired.data.pack_writing import write_pack\n"
        "from unpaired.data.packs import Pack\n"
        "write_pack(Path('pairs.h5'), records(Path('data/garden_pairs')), source='garden_pairs',"
        " value_range=(0, 255), color_space='sRGB', settings={})\n"
        "print(len(Pack(Path('pairs.h5'))))"
    )
    assert run(project, "-c", packing).split()[-1] == "2"
