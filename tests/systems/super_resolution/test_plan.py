from __future__ import annotations

import pytest

from tests.conftest import REPOSITORY
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.models import TablePlan
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import load_settings
from unpaired.pipeline.table import load_table, parse_table
from unpaired.pipeline.tables.deviations import deviations

TABLE = load_table(REPOSITORY / "config/tables/table5.yaml")


def planned(*overlays: str, table=TABLE) -> TablePlan:
    files = [REPOSITORY / f"config/{name}.yaml" for name in ("config", *overlays)]
    return plan_table(table, load_settings(files, None), assume_data=True)


def models(plan: TablePlan, noise: str = "aim19") -> dict:
    return {
        cell.row.name: cell.scores[0].model
        for cell in plan.cells
        if cell.noise == noise and cell.scores
    }


def test_every_network_starts_from_the_one_of_the_absolute_error():
    found = models(planned())
    start = found["rrdb_l1"]
    assert {row for row, model in found.items() if model.start == start} == {
        "bicubic", "awgn", "lud_vae", "lud_vae_public", "true_pairs", "lud_vae_no_blur",
    }  # fmt: skip
    assert found["lud_vae"].spec["start"] == start.id
    assert [one.method for one in found["lud_vae"].lineage] == ["lud_vae", "rrdb_l1", "esrgan"]


def test_a_degradation_sees_noisy_pictures_and_small_clean_ones_of_other_scenes():
    found = models(planned())
    pairs = found["lud_vae"].pairs
    sets = [f"simulated_low_resolution_{kind}" for kind in ("noisy", "clean")]
    assert pairs.model.packs == sets
    assert pairs.spec["source"] == sets[1]
    assert found["lud_vae"].data_sets == [*sets, sets[1]][:2]


def test_at_the_papers_scale_both_challenges_are_run_by_the_papers_form():
    plan = planned("paper")
    for noise, blur in (("aim19", 4.0), ("ntire20", 3.0)):
        found = models(plan, noise)
        assert "true_pairs" not in found
        lud_vae = found["lud_vae"].pairs.model
        assert lud_vae.packs == [f"{noise}_noisy", f"{noise}_clean"]
        assert lud_vae.spec["overrides"] == {"blur_kernel_px": 9, "blur_std_px": blur}
        assert found["lud_vae"].start == models(plan)["rrdb_l1"]
    settings = {cell.setting for cell in plan.cells if cell.row.name.startswith("lud_vae_")}
    assert {"aim19_no_blur", "aim19_blur_s9_sigma2", "aim19_blur_s9_sigma6"} <= settings


def test_the_table_says_that_a_small_run_has_no_gan():
    said = " ".join(deviations(planned()))
    assert "trained by the absolute error alone" in said
    assert "are no challenge's" in said
    assert "absolute error alone" not in " ".join(deviations(planned("paper")))


def test_a_row_of_pairs_may_start_only_from_a_row_that_is_there():
    content = TABLE.model_dump()
    row = next(row for row in content["rows"] if row["name"] == "lud_vae")
    row["starts_from"] = "nothing"
    with pytest.raises(UnpairedError, match="starts from 'nothing', which is no row"):
        planned(table=parse_table(content))
