"""The smoke slice of the DAG, from pictures to a table, and what a second run does."""

from __future__ import annotations

import csv
import json
import os
import shutil

import pytest
from PIL import Image

from tests.workflow.conftest import SMOKE, TABLE
from unpaired.data.packs import Pack
from unpaired.learning.weights import load_model

pytestmark = pytest.mark.workflow


def rows_of(project):
    with open(project.folder / TABLE, newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_is_filled(finished):
    rows = rows_of(finished)
    assert {row["method"] for row in rows} == {"n2n", "neighbor2neighbor", "cbm3d"}
    assert {row["setting"] for row in rows} == {"gauss25"}
    for row in rows:
        assert row["dataset"] == "embedded_test"
        assert row["scale"] == "smoke"
        assert row["paper_value"] == row["delta"] == ""
        assert int(row["n_images"]) == 3
        assert float(row["value"]) > 0
    cbm3d = [row for row in rows if row["method"] == "cbm3d"]
    assert {row["status"] for row in cbm3d} == {"ok"}
    assert {row["seeds"] for row in cbm3d} == {""}


def test_every_model_says_what_made_it(finished):
    models = [path.parent for path in (finished.folder / "results/models").glob("*/model.json")]
    assert len(models) == 2
    for folder in models:
        about = json.loads((folder / "model.json").read_text())
        assert about["images_seen"] == about["config"]["images_seen"] == 80
        assert about["data"][0]["source"] == "embedded_train"
        assert about["versions"]["torch"]
        name, _ = load_model(folder / "model.safetensors")
        assert folder.name.startswith(f"{name}-")
        assert (folder / "history.csv").read_text().startswith("phase,step,images_seen,loss")


def test_every_model_has_a_readable_link(finished, monkeypatch):
    links = finished.folder / "results/models/by_name"
    names = {path.name: path.resolve().name.partition("-")[0] for path in links.iterdir()}
    assert names == {f"table1.part-{row}-gauss25": row for row in ("n2n", "neighbor2neighbor")}
    monkeypatch.chdir(finished.folder)
    assert load_model("table1.part:n2n:gauss25")[0] == "n2n"


def test_every_score_says_what_made_it(finished):
    scores = list((finished.folder / "results/scores").glob("*/*.csv"))
    assert len(scores) == 3
    for path in scores:
        record = json.loads(path.with_suffix(".json").read_text())
        assert path.parent.name.startswith(f"{record['spec']['method']}-")
        assert len(record["code"]) == 16
        pack = finished.folder / "results/packs/embedded_test.h5"
        data = {"source": "embedded_test", "pictures": 3, "sha256": Pack(pack).digest}
        assert record["data"] == [data]
        assert set(record["versions"]) == {"unpaired", "torch", "numpy", "python"}
        assert record["device"].startswith("CPU")
        assert 0 < record["seconds"] < 60
        is_network = record["spec"]["method"] != "cbm3d"
        assert record["precision"] == ("fp32" if is_network else None)
        assert bool(record["weights_sha256"]) == is_network


def test_markdown_costs_and_nothing_left_over(finished):
    results = finished.folder / "results"
    assert "| gauss25 |" in (results / "table1.part.md").read_text()
    costs = list(csv.DictReader((results / "table1.part_costs.csv").open()))
    assert {row["row"] for row in costs} == {"n2n", "neighbor2neighbor", "cbm3d"}
    work = [path for path in (results / "work").rglob("*") if path.is_file()]
    assert not [path for path in work if path.suffix != ".lock"]
    assert not list(results.rglob(".*.part*"))


def test_second_run_has_nothing_to_do(finished):
    done = finished.smoke()
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_touched_files_edited_comments_and_deleted_packs_rerun_nothing(finished, tmp_path):
    clone = finished.copy(tmp_path / "clone", "results", ".snakemake")
    shutil.rmtree(clone.folder / "results/packs")
    for path in clone.folder.rglob("*.py"):
        os.utime(path)
    for name in ("systems/denoising/methods/n2n.py", "learning/training.py", "data/packs.py"):
        path = clone.folder / "src/unpaired" / name
        path.write_text(path.read_text() + "\n# A new comment.\n")
    table = clone.folder / "config/tables/table1.yaml"
    table.write_text("# A new comment.\n" + table.read_text())
    assert clone.planned_rules() == set()


@pytest.mark.long
def test_a_fresh_clone_with_results_copied_over_reruns_nothing(finished, tmp_path):
    assert finished.copy(tmp_path / "without", "results").planned_rules() == set()
    assert finished.copy(tmp_path / "with", "results", ".snakemake").planned_rules() == set()


@pytest.mark.long
def test_an_edited_method_reruns_itself_and_the_tables_only(finished, tmp_path):
    clone = finished.copy(tmp_path / "clone", "results", ".snakemake")
    path = clone.folder / "src/unpaired/systems/denoising/methods/n2n.py"
    path.write_text(path.read_text() + "\nNEW = 1\n")
    done = clone.smoke("-n")
    text = done.stdout + done.stderr
    assert clone.planned_rules() == {"train", "evaluate", "table"}
    assert "Train n2n on gauss25" in text
    assert "Train neighbor2neighbor" not in text
    assert "Evaluate cbm3d" not in text
    assert "Code has changed" not in text  # told by params, not by file times


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "old", "new", "rules"),
    [
        (
            "embedded_test",
            "        pictures=3,",
            "        pictures=3,\n        value_range=(0, 256),",
            {"pack", "check_split", "evaluate", "table"},
        ),
        ("embedded_test", "embedded photographs (test)", "photographs", {"table"}),
        ("bsd300", "        pictures=100,", "        value_range=(0, 256),", set()),
        ("set14", "12 color images", "twelve color images", set()),
    ],
    ids=["value range", "title", "value range of an unused set", "title of an unused set"],
)
def test_an_edit_in_the_list_of_data_sets_reruns_what_it_means(
    finished, tmp_path, name, old, new, rules
):
    """A new entry, or another line of an old one, is no reason to train anything again."""
    clone = finished.copy(tmp_path / "clone", "results", ".snakemake")
    path = clone.folder / "src/unpaired/data/sources/__init__.py"
    before, entry, after = path.read_text().partition(f'        "{name}",\n')
    assert entry
    path.write_text(before + entry + after.replace(old, new, 1))
    assert path.read_text() != before + entry + after
    assert clone.planned_rules() == rules


