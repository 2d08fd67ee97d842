from __future__ import annotations

import json

import pytest

from tests.learning.tiny import TinyConfig, TinyGAN
from tests.pipeline.synthetic_results import TABLE, fill_scores
from unpaired import catalog
from unpaired.catalog.system import MethodEntry
from unpaired.learning.create import create
from unpaired.pipeline import budgets as costs
from unpaired.pipeline.budgets import paper_budget
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.tables.costs import costs_as_csv


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


def test_the_papers_own_scale_measures_no_budget(tmp_path):
    for name in ("embedded_test", "imagenet/val", "kodak", "bsd300", "set14"):
        (tmp_path / name).mkdir(parents=True)
    config = {"scale": "paper", "train_set": "imagenet_val", "data_root": str(tmp_path)}
    assert plan_table(TABLE, parse_settings(config)).measured_budgets == []
