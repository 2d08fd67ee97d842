"""The page "Add a method", done as it says: only the new row is computed."""

from __future__ import annotations

import csv

import pytest

from tests.conftest import REPOSITORY
from tests.workflow.conftest import TABLE
from tests.workflow.pages import blocks

pytestmark = pytest.mark.workflow

CODE = blocks(REPOSITORY / "docs/add_a_method.md")
FIGURE = "results/figures/table1.part_gauss25.png"
NEW = "noisy_as_clean"


def insert(path, before, line):
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, line + before))


def follow_the_page(folder):
    declaration, table = "src/unpaired/systems/denoising/__init__.py", "config/tables/table1.yaml"
    (method,) = CODE.keys() - {declaration, table}
    (folder / method).write_text(CODE[method])
    insert(folder / declaration, '        "noisier2noise":', CODE[declaration])
    rows = folder / table
    rows.write_text(rows.read_text() + CODE[table])


def smoke(project, *methods):
    """Run rows of Table 1 with a figure, and measure the budget of the last row's method."""
    config = [f"methods=[{','.join(methods)}]", "device=cpu", "training={images_seen: 16}"]
    targets = [TABLE, FIGURE, f"results/budgets/{methods[-1]}.json"]
    done = project.run(
        "--cores", "2", "--configfile", "config/smoke.yaml", "--config", *config, "--", *targets
    )
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    return text


@pytest.mark.long
def test_the_worked_example_adds_its_row_and_reruns_nothing_else(project):
    smoke(project, "n2n", "cbm3d")
    follow_the_page(project.folder)
    text = smoke(project, "n2n", "cbm3d", NEW)
    statistics = text.split("Job stats:")[1].split("total")[0].splitlines()[3:]
    assert sorted(line.split() for line in statistics if line.strip()) == [
        ["budget", "1"],
        ["evaluate", "1"],
        ["figure", "1"],
        ["table", "1"],
        ["train", "1"],
    ]
    assert f"Train {NEW} on gauss25" in text
    assert f"Evaluate {NEW}-" in text
    assert (project.folder / f"results/budgets/{NEW}.json").is_file()
    with open(project.folder / TABLE, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == NEW]
    assert {row["metric"] for row in rows} == {"psnr_db", "ssim"}
    assert all(float(row["value"]) > 0 for row in rows)


def test_the_example_is_short():
    lengths = [len(code.splitlines()) for code in CODE.values()]
    assert sorted(lengths)[:2] == [1, 1]
    assert max(lengths) < 60
