from __future__ import annotations

import json
import re

import pytest
import yaml
from typer.testing import CliRunner

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.data.sources.embedded import test_records as embedded_test_records
from unpaired.pipeline import budgets as costs
from unpaired.pipeline import estimates
from unpaired.pipeline.estimates import Records, reference_of_table, references
from unpaired.pipeline.models import Budget
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import load_settings, parse_settings
from unpaired.pipeline.specs import plan_model
from unpaired.pipeline.status import describe, duration
from unpaired.pipeline.table import Row, load_table

TABLES = REPOSITORY / "config/tables"
TABLE = load_table(TABLES / "table1.yaml")
SMALL = {
    "noises": ["gauss25"],
    "methods": ["n2c"],
    "testsets": ["embedded_test"],
    "training": {"images_seen": 1000, "patch_px": 128},
    "network": {"width": 16},
    "evaluation": {"crop_px": 100, "repeats": 1},
}


def planned(**config):
    """Return settings for one cell of Table 1 and its plan."""
    settings = parse_settings(SMALL | config)
    return settings, plan_table(TABLE, settings, assume_data=True)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def add_training(root, model, seconds=30.0, **config):
    """Write what a training leaves: weights and a record."""
    folder = root / f"results/models/{model.id}"
    record = {
        "spec": model.spec,
        "config": {"images_seen": 500_000, "patch_px": 256} | model.spec["overrides"] | config,
        "seconds": seconds,
        "device": "a CPU",
    }
    write(folder / "model.json", json.dumps(record))
    (folder / "model.safetensors").touch()


def add_score(root, score, seconds_per_mpix=10.0):
    text = f"image,seconds_per_mpix\na,{seconds_per_mpix - 1}\nb,{seconds_per_mpix + 1}\n"
    write(root / f"{score.stem}.csv", text)


def add_budget(root, method, hours, per="training"):
    record = {"hours": hours, "hours_per": per, "device": "a CPU"}
    write(root / f"results/budgets/{method}.json", json.dumps(record))


def report(settings, root, number=1):
    return describe(settings, TABLES, root, number, verbose=True)


def line(settings, root, number=1):
    """Return what a table has after its name, in the short form."""
    text = describe(settings, TABLES, root, number)
    return text.splitlines()[0].partition(")  ")[2]


def test_nothing_is_there(tmp_path):
    settings, _ = planned()
    text = report(settings, tmp_path)
    assert "sRGB: not complete" in text
    assert "scored: 0 of 1 cells" in text
    assert "not trained, 1 cell:\n    n2c: gauss25 on embedded_test" in text
    assert "train n2c: unknown, nothing like it is recorded" in text
    assert text.endswith(
        "total: 2 jobs to run, unknown; one after another, on the devices of the records"
    )


def test_from_trained_to_complete(tmp_path):
    settings, plan = planned()
    (score,) = plan.scores
    add_training(tmp_path, score.model)
    assert "not scored, 1 cell:\n    n2c: gauss25 on embedded_test" in report(settings, tmp_path)
    add_score(tmp_path, score)
    assert "results/table1.part.csv is not written yet" in report(settings, tmp_path)
    write(tmp_path / "results/table1.part.csv", "")
    text = report(settings, tmp_path)
    assert "sRGB: complete" in text
    assert text.endswith("total: nothing is missing")


def test_a_cell_lacks_what_one_of_its_seeds_lacks(tmp_path):
    settings, plan = planned(seeds=[1, 2])
    for score in plan.scores[:1]:
        add_training(tmp_path, score.model)
        add_score(tmp_path, score)
    text = report(settings, tmp_path)
    assert "not trained, 1 cell" in text
    assert "total: 2 jobs to run" in text


def test_absent_data_is_told_and_is_no_lack_below_paper_scale(tmp_path):
    settings, plan = planned(testsets=["embedded_test", "kodak"], data_root=str(tmp_path / "data"))
    for score in plan.scores:
        add_training(tmp_path, score.model)
    add_score(tmp_path, plan.scores[0])
    write(tmp_path / "results/table1.part.csv", "")
    text = report(settings, tmp_path)
    assert "sRGB: complete" in text
    assert (
        f"data absent, 1 cell: data set 'kodak': {tmp_path}/data/kodak does not exist; get" in text
    )
    assert "total: 0 jobs to run, 0 s; once their data is there 1 more, 2 s" in text


