from __future__ import annotations

from tests.conftest import REPOSITORY
from tests.pipeline.synthetic_results import TABLE
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.table import load_table
from unpaired.pipeline.tables.deviations import LOW_PRECISION, deviations, deviations_of_code


def test_deviations_are_read_off_the_settings():
    config = {"training": {"images_seen": 10}, "evaluation": {"crop_px": 64, "repeats": 1}}
    said = " ".join(deviations(plan_table(TABLE, parse_settings(config))))
    for part in ("training.images_seen = 10", "center crops of 64 px", "embedded_train", "1 noise"):
        assert part in said


def test_overrides_on_a_training_set_are_listed_where_it_is_learned_from():
    own = {"embedded_train": {"n2c": {"width": 3}}, "kodak": {"n2c": {"width": 5}}}
    said = deviations(plan_table(TABLE, parse_settings({"overrides_on": own})))
    assert "n2c on embedded_train: width = 3." in said
    assert not any("width = 5" in line for line in said)


def test_what_the_code_does_otherwise_is_told_of_the_methods_that_are_run():
    colors = load_table(REPOSITORY / "config/tables/table10.yaml")
    whole, gray = (
        deviations(plan_table(colors, parse_settings(config)))
        for config in ({}, {"methods": ["gray"]})
    )
    prior = "colorization: The color prior is counted in the training set"
    assert any(line.startswith(prior) for line in whole)
    assert not any(line.startswith("colorization") for line in gray)
    assert LOW_PRECISION in whole
    assert LOW_PRECISION not in gray
    exact = deviations(plan_table(colors, parse_settings({"training": {"precision": "fp32"}})))
    assert LOW_PRECISION not in exact


def test_what_the_code_does_otherwise_stands_where_it_matters():
    crops = "neighbor2neighbor: On raw images as many crops"
    planes = "n2v: On raw images one network"
    noticeable = "JND mAP sorts all pairs"
    some = (crops, planes, noticeable)
    where = {1: [], 2: [crops, planes], 3: [], 4: [crops], 19: [], 20: [noticeable]}
    for number, expected in where.items():
        assert [start for start in some if is_said(start, number)] == expected
    assert is_said("n2v: The network is CSBDeep's", 1)
    assert not is_said(crops, 4, {"testsets": ["embedded_test"]})
    assert not is_said(noticeable, 20, {"testsets": ["simulated_bapps_cnn"]})


def is_said(start: str, number: int, config: dict | None = None) -> bool:
    table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
    plan = plan_table(table, parse_settings(config or {}), assume_data=True)
    return any(line.startswith(start) for line in deviations_of_code(plan))
