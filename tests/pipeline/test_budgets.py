from __future__ import annotations

import json

import pytest

from tests.conftest import REPOSITORY
from tests.learning.tiny import TinyConfig, TinyGAN
from tests.pipeline.synthetic_results import TABLE, fill_scores
from unpaired import catalog
from unpaired.catalog.system import MethodEntry
from unpaired.learning.create import create
from unpaired.pipeline import budgets as costs
from unpaired.pipeline.budgets import paper_budget
from unpaired.pipeline.models import Budget
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.table import load_table
from unpaired.pipeline.tables.costs import costs_as_csv

TABLES = REPOSITORY / "config/tables"
HOURS: dict[str, float] = {}


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by one second whenever it is read."""
    ticks = iter(range(1000))
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(ticks))


def test_a_training_costs_its_length_times_one_image(clock):
    images_seen = create("neighbor2neighbor").config.images_seen
    budget = paper_budget("neighbor2neighbor", "cpu")
    assert budget["hours"] == images_seen / 3600
    assert budget["hours_per"] == "training"


def test_a_training_of_several_optimizers_costs_all_their_turns(clock, monkeypatch):
    monkeypatch.setitem(catalog.methods(), "tiny", MethodEntry("tests.learning.tiny:TinyGAN"))
    turns = []
    losses = TinyGAN.losses
    recording = lambda self, batch, state: turns.append(state.turn) or losses(self, batch, state)  # noqa: E731
    monkeypatch.setattr(TinyGAN, "losses", recording)
    assert paper_budget("tiny", "cpu")["hours"] == TinyConfig().images_seen / 3600
    assert turns == ["discriminator", "generator"] * costs.STEPS


def test_a_step_that_takes_long_is_taken_once(monkeypatch):
    monkeypatch.setitem(catalog.methods(), "tiny", MethodEntry("tests.learning.tiny:TinyGAN"))
    ticks = iter(range(0, 1000, 3))
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(ticks))
    assert paper_budget("tiny", "cpu")["hours"] == TinyConfig().images_seen * 3 / 3600
    assert next(ticks) == 2 * 3


def test_what_a_table_sets_is_measured_too(clock, monkeypatch):
    used = []
    monkeypatch.setattr(costs, "take_step", lambda _, optimizer, **__: used.append(optimizer))
    for options in ({}, {"per_channel": True}):
        paper_budget("n2v", "cpu", options)
    one, three = (
        sum(parameter.numel() for group in optimizer.param_groups for parameter in group["params"])
        for optimizer in used[:: costs.STEPS]
    )
    assert three == pytest.approx(3 * one, rel=0.01)


@pytest.mark.long
@pytest.mark.parametrize("number", [path.stem[5:] for path in TABLES.glob("table*.yaml")])
def test_every_training_of_a_table_can_take_the_step_that_is_measured(number, clock, monkeypatch):
    monkeypatch.setattr(costs, "take_step", lambda *_, **__: None)
    plan = plan_table(load_table(TABLES / f"table{number}.yaml"), parse_settings({}))
    given = [one for model in plan.models for one in model.lineage if one.is_trained]
    assert {one.budget.id for one in given if one.budget} <= {
        one.id for one in plan.measured_budgets
    }
    trained = [one for one in plan.measured_budgets if catalog.method(one.method).is_trained]
    for one in trained:
        if one.id not in HOURS:  # Tables share trainings.
            HOURS[one.id] = paper_budget(one.method, "cpu", one.options)["hours"]
    hours = [HOURS[one.id] for one in trained]
    assert all(value >= 0 for value in hours)
    assert any(value > 0 for value in hours)


def test_nothing_is_measured_of_a_network_that_is_not_trained():
    assert paper_budget("lpips", "cpu", {"form": "unweighted"})["hours"] == 0


def test_a_method_that_is_not_fitted_has_no_budget():
    assert paper_budget("cbm3d", "cpu")["hours"] is None


def test_budgets_stand_beside_the_costs_of_the_run(tmp_path):
    config = {"methods": ["cbm3d", "dip"], "noises": ["gauss25"], "testsets": ["embedded_test"]}
    plan = plan_table(TABLE, parse_settings(config))
    fill_scores(plan, tmp_path)
    (tmp_path / "results/budgets").mkdir()
    for method, hours in (("cbm3d", None), ("dip", 1.23456)):
        record = {"hours": hours, "hours_per": "image"}
        (tmp_path / f"results/budgets/{method}.json").write_text(json.dumps(record))
    lines = costs_as_csv(plan, tmp_path).splitlines()
    assert lines[0].endswith(",paper_budget_hours,paper_budget_hours_per")
    assert lines[1].startswith("cbm3d,")
    assert lines[1].endswith(",,")
    assert lines[2].startswith("dip,")
    assert lines[2].endswith(",1.23,image")


def test_a_row_with_defaults_has_the_budget_of_what_they_make_of_its_method(tmp_path):
    config = {"noises": ["gauss25"], "testsets": ["embedded_test"]}
    plan = plan_table(TABLE, parse_settings(config | {"methods": ["n2v", "n2c"]}))
    assert plan.measured_budgets == [Budget("n2c"), Budget("n2v", {"per_channel": True})]
    fill_scores(plan, tmp_path)
    for model in plan.trainings:
        record = {"parameters": 9, "images_seen": 8, "seconds": 1.0, "device": "a CPU"}
        (tmp_path / model.file).parent.mkdir(parents=True)
        (tmp_path / model.file).with_name("model.json").write_text(json.dumps(record))
    for hours, budget in enumerate(plan.measured_budgets, 1):
        path = tmp_path / budget.file
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"hours": hours, "hours_per": "training"}))
    lines = costs_as_csv(plan, tmp_path).splitlines()
    assert [line.split(",")[0] for line in lines if line.endswith(",1,training")] == ["n2c"]
    assert [line.split(",")[0] for line in lines if line.endswith(",2,training")] == ["n2v"]


def test_imported_weights_have_no_budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = tmp_path / "weights/neighbor2neighbor/gauss25.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    config = {"methods": ["neighbor2neighbor_authors"], "noises": ["gauss25"]}
    plan = plan_table(TABLE, parse_settings(config))
    assert plan.scores
    assert plan.measured_budgets == []


def test_the_papers_own_scale_measures_no_budget(tmp_path):
    for name in ("embedded_test", "imagenet/val", "kodak", "bsd300", "set14"):
        (tmp_path / name).mkdir(parents=True)
    config = {"scale": "paper", "train_set": "imagenet_val", "data_root": str(tmp_path)}
    assert plan_table(TABLE, parse_settings(config)).measured_budgets == []