def test_absent_training_data(tmp_path):
    settings, plan = planned(train_set="imagenet_val", data_root=str(tmp_path / "data"))
    text = report(settings, tmp_path)
    assert "data absent, 1 cell: data set 'imagenet_val'" in text
    assert "not trained" not in text
    add_training(tmp_path, plan.models[0])
    text = report(settings, tmp_path)
    assert "data absent" not in text
    assert "not scored, 1 cell" in text


def test_weights_that_are_not_imported_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = "weights not imported: neighbor2neighbor_authors (gauss25): unpaired import-weights"
    assert command in report(parse_settings({"noises": ["gauss25"]}), tmp_path)
    write(tmp_path / "weights/neighbor2neighbor/gauss25.safetensors", "")
    text = report(parse_settings({"noises": ["gauss25"]}), tmp_path)
    assert "weights not imported" not in text
    assert "neighbor2neighbor_authors" in text.split("not scored")[1]


def test_tables_that_the_settings_refuse(tmp_path):
    settings, _ = planned()
    why = "left out by these settings: config: methods: the table has no 'n2c'"
    text = describe(settings, TABLES, tmp_path, verbose=True)
    assert f"Table 3 (Neighbor2Neighbor, Table 3): {why}" in text
    lines = describe(settings, TABLES, tmp_path).splitlines()
    assert why in lines[2]
    assert lines[0].startswith("Table 1 ")
    with pytest.raises(UnpairedError, match="the table has no 'n2c'"):
        report(settings, tmp_path, 3)
    known = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20"
    with pytest.raises(UnpairedError, match=f"there is no table 99; there are: {known}"):
        report(settings, tmp_path, 99)
    with pytest.raises(UnpairedError, match="no tables here"):
        describe(settings, tmp_path, tmp_path)


# ---- One line a table ---------------------------------------------------------------------------


def shipped(**config):
    return parse_settings(yaml.safe_load((REPOSITORY / "config/config.yaml").read_text()) | config)


def test_a_fresh_clone_has_one_line_a_table_with_what_it_takes(tmp_path):
    text = describe(shipped(), TABLES, tmp_path)
    lines = text[: text.index("\n\n")].splitlines()
    tables = [load_table(path) for path in TABLES.glob("table*.yaml")]
    assert len(lines) == len(tables)
    for own, table in zip(lines, sorted(tables, key=lambda table: table.number), strict=True):
        assert own.startswith(f"Table {table.number} ({table.source})  ")
        assert "not made; takes about " in own
        assert " min on 2 cores" in own
    assert "not made; takes about 20 min on 2 cores; goes without kodak, bsd300" in lines[0]
    assert "takes about 8.2 min on 2 cores, with table 20" in text
    assert "make all: snakemake --cores all (at most 2.9 h on 2 cores)\n" in text


def test_the_line_follows_the_table_until_it_is_done(tmp_path):
    settings, plan = planned()
    (score,) = plan.scores
    assert line(settings, tmp_path) == "not made; time not known"
    add_training(tmp_path, score.model)
    assert line(settings, tmp_path) == "not made; time not known"
    add_score(tmp_path, score)
    assert line(settings, tmp_path) == "scored, but not written yet"
    write(tmp_path / "results/table1.part.csv", "")
    assert line(settings, tmp_path) == "done"
    assert "make" not in describe(settings, TABLES, tmp_path, 1)


def test_both_forms_name_the_same_reference(tmp_path):
    short = line(shipped(), tmp_path, 5)
    took = re.search(r"takes about ([\d.]+ min on \d+ cores)", short)[1]
    lines = report(shipped(), tmp_path, 5).splitlines()
    assert f"  the table takes about {took}, by a reference run" in lines
    assert f"(at most {took})" in lines[-1]
    assert "reference run" not in report(planned()[0], tmp_path)


def test_records_of_this_machine_come_before_the_reference(tmp_path):
    settings, plan = planned(seeds=[1, 2])
    add_training(tmp_path, plan.scores[0].model, seconds=300)
    add_score(tmp_path, plan.scores[0])
    assert line(settings, tmp_path) == "not made; takes about 5.0 min, one job after another"


def test_other_settings_than_the_shipped_ones_have_no_reference(tmp_path):
    changed = shipped(training={"images_seen": 5, "patch_px": 64})
    assert line(changed, tmp_path).startswith("not made; time not known")
    elsewhere = shipped(device="cpu", work_root=str(tmp_path))
    assert "20 min on 2 cores" in line(elsewhere, tmp_path)


