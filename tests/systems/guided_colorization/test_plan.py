"""What Tables 11 and 12 plan, without PyTorch."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.pipeline.plan import plan_table
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


def test_the_page_is_shipped():
    text = Path(REPOSITORY / "pyproject.toml").read_text()
    assert "systems/guided_colorization/page/page.html" in text
