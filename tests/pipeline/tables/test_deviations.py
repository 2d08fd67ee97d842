from __future__ import annotations

from tests.pipeline.synthetic_results import TABLE
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.tables.deviations import deviations


def test_deviations_are_read_off_the_settings():
    config = {"training": {"images_seen": 10}, "evaluation": {"crop_px": 64, "repeats": 1}}
    said = " ".join(deviations(plan_table(TABLE, parse_settings(config))))
    for part in ("training.images_seen = 10", "center crops of 64 px", "embedded_train", "1 noise"):
        assert part in said