def test_a_table_that_is_partly_made_takes_at_most_the_reference(tmp_path):
    settings = shipped()
    plan = plan_table(TABLE, settings, assume_data=True)
    cell = next(cell for cell in plan.cells if cell.is_present)
    for score in cell.scores:
        add_training(tmp_path, score.model)
        add_score(tmp_path, score)
    assert line(settings, tmp_path).startswith("1 of 45 cells made; takes at most 20 min on 2")


def test_at_the_papers_scale_a_table_waits_for_its_data_and_the_reference_is_in_years(tmp_path):
    files = [REPOSITORY / f"config/{name}.yaml" for name in ("config", "paper")]
    text = describe(load_settings(files, str(tmp_path)), TABLES, tmp_path, 1)
    assert "not made; takes more than 22 years, one job after another" in text
    assert "waits for imagenet_val, kodak, bsd300 and 1 more (data not here)" in text
    assert "with the same settings" in text


def test_every_table_and_every_trained_method_of_a_paper_has_a_reference():
    tables = [load_table(path) for path in TABLES.glob("table*.yaml")]
    measured = {table.number for table in tables if reference_of_table(table.number)}
    assert measured == {table.number for table in tables}
    assert reference_of_table(99) is None
    methods = {reference.of[0] for reference in references() if reference.kind != "table"}
    assert methods <= set(catalog.methods())
    assert all(reference.hours > 0 for reference in references())


def test_budgets_of_this_machine_come_before_the_reference(tmp_path):
    papers = {"training": {}, "network": {}}
    estimate = Records(tmp_path).training(model("n2n", **papers))
    assert estimate.seconds == 440 * 3600
    assert estimate.source == "reference, one processor core"
    add_budget(tmp_path, "n2n", 2.0)
    assert Records(tmp_path).training(model("n2n", **papers)).seconds == 7200


def test_what_a_row_sets_of_the_papers_training_has_a_budget_of_its_own(tmp_path):
    of_table = {"training": {}, "network": {}, "defaults": {"per_channel": True}}
    own = model("n2v", **of_table)
    assert own.budget == Budget("n2v", {"per_channel": True})
    add_budget(tmp_path, "n2v", 2.0)
    add_budget(tmp_path, own.budget.id, 6.0)
    records = Records(tmp_path)
    assert records.training(own).seconds == 6 * 3600
    assert records.training(model("n2v", training={}, network={})).seconds == 2 * 3600
    # A run that replaces the table's default does not cost what the paper's training does.
    one_network = {"overrides": {"n2v": {"per_channel": False}}}
    assert records.training(model("n2v", **of_table, **one_network)) is None


def test_the_reference_is_for_patches_and_pictures_of_the_methods_own(tmp_path):
    papers = {"training": {}, "network": {}}
    assert Records(tmp_path).training(model("n2c", **papers, defaults={"patch_px": 128})) is None


# ---- Estimates ----------------------------------------------------------------------------------


def model(name="n2c", seed=1, noise="gauss25", options=None, defaults=None, **config):
    row = Row(name=name, method=name, options=options or {}, defaults=defaults or {})
    return plan_model(parse_settings(SMALL | config), TABLE, noise, row, seed)


def test_a_training_scales_with_images_and_patch_area(tmp_path):
    add_training(tmp_path, model(), seconds=30)
    longer = model(training={"images_seen": 4000, "patch_px": 64, "batch_size": 8})
    estimate = Records(tmp_path).training(longer)
    assert estimate.seconds == 30 * 4 / 4
    assert estimate.source == f"results/models/{model().id}/model.json, a CPU"


def test_another_width_or_an_unknown_length_is_unknown(tmp_path):
    add_training(tmp_path, model())
    records = Records(tmp_path)
    assert records.training(model(network={"width": 48})) is None
    assert records.training(model(training={"images_seen": 1000})) is None
    assert records.training(model("n2n")) is None


def test_a_record_of_the_papers_length_is_used_for_it(tmp_path):
    papers = {"training": {}, "network": {}}
    add_training(tmp_path, model(**papers), seconds=1e5)
    add_budget(tmp_path, "n2c", 50)
    assert Records(tmp_path).training(model(seed=2, **papers)).seconds == 1e5
    short = {"training": {"images_seen": 5000}, "network": {}}
    assert Records(tmp_path).training(model(**short)).seconds == pytest.approx(1e3)


