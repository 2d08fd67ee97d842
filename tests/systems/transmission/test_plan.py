"""How Table 9 is planned: one codec, a network for each channel, models shared with Table 8."""

from __future__ import annotations

import json

import pytest

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.learning.model_names import names_of
from unpaired.pipeline.plan import plan_table, plan_tables
from unpaired.pipeline.run import Run
from unpaired.pipeline.settings import load_settings
from unpaired.pipeline.table import load_table

TABLES = REPOSITORY / "config/tables"
TABLE = load_table(TABLES / "table9.yaml")
ALL = ["snr_minus5", "snr_minus3", "snr_minus1", "snr_1", "snr_3", "snr_5"]


def settings(*overlays: str, **changes):
    files = [REPOSITORY / f"config/{name}.yaml" for name in ("config", *overlays)]
    found = load_settings(files, None)
    return found.model_copy(update=changes)


def plan(**changes):
    return plan_table(TABLE, settings(**changes))


def test_two_channels_at_demo_scale_and_six_for_who_asks():
    assert plan().noises == ["snr_minus5", "snr_5"]
    everything = plan(noises=ALL)
    assert everything.noises == ALL
    assert not everything.is_part
    assert plan(noises=["snr_1"]).is_part
    paper = plan_table(TABLE, settings("paper"), assume_data=True)
    assert paper.noises == ALL
    with pytest.raises(UnpairedError, match="has no 'snr_2'"):
        plan(noises=["snr_2"])


def test_one_codec_and_a_network_for_each_channel():
    methods = [model.method for model in plan(noises=ALL).trainings]
    counts = {name: methods.count(name) for name in methods}
    assert counts == {
        "deepjscc": 1,
        "deepjscc_post": 6,
        "invertible": 6,
        "ddpm": 1,
        "portrait_features": 1,
    }
    for cell in plan().cells:
        for score in cell.scores:
            needs = dict(score.model.needs)
            if "inn" in needs:
                assert needs["inn"].spec["noise"] == cell.noise
                assert dict(needs["inn"].needs)["codec"].id == needs["codec"].id


def test_diffusion_model_and_features_are_those_of_table_8():
    ids = {
        number: {
            model.id
            for model in plan_table(
                load_table(TABLES / f"table{number}.yaml"), settings()
            ).trainings
            if model.method in ("ddpm", "portrait_features")
        }
        for number in (8, 9)
    }
    assert ids[8] == ids[9]
    assert len(ids[9]) == 2


def test_lpips_is_scored_where_its_weights_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [name for name, _ in plan().scores[0].inputs] == ["features"]
    file = tmp_path / "weights/lpips/published_alex.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    assert [name for name, _ in plan().scores[0].inputs] == ["features", "lpips_alex"]


WEIGHTS = (
    "weights/lpips/published_vgg.safetensors",
    "weights/stylegan2/stylegan2_ffhq_config_f.safetensors",
)


def test_the_fitted_generator_is_a_row_of_the_paper_where_its_weights_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def rows(*overlays, **changes):
        made = plan_table(TABLE, settings(*overlays, **changes), assume_data=True)
        return {cell.row.name: cell for cell in made.cells}

    assert "inverse_jscc" not in rows("paper")
    asked = {"methods": ["deepjscc", "inverse_jscc"]}
    for path, told in zip(WEIGHTS, ("lpips$", "stylegan2 FILE"), strict=True):
        with pytest.raises(UnpairedError, match=f"no file {path}; .* import-weights {told}"):
            rows("paper", **asked)
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert "inverse_jscc" not in rows()
    (score,) = rows("paper", **asked)["inverse_jscc"].scores
    needs = dict(score.model.needs)
    assert (needs["lpips"].file, needs["generator"].file) == WEIGHTS
    assert needs["codec"].method == "deepjscc"


def test_models_that_rows_need_have_names_that_a_person_can_type():
    names = names_of(plan())
    assert {"table9-prior", "table9-deepjscc", "table9-inn-snr_5"} <= names.keys()
    assert names["table9-inn-snr_5"].spec["noise"] == "snr_5"


def test_figures_have_their_files_and_the_examples_the_channel_next_to_1_db():
    run = Run(settings(), *plan_tables([TABLE], settings()))
    stages = catalog.stages()
    curves, examples = (stages[f"transmission_{name}"] for name in ("curves", "examples"))
    files, told = curves.inputs(run), curves.arguments(run)
    assert len(files["scores"]) == len(told["rows"]) == len(told["conditions"])
    about = examples.arguments(run)
    assert about["condition"] == "snr_5"
    products = json.loads(about["products"])
    assert list(products) == [row.name for row in TABLE.rows if row.only_at is None]
    named = {file for one in products.values() for file in one["needs"].values()}
    named |= {one["file"] for one in products.values() if one["file"]}
    assert named == set(examples.inputs(run)["models"])
