"""The tables: what rows share, what their notes say, and where their figures are."""

from __future__ import annotations

import pytest

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.pipeline.plan import plan_table, plan_tables
from unpaired.pipeline.run import Run
from unpaired.pipeline.settings import load_settings
from unpaired.pipeline.table import load_table
from unpaired.systems.translation import DRAWN_TEST, ENCODERS, VARIANTS
from unpaired.systems.translation.notes import OF_DRAWN, notes

TABLES = {n: load_table(REPOSITORY / f"config/tables/table{n}.yaml") for n in (VARIANTS, ENCODERS)}


def settings(*names: str, **changes):
    paths = [REPOSITORY / f"config/{name}.yaml" for name in ("config", *names)]
    return load_settings(paths, None).model_copy(update=changes)


def plan(number: int, *names: str):
    return plan_table(TABLES[number], settings(*names), assume_data=True)


def test_the_tables_share_the_model_of_the_thesis():
    models = [{m.id: m for m in plan(number).trainings} for number in TABLES]
    (shared,) = models[0].keys() & models[1].keys()
    assert models[0][shared].spec["method"] == "bicyclegan"
    assert len(models[0]) == 7
    assert len(models[1]) == 6


def test_rows_differ_from_the_thesis_in_their_options_alone():
    rows = {row.name: row.options for row in TABLES[VARIANTS].rows if row.method == "bicyclegan"}
    assert rows.pop("bicyclegan") == {}
    assert rows.pop("pix2pix_noise_l1_100") == {"variant": "pix2pix_noise", "l1_weight": 100.0}
    assert all(options == {"variant": name} for name, options in rows.items())


def test_lengths_at_the_papers_scale_are_400_epochs():
    of_maps = {m.spec["overrides"]["images_seen"] for m in plan(VARIANTS, "paper").trainings}
    assert of_maps == {400 * 1096 // 2}
    found = {
        (model.spec["train_set"], model.spec["overrides"].get("images_seen", 400 * 400 // 2))
        for model in plan(ENCODERS, "paper").trainings
    }
    assert found == {("facades_train", 80_000), ("maps_train", 219_200)}


def test_the_papers_numbers_stand_beside_no_drawn_facade():
    for number, table in TABLES.items():
        printed = (REPOSITORY / f"config/paper_numbers/{table.paper_numbers}").read_text()
        assert DRAWN_TEST not in printed
        assert notes(plan(number)) == [OF_DRAWN]
    assert "lpips_diversity" in TABLES[VARIANTS].metrics_at("maps_val")
    assert "lpips_diversity" not in TABLES[VARIANTS].metrics_at(DRAWN_TEST)


def test_encoders_are_scored_on_both_sets_in_rows_of_one_name():
    cells = [cell for cell in plan(ENCODERS, "paper").cells if cell.testset != DRAWN_TEST]
    of_row = {}
    for cell in cells:
        of_row.setdefault((cell.setting, cell.method), set()).add(cell.testset)
    for setting in ("resnet_add_to_all", "cnn_add_to_input"):
        assert of_row[setting, "bicyclegan"] == {"facades_val", "maps_val"}


def test_figures_have_files_where_their_rows_are():
    tables = list(TABLES.values())
    whole = Run(settings(), *plan_tables(tables, settings()))
    figures, lengths = (catalog.stages()[name] for name in ("translation_figures", "code_lengths"))
    files = whole.files_of(figures)
    assert len(files["models"]) == len(files["scores"]) == 7
    assert figures.arguments(whole)["rows"][-1] == "bicyclegan"
    assert len(whole.files_of(lengths)["models"]) == 3
    narrow = settings(methods=["true_styles", "cnn_add_to_all"])
    part = Run(narrow, *plan_tables(tables, narrow))
    assert part.files_of(figures) is None
    assert part.files_of(lengths) is None


@pytest.mark.parametrize("name", ["edges2shoes_train", "night2day_val", "facades_val"])
def test_official_sets_are_known(name):
    assert catalog.datasets()[name].folder == name.rpartition("_")[0]
