"""Every row of the tables through the real DAG, as small as it goes."""

from __future__ import annotations

import csv
import json

import pytest
import yaml

from tests.conftest import REPOSITORY
from unpaired.pipeline.table import load_table

# What follows --config is added to the demo's settings, whose trainings are of minutes.
DEMO_OVERRIDES = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())["overrides"]
SIZES = {
    "images_seen": 4,
    "batch_size": 4,
    "width": 4,
    "depth": 3,
    "iterations": 1,
    "passes": 1,
    "blocks": 1,
    "residual_width": 4,
    "code_dim": 4,
    "codes": 8,
}
TINY_OVERRIDES = {
    method: {key: value for key, value in SIZES.items() if key in own}
    for method, own in DEMO_OVERRIDES.items()
}
TINY = [
    "--cores",
    "2",
    "--configfile",
    "config/smoke.yaml",
    "--config",
    "methods=null",
    "device=cpu",
    "training={images_seen: 4, patch_px: 64}",
    f"overrides={json.dumps(TINY_OVERRIDES)}",
]
CAMERA = ["noises=[camera]", "testsets=null"]


def lines_of(project, number: int, *settings: str) -> list[dict[str, str]]:
    target = f"results/table{number}.part.csv" if not settings else f"results/table{number}.csv"
    done = project.run(*TINY, *settings, "--", target)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(project.folder / target, newline="") as file:
        return [line for line in csv.DictReader(file) if line["scale"]]


@pytest.mark.workflow
@pytest.mark.long
@pytest.mark.parametrize("number", [1, 4])
def test_every_row_is_run(project, number):
    lines = lines_of(project, number)
    assert all(float(line["value"]) > 0 for line in lines)
    table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
    rows = [
        row for row in table.rows if "gauss25" in (row.noises or table.noises) and not row.weights
    ]
    assert len(lines) == 2 * len(rows)


@pytest.mark.workflow
@pytest.mark.long
@pytest.mark.parametrize("number", [2, 6, 7])
def test_every_row_on_real_noise_is_run(project, number):
    lines = lines_of(project, number, *CAMERA)
    assert all(float(line["value"]) > 0 for line in lines)
    table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
    assert len(lines) == 2 * len(table.rows)
    assert {line["dataset"] for line in lines} == {table.testsets[0]}


@pytest.mark.workflow
@pytest.mark.long
def test_every_row_of_colorization_is_run_and_drawn(project):
    figures = [
        f"results/figures/table10_{name}.png"
        for name in ("methods", "temperatures", "histograms", "distributions")
    ]
    options = [
        "noises=[none]",
        "testsets=null",
        "overrides={colorization: {images_seen: 4, patch_px: 64, picture_px: 64, width: 2}}",
    ]
    tiny = [option for option in TINY if not option.startswith("overrides")]
    done = project.run(*tiny, *options, "--", "results/table10.csv", *figures)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(project.folder / "results/table10.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["scale"]]
    table = load_table(REPOSITORY / "config/tables/table10.yaml")
    assert len(lines) == 2 * len(table.rows) * len(table.metrics)
    assert all(0 < float(line["value"]) <= 100 for line in lines)
    for name in figures:
        assert (project.folder / name).stat().st_size > 10_000
    again = project.run(*tiny, *options, "-n", "--", "results/table10.csv", *figures)
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.workflow
@pytest.mark.long
def test_every_distance_is_judged_and_drawn(project):
    tiny = "lpips: {images_seen: 100, width: 0.1}, distorting_autoencoder: {images_seen: 8}"
    figures = ["two_afc", "two_afc_jnd", "lpips_weights", "disagreements", "distortions"]
    settings = [*TINY[:-1], f"overrides={{{tiny}}}", "noises=[none]", "testsets=null"]
    targets = ["results/table20.csv", *(f"results/figures/{name}.png" for name in figures)]
    done = project.run(*settings, "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    for number in (19, 20):
        with open(project.folder / f"results/table{number}.csv", newline="") as file:
            lines = [line for line in csv.DictReader(file) if line["scale"]]
        table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
        run = {line["method"] for line in lines if line["metric"] != "correlation"}
        needs_weights = {row.name for row in table.rows if row.weights}
        assert run == {
            row.printed_as or row.name
            for row in table.rows
            if not (row.weights or row.only_at or row.starts_from in needs_weights)
            and row.name != "human"
        }
        assert all(
            0 <= float(line["value"]) <= 100 for line in lines if line["metric"] != "correlation"
        )
    again = project.run(*settings, "-n", "--", *targets)
    assert "Nothing to be done" in again.stdout + again.stderr