def test_the_papers_budget_is_for_the_papers_settings_alone(tmp_path):
    add_budget(tmp_path, "n2c", 2.0)
    records = Records(tmp_path)
    estimate = records.training(model(training={}, network={}))
    assert (estimate.seconds, estimate.source) == (7200, "results/budgets/n2c.json, a CPU")
    assert records.training(model()) is None


def test_the_nearest_record_is_used_and_of_equals_the_median(tmp_path):
    for seed, seconds in ((1, 10.0), (2, 20.0), (3, 90.0)):
        add_training(tmp_path, model(seed=seed), seconds, gamma=2.0)
    wanted = model(options={"gamma": 0.0})
    estimate = Records(tmp_path).training(wanted)
    assert estimate.seconds == 20
    assert estimate.source.endswith("a CPU, there gamma = 2.0")
    add_training(tmp_path, model(noise="poisson30", options={"gamma": 0.0}), 70.0)
    assert Records(tmp_path).training(wanted).seconds == 70


def test_scoring_scales_with_pixels_and_draws(tmp_path):
    _, plan = planned()
    add_score(tmp_path, plan.scores[0], seconds_per_mpix=10.0)
    _, wider = planned(testsets=["kodak"], evaluation={"crop_px": 256, "repeats": 3})
    # Kodak has 24 pictures.
    estimate = Records(tmp_path).scoring(wider.scores[0])
    assert estimate.seconds == pytest.approx(10 * 3 * 24 * 256**2 / 1e6)
    assert estimate.source == f"{plan.scores[0].stem}.csv"
    _, whole = planned(testsets=["kodak"], evaluation={})
    assert Records(tmp_path).scoring(whole.scores[0]).seconds == pytest.approx(10 * 10 * 9.44)


def test_scoring_of_another_model_of_the_method(tmp_path):
    _, plan = planned()
    _, other = planned(seeds=[2])
    add_training(tmp_path, plan.models[0])
    add_score(tmp_path, plan.scores[0])
    assert Records(tmp_path).scoring(other.scores[0]).source.endswith("csv, a CPU")
    _, wide = planned(network={"width": 48})
    assert Records(tmp_path).scoring(wide.scores[0]) is None


def test_a_method_fitted_to_every_image_has_a_budget_per_image(tmp_path):
    add_budget(tmp_path, "dip", 0.5, "image")
    _, plan = planned(methods=["dip"], testsets=["kodak"], evaluation={"repeats": 1})
    # 24 Kodak images of 768 x 512, which is the size the budget is for.
    assert Records(tmp_path).scoring(plan.scores[0]).seconds == pytest.approx(24 * 1800, rel=1e-3)
    _, short = planned(methods=["dip"], overrides={"dip": {"iterations": 5}})
    assert Records(tmp_path).scoring(short.scores[0]) is None


def test_pictures_of_unknown_size(tmp_path):
    _, plan = planned(folders={"mine": str(tmp_path)}, testsets=["mine"])
    add_score(tmp_path, plan.scores[0])
    assert Records(tmp_path).scoring(plan.scores[0]) is None


def test_a_broken_record_is_one_line(tmp_path):
    write(tmp_path / "results/models/n2c-0/model.json", "{")
    with pytest.raises(UnpairedError, match=r"model\.json: not a readable record"):
        Records(tmp_path).training(model())


def test_sizes_stand_for_the_real_ones():
    assert estimates.BUDGET_MEGAPIXELS == costs.IMAGE_PX / 1e6
    shapes = [record.arrays["image"].shape for record in embedded_test_records(None)]
    megapixels = sum(height * width for height, width, _ in shapes) / 1e6
    assert catalog.datasets()["embedded_test"].megapixels == pytest.approx(megapixels, abs=0.005)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (150, "2.5 min"), (7200, "2.0 h"), (86400 * 2, "2.0 days"), (1e9, "32 years")],
)
def test_durations_are_told_in_the_unit_that_fits(seconds, text):
    assert duration(seconds) == text


# ---- The command --------------------------------------------------------------------------------


def test_paper_scale_without_its_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    files = [f"--config=config/{name}.yaml" for name in ("config", "paper")]
    command = ["status", "-v", *files, "--data-root", str(tmp_path), "--table=4"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    for name in ("imagenet_val", "kodak"):
        assert f"data set '{name}': {tmp_path}" in done.output
    assert "Table 4 (Neighbor2Neighbor, Table 4), Sub-sampling" in done.output
    assert "Table 1 (" not in done.output
    assert not (tmp_path / "results").exists()
