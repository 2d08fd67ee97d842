"""The table: what its rows share, what stands in their notes, and where its figures are."""

from __future__ import annotations

import pytest

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.plan import plan_table, plan_tables
from unpaired.pipeline.run import Run
from unpaired.pipeline.settings import load_settings
from unpaired.pipeline.table import load_table
from unpaired.systems.few_shot import DRAWN, PEOPLE, TABLE
from unpaired.systems.few_shot.notes import OF_DRAWN, notes

CHOSEN = load_table(REPOSITORY / f"config/tables/table{TABLE}.yaml")


def settings(*names: str, **changes):
    paths = [REPOSITORY / f"config/{name}.yaml" for name in ("config", *names)]
    return load_settings(paths, None).model_copy(update=changes)


def plan(*names: str, **changes):
    return plan_table(CHOSEN, settings(*names, **changes), assume_data=True)


def test_every_row_prints_the_weights_and_noise_that_it_was_trained_with():
    for row in CHOSEN.rows:
        for key, value in row.options.items():
            told = "1 step" if key == "reverse_steps" else str(value)
            assert isinstance(value, bool) or told in row.note, (row.name, key)


def test_rows_start_from_one_network_and_share_one_prior():
    trainings = {model.id: model for model in plan().trainings}
    methods = [model.method for model in trainings.values()]
    assert methods.count("ddpm") == methods.count("supervised_start") == 1
    assert methods.count("supervised") == 1  # Read-outs share a training.
    assert methods.count("sud") == 2  # Two weights.
    start = next(model for model in trainings.values() if model.method == "supervised_start")
    for model in trainings.values():
        if model.method in ("supervised", "sud", "sud_noise", "sud2"):
            assert model.start.id == start.id


def test_cyclegan_is_run_at_the_papers_scale_alone():
    assert "cyclegan" not in {cell.row.name for cell in plan().cells}
    assert {"cyclegan", "cyclegan_ssl"} <= {cell.row.name for cell in plan("paper").cells}


def test_drawn_portraits_are_told_and_the_papers_numbers_stand_beside_no_other():
    assert notes(plan()) == [OF_DRAWN]
    assert notes(plan("paper")) == []
    printed = (REPOSITORY / f"config/paper_numbers/{CHOSEN.paper_numbers}").read_text()
    assert PEOPLE in printed
    assert DRAWN not in printed
    assert {"lpips", "fid"} <= set(CHOSEN.metrics_at(PEOPLE))
    assert not {"lpips", "fid"} & set(CHOSEN.metrics_at(DRAWN))


def test_its_stages_have_files_where_their_rows_are():
    whole = Run(settings(), *plan_tables([CHOSEN], settings()))
    figures, differences = (
        catalog.stages()[name] for name in ("portrait_figures", "portrait_differences")
    )
    files = whole.files_of(figures)
    assert "ddpm" in files["prior"]
    arguments = figures.arguments(whole)
    assert len(arguments["rows"]) == len(arguments["read-outs"]) == len(files["models"])
    assert len(whole.files_of(differences)["scores"]) == len(differences.arguments(whole)["rows"])
    narrow = settings(methods=["unfilled", "supervised"])
    part = Run(narrow, *plan_tables([CHOSEN], narrow))
    assert part.files_of(figures) is None
    assert part.files_of(differences)["scores"]
    alone = settings(methods=["unfilled"])
    assert Run(alone, *plan_tables([CHOSEN], alone)).files_of(differences) is None


def test_a_hole_that_nobody_declared_is_told():
    other = CHOSEN.model_copy(update={"noises": ["face_zeros"]})
    with pytest.raises(UnpairedError, match="unknown noise 'face_zeros'"):
        plan_table(other, settings(), assume_data=True)


def test_other_holes_are_one_word_in_the_table():
    for name in ("face_mean", "face_noise", "face_and_ears_zero"):
        other = CHOSEN.model_copy(update={"noises": [name]})
        assert {cell.noise for cell in plan_table(other, settings()).cells} == {name}
