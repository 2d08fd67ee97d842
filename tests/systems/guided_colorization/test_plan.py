"""What Tables 11 and 12 plan, without PyTorch."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.pipeline.plan import plan_table, plan_tables
from unpaired.pipeline.run import Run
from unpaired.pipeline.settings import load_settings
from unpaired.pipeline.table import load_table


def planned(number: int):
    settings = load_settings([REPOSITORY / "config/config.yaml"], None)
    return plan_table(load_table(REPOSITORY / f"config/tables/table{number}.yaml"), settings)


def models(number: int) -> dict:
    return {cell.row.name: cell.scores[0].model for cell in planned(number).cells if cell.scores}


def test_automatic_rows_share_their_models_with_table_10():
    ten, eleven, twelve = (models(number) for number in (10, 11, 12))
    for row in ("full", "class"):
        assert eleven[row].id == ten[row].id
    assert eleven["local"].start.id == eleven["global"].start.id == ten["class"].id
    assert twelve["global"].id == eleven["global"].id


def test_every_row_is_told_what_its_method_takes():
    entries = catalog.methods()
    takes = {"histogram": "histogram", "saturation": "saturation", "both": "histogram"}
    for cell in planned(11).cells:
        told = catalog.conditions()[cell.noise].values["told"]
        if told == "nothing" or cell.row.method == "edit_propagation":
            continue
        wanted = takes.get(told, "points")
        assert wanted in entries[cell.row.method].gives_colors_by


def test_without_sun_6_its_cells_are_empty_and_others_are_scored():
    scored = {cell.testset for cell in planned(12).cells if cell.scores}
    assert scored == {"color_scenes_test", "embedded_test"}


def run_of(tmp_path, settings: str = "") -> Run:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(settings or "device: cpu\n")
    loaded = load_settings([REPOSITORY / "config/config.yaml", overlay], None)
    table = load_table(REPOSITORY / "config/tables/table11.yaml")
    return Run(loaded, *plan_tables([table], loaded))


def test_stages_have_files_where_their_rows_are(tmp_path):
    whole, stages = run_of(tmp_path), catalog.stages()
    curves, figures, coverage = (
        stages[name] for name in ("hint_curves", "hint_figures", "suggestion_coverage")
    )
    files, arguments = whole.files_of(curves), curves.arguments(whole)
    assert len(files["scores"]) == len(arguments["rows"]) == len(arguments["conditions"])
    assert {"local", "edit_propagation", "gray"} <= set(arguments["rows"])
    drawn = whole.files_of(figures)
    assert ("local_hints" in drawn["points"], "global_hints" in drawn["statistics"]) == (True, True)
    assert whole.files_of(coverage)["models"] == [drawn["points"]]
    assert coverage.arguments(whole)["seeds"] == ["1"]


def test_stages_without_their_rows_have_none(tmp_path):
    part, stages = run_of(tmp_path, "methods: [gray, global]\n"), catalog.stages()
    for name in ("hint_curves", "hint_figures", "suggestion_coverage"):
        assert part.files_of(stages[name]) is None


def test_the_page_is_shipped():
    text = Path(REPOSITORY / "pyproject.toml").read_text()
    assert "systems/guided_colorization/page/page.html" in text
