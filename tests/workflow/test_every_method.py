"""Every row of Table 1 and of the ablations through the real DAG, as small as it goes."""

from __future__ import annotations

import csv

import pytest

from tests.conftest import REPOSITORY
from unpaired.settings import load_table

TINY = [
    "--cores",
    "2",
    "--configfile",
    "config/smoke.yaml",
    "--config",
    "methods=null",
    "device=cpu",
    "training={images_seen: 4, patch_px: 64}",
    "overrides={dip: {iterations: 1, width: 4}, self2self: {iterations: 1, width: 4, passes: 1},"
    " dbsn: {blocks: 1}}",
]


@pytest.mark.workflow
@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 4])
def test_every_row_is_run(project, number):
    target = f"results/table{number}.part.csv"
    done = project.run(*TINY, "--", target)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(project.folder / target, newline="") as file:
        lines = list(csv.DictReader(file))
    assert all(float(line["value"]) > 0 for line in lines)
    table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
    rows = [
        row for row in table.rows if "gauss25" in (row.noises or table.noises) and not row.weights
    ]
    assert len(lines) == 2 * len(rows)