def test_a_changed_setting_keeps_the_old_models(finished, tmp_path):
    clone = finished.copy(tmp_path / "clone", "results", ".snakemake")
    done = clone.run(*SMOKE, "seeds=[2]", "-n", "--", TABLE)
    assert "Train n2n on gauss25, seed 2" in done.stdout + done.stderr
    assert len(list((clone.folder / "results/models").glob("n*-*"))) == 2


@pytest.mark.long
def test_one_stage_can_be_forced_and_one_model_asked_for(finished, tmp_path):
    clone = finished.copy(tmp_path / "clone", "results", ".snakemake")
    assert clone.planned_rules("--forcerun", "table") == {"table"}
    model = next((clone.folder / "results/models").glob("n2n-*")) / "model.safetensors"
    weights = model.read_bytes()
    model.unlink()
    done = clone.run(*SMOKE, "--", str(model.relative_to(clone.folder)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert model.read_bytes() == weights


def test_the_figure(finished, tmp_path):
    clone = finished.copy(tmp_path / "clone", "results", ".snakemake")
    figure = "results/figures/table1.part_gauss25.png"
    done = clone.run(*SMOKE, "--", figure)
    assert done.returncode == 0, done.stdout + done.stderr
    with Image.open(clone.folder / figure) as picture:
        assert picture.size[0] > 700


@pytest.mark.long
def test_the_reports(finished, tmp_path):
    clone = finished.copy(tmp_path / "clone", "results", ".snakemake")
    report = "results/report.part.html"
    done = clone.run(*SMOKE, "--", report)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (clone.folder / report).read_text()
    for row in rows_of(clone):
        assert f'data-sort="{float(row["value"])}"' in page
    assert "Nothing to be done" in (again := clone.run(*SMOKE, "--", report)).stdout + again.stderr
    done = clone.run(*SMOKE, "--report", "snakemake.html", "--", report)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (report, TABLE):
        assert f"Adding {name.rpartition('/')[2]}" in done.stdout + done.stderr
    assert (clone.folder / "snakemake.html").stat().st_size > 100_000
    style = clone.folder / "src/unpaired/core/templates/report.css"
    style.write_text(style.read_text() + "/* new */")
    assert "Write results/report.part.html" in clone.run(*SMOKE, "-n", "--", report).stdout


def test_a_report_of_parts_never_takes_the_name_of_the_whole(finished):
    done = finished.run(*SMOKE, "-n", "--", "results/report.html")
    assert done.returncode != 0
    assert "these settings make results/report.part.html; ask for that" in done.stderr
