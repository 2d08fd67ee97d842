"""Tables 15 to 19: what rows share, what learns from what, and what stands in the notes."""

from __future__ import annotations

import pytest

from tests.conftest import REPOSITORY
from unpaired.learning.model_names import names_of
from unpaired.pipeline.plan import plan_table, plan_tables
from unpaired.pipeline.run import Run
from unpaired.pipeline.settings import load_settings
from unpaired.pipeline.table import load_table
from unpaired.systems.features import PLACES, RGBD, SYSTEM, THINGS, VOC
from unpaired.systems.features.notes import OF_DRAWN, OF_ROOMS, notes, notes_of_rooms


def table(number: int):
    return load_table(REPOSITORY / f"config/tables/table{number}.yaml")


def settings(*names: str, **changes):
    paths = [REPOSITORY / f"config/{name}.yaml" for name in ("config", *names)]
    return load_settings(paths, None).model_copy(update=changes)


def plan(number: int, *names: str, **changes):
    return plan_table(table(number), settings(*names, **changes), assume_data=True)


def encoders(number: int, *names: str) -> dict:
    return {
        cell.row.name: dict(cell.scores[0].model.needs)["encoder"]
        for cell in plan(number, *names).cells
    }


@pytest.mark.parametrize("names", [(), ("paper",)])
def test_places_are_told_by_the_encoders_of_things(names):
    things, places = encoders(THINGS, *names), encoders(PLACES, *names)
    assert set(places) < set(things)
    assert all(places[row].id == things[row].id for row in places)
    assert len({model.id for model in things.values()}) == len(things)


def test_encoders_learn_from_other_pictures_than_probes_and_never_from_places():
    for number in (THINGS, PLACES):
        for cell in plan(number).cells:
            probe = cell.scores[0].model
            encoder = dict(probe.needs)["encoder"]
            assert encoder.packs == ["drawn_things_train"]
            assert probe.packs == [
                "drawn_things_labeled" if number == THINGS else "drawn_places_labeled"
            ]


def test_every_row_of_the_thesis_that_can_be_made_here_has_its_printed_values():
    for number in (THINGS, PLACES):
        chosen = table(number)
        printed = (REPOSITORY / f"config/paper_numbers/{chosen.paper_numbers}").read_text()
        alone = {row.name for row in chosen.rows if f",{row.printed_as}," not in printed}
        own = {"gaussian_l", "gaussian_ab"}
        assert alone == (own if number == THINGS else own | {"lab_to_lab", "split_brain_reg"})


def test_the_model_behind_a_probe_has_a_name_for_people():
    found = names_of(plan(THINGS))
    assert found["table15-split_brain_cl"].method == "cross_channel"
    assert found["table15-labels"].method == "image_labels"


def test_drawn_pictures_are_told():
    assert notes(plan(THINGS)) == [OF_DRAWN]
    assert notes(plan(THINGS, "paper")) == []


def test_figures_are_of_the_split_brain_and_wait_for_the_table():
    (stage,) = SYSTEM.stages
    chosen = settings()
    run = Run(chosen, *plan_tables([table(THINGS)], chosen))
    files = stage.inputs(run)
    assert files["table"] == "results/table15.csv"
    assert files["encoder"] == encoders(THINGS)["split_brain_cl"].file
    without = settings(methods=["gaussian"])
    assert stage.inputs(Run(without, *plan_tables([table(THINGS)], without))) is None


def test_what_is_trained_on_are_the_encoders_of_things():
    things = {model.id for model in encoders(THINGS).values()}
    cells = plan(VOC).cells
    assert {dict(cell.scores[0].model.needs)["encoder"].id for cell in cells} <= things
    settings_of = {cell.row.name: set() for cell in cells}
    for cell in cells:
        settings_of[cell.row.name].add(cell.setting)
    assert all(found == set(table(VOC).noises) for found in settings_of.values())


def test_segments_are_scored_by_overlap_and_the_rest_by_precision():
    for cell in plan(VOC).cells:
        metrics = table(VOC).metrics_at(cell.testset)
        assert metrics == (
            ["miu_pct"] if cell.noise == "segmentation_all" else ["map_pct", "map_area_pct"]
        )
        told = "segments" in cell.testset
        assert told == (cell.noise == "segmentation_all")


def test_rescaled_rows_are_those_that_the_thesis_marks():
    for cell in plan(VOC).cells:
        is_rescaled = cell.scores[0].model.spec["overrides"].get("rescaled", False)
        assert is_rescaled == (cell.row.name in ("kmeans", "split_brain_cl"))


def detectors() -> dict:
    """(row, setting) -> the model that is scored."""
    return {(cell.row.name, cell.setting): cell.scores[0].model for cell in plan(RGBD).cells}


def test_pictures_with_depth_are_those_of_the_thesis():
    printed = (REPOSITORY / "config/paper_numbers/zhang2018_table5.7.csv").read_text()
    wanted = {
        (method, setting)
        for setting, method in (line.split(",")[2:4] for line in printed.splitlines()[1:])
        if "supervised" not in method
    }
    cells = plan(RGBD).cells
    assert {(cell.row.printed_as or cell.row.name, cell.setting) for cell in cells} == wanted


def test_what_is_fused_are_the_detectors_of_the_other_settings():
    found = detectors()
    for row in ("kmeans", "split_brain"):
        needed = dict(found[row, "rgb_d"].needs)
        assert needed["rgb"].id == found[row, "rgb"].id
        assert needed["hha"].id == found[row, "d"].id
    names = names_of(plan(RGBD))
    assert names["table18-split_brain_rgb"].id == found["split_brain", "rgb"].id
    assert names["table18-split_brain_hha"].id == found["split_brain", "d"].id


def test_encoders_of_depth_learn_from_unlabeled_rooms_and_detectors_from_others():
    for (row, setting), model in detectors().items():
        if setting == "rgb_d":
            continue
        encoder = dict(model.needs)["encoder"]
        assert encoder.packs == ["drawn_rooms_unlabeled"]
        assert model.packs == ["drawn_rooms_train"]
        if row == "split_brain":
            assert encoder.method == ("rgb_to_hha" if setting == "rgb" else "hha_to_lab")


def test_drawn_rooms_are_told():
    assert notes_of_rooms(plan(RGBD)) == [OF_ROOMS]
    assert notes_of_rooms(plan(RGBD, "paper")) == []


def test_the_distance_of_the_split_brain_is_of_the_encoder_of_things():
    cells = [cell for cell in plan(19).cells if cell.row.name == "split_brain"]
    (needed,) = {dict(cell.scores[0].model.needs)["encoder"].id for cell in cells}
    assert needed == encoders(THINGS)["split_brain_cl"].id
    # At the paper's scale judgments alone are enough for the table.
    assert "split_brain" not in {cell.row.name for cell in plan(19, "paper").cells}
