"""Every row on real noise through the real DAG, as small as it goes, and made again."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.conftest import REPOSITORY
from tests.workflow.conftest import Project, make_copy
from tests.workflow.test_every_method import NO_MEASURED_BUDGETS, TINY, lines_of, make_less
from unpaired.pipeline.table import load_table

pytestmark = [pytest.mark.workflow, pytest.mark.long]

CAMERA = ["noises=[camera]", "testsets=null"]
SMALL_PHOTOGRAPHS = {
    "src/unpaired/data/sources/simulated_camera.py": {
        'phone), record.arrays["image"]': 'phone), record.arrays["image"][:320, :320]',
    },
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Tables 2 and 6, made, with their lines; tests must not change the project."""
    project = Project(make_copy(tmp_path_factory.mktemp("real noise") / "project"))
    make_less(project, NO_MEASURED_BUDGETS | SMALL_PHOTOGRAPHS)
    return project, {number: lines_of(project, number, *CAMERA) for number in (2, 6)}


@pytest.mark.parametrize("number", [2, 6])
def test_every_row_on_real_noise_is_run(scored, number):
    """Rows of Table 7 are those of Table 6 with other settings."""
    _, lines_of_table = scored
    lines = lines_of_table[number]
    assert all(float(line["value"]) > 0 for line in lines)
    table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
    assert len(lines) == 2 * len(table.rows)
    assert {line["dataset"] for line in lines} == {table.testsets[0]}


def test_synthesized_pairs_are_made_again_from_a_source_that_was_deleted_too(scored, tmp_path):
    """What made them, which took long, stays as it is."""
    clone = Project(tmp_path / "clone")
    shutil.copytree(scored[0].folder, clone.folder)

    def run(*options):
        config = [*TINY, *CAMERA, "methods=[lud_vae]"]
        done = clone.run(*config, *options, "--", "results/table6.part.csv")
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        return re.findall(r"^Job \d+: (.*)$", text, re.MULTILINE)

    assert [message.split()[0] for message in run()] == ["Assemble"]
    shutil.rmtree(clone.folder / "results/packs")
    assert run("-n") == []
    path = clone.folder / "src/unpaired/systems/denoising/methods/dncnn.py"
    path.write_text(path.read_text() + "\nNEW = 1\n")
    trained, scored_again, assembled = run()
    assert trained.startswith("Train dncnn")
    assert (scored_again.split()[0], assembled.split()[0]) == ("Evaluate", "Assemble")
    (name,) = re.findall(r"\((dncnn-\w+)\)$", trained)
    log = clone.folder / f"results/logs/train/{name}.log"
    assert ".h5: 10 pairs" in log.read_text()
    assert run("-n") == []
