"""What a run says of its files without Snakemake: targets, parts, artifacts, missing tables."""

from __future__ import annotations

import hashlib

import pytest

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.catalog.system import Artifact, Condition, MethodEntry, Metric, Output, Scorer, Stage
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.models import Budget
from unpaired.pipeline.plan import plan_tables
from unpaired.pipeline.report.numbers import describe_noise
from unpaired.pipeline.run import Run, as_arguments
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.specs import data_models
from unpaired.pipeline.table import Table, load_tables, parse_table

TABLES = load_tables(REPOSITORY / "config/tables")


def run_of(tables: list[Table] = TABLES, **config) -> Run:
    settings = parse_settings(config)
    return Run(settings, *plan_tables(tables, settings))


@pytest.fixture
def stage(monkeypatch):
    """Return a function that declares a rule of a system, which shows tables 1 and 3."""

    def declare(**details) -> Stage:
        made = {"figure": Output("results/figures/shown{part}.png")}
        whole = {"inputs": lambda run: {"models": ["a", "b"]}, "outputs": made, "tables": (1, 3)}
        one = Stage("shown", "unpaired.stages.report", message="Show", **(whole | details))
        monkeypatch.setitem(catalog.stages(), "shown", one)
        return one

    return declare


def shown(run: Run) -> list[str]:
    return [path for path in run.stage_targets() if "shown" in path]


def test_a_stage_is_asked_for_under_the_name_of_what_it_shows(stage):
    one = stage()
    assert shown(run_of()) == ["results/figures/shown.png"]
    assert run_of().files_of(one) == {"models": ["a", "b"]}
    assert shown(run_of(noises=["gauss25"])) == ["results/figures/shown.part.png"]


def test_a_stage_without_its_tables_or_files_is_not_asked_for(stage):
    one = stage()
    without = run_of([table for table in TABLES if table.number != 3])
    assert without.files_of(one) is None
    assert shown(without) == []
    stage(inputs=lambda run: None)
    assert shown(run_of()) == []


def test_a_stage_waits_for_the_data_that_it_declares(stage, tmp_path):
    one = stage(data_sets=("imagenet_train",))
    assert run_of().files_of(one) is None
    assert shown(run_of(data_root=str(tmp_path))) == []
    assert [dataset.name for dataset in run_of().absent_of(one)] == ["imagenet_train"]
    (tmp_path / "imagenet/train").mkdir(parents=True)
    assert shown(run_of(data_root=str(tmp_path))) == ["results/figures/shown.png"]


def test_a_stage_that_others_ask_for_is_no_target(stage):
    stage(is_target=False)
    assert shown(run_of()) == []


def test_systems_have_their_targets_in_whole_runs_and_parts():
    whole = run_of().stage_targets()
    assert len(whole) == len(set(whole)) > 5
    assert not any("{" in path or ".part" in path for path in whole)
    narrowed = run_of(methods=["n2c"]).stage_targets()
    assert set(narrowed) < set(whole)


def test_tables_that_cannot_be_planned_say_why(tmp_path):
    run = run_of(methods=["n2c"])
    assert set(run.plans) | set(run.refusals) == {table.number for table in TABLES}
    assert run.refusals
    assert run.is_part
    assert all("the table has no 'n2c'" in str(error) for error in run.refusals.values())
    assert not run_of().is_part


def test_models_pairs_and_scores_are_found_by_name():
    run = run_of()
    for name, model in run.models.items():
        assert model.id == name
    assert {pairs.model.id for pairs in run.pairs.values()} <= run.models.keys()
    assert all(score.stem == stem for stem, score in run.scores.items())


def test_models_that_others_wait_for_are_trained_first():
    run = run_of([table for table in TABLES if table.number == 8])
    names = {model.method: run.waiting[model.id] for model in run.models.values()}
    assert names["portrait_features"] == names["sud"] == 0
    # Two of sud, sud_noise, and sud2 with its three ablations are given the diffusion model.
    assert names["ddpm"] == 7
    assert names["supervised_start"] == 8


def test_models_of_data_belong_to_runs_that_read_what_they_make():
    (folder, models), *_ = data_models(parse_settings({})).items()
    assert run_of().data_models_of(folder) == models
    assert {model.id for model in models} <= run_of().models.keys()
    assert run_of([TABLES[0]]).data_models == []
    assert run_of([TABLES[0]]).data_models_of(folder) == []


def test_imported_weights_are_the_files_that_no_rule_makes(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run_of().imported_weights == []
    for name in ("gauss25", "gauss5_50"):
        path = tmp_path / f"weights/neighbor2neighbor/{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert run_of().imported_weights == [
        f"weights/neighbor2neighbor/{name}.safetensors" for name in ("gauss25", "gauss5_50")
    ]


def test_rules_take_receipts_in_place_of_packs():
    run = run_of()
    files = {"pack": "results/packs/kodak.h5", "models": ["a/m.h5", "results/packs/set14.h5"]}
    assert run.packs_among(files) == ["kodak", "set14"]
    assert run.in_dag(files) == {
        "pack": ["results/data_sets/kodak.json"],
        "models": ["a/m.h5", "results/data_sets/set14.json"],
    }


def test_files_have_their_places():
    run = run_of()
    assert run.receipt("kodak") == "results/data_sets/kodak.json"
    assert run.pack("kodak") == "results/packs/kodak.h5"
    assert run.split("a", "b") == "results/data_sets/disjoint/a-b.txt"


def test_an_artifact_is_made_unless_the_settings_have_one(monkeypatch, tmp_path):
    artifact = Artifact("counts", "results/counts/{dataset}.npy", "a.stage", "counts", "Count")
    monkeypatch.setitem(catalog.artifacts(), "counts", artifact)
    wanted = {"counts": "kodak"}
    run = run_of()
    assert run.artifacts(wanted) == {"counts": "results/counts/kodak.npy"}
    assert run.artifact_options(wanted) == ["--artifact=counts=results/counts/kodak.npy"]
    assert run.digests == {}
    own = tmp_path / "own.npy"
    own.write_bytes(b"counted")
    run = run_of(files={"counts": str(own)})
    assert run.artifacts(wanted) == {}  # Known by its digest, not by its place.
    assert run.artifact_options(wanted) == [f"--artifact=counts={own}"]
    assert run.digests == {"counts": hashlib.sha256(b"counted").hexdigest()}


def test_arguments_of_a_command_line():
    given = {"models": ["a", "b"], "at_scale": "demo", "counts": [1, 2]}
    expected = ["--models", "a", "b", "--at-scale", "demo", "--counts", "1", "2"]
    assert as_arguments(given) == expected


# ---- Models that others need ----


@pytest.fixture
def toys(monkeypatch):
    """Declare methods, a condition and two tasks that the systems do not have."""
    here = "tests.learning.tiny"
    entries = {
        "toy_prior": MethodEntry(f"{here}:TinyGAN", follows_settings=False),
        "toy": MethodEntry(f"{here}:Follower", follows_settings=False, roles=("prior",)),
        "toy_by_image": MethodEntry(f"{here}:Follower", is_trained=False, roles=("prior",)),
    }
    for name, entry in entries.items():
        monkeypatch.setitem(catalog.methods(), name, entry)
    metrics = {"psnr_db": Metric("PSNR (dB)", 2, 0.1, 0.5)}
    for task in ("toying", "toying_too"):
        scorer = Scorer(f"{here}:score", metrics=metrics, inputs=("judge",), samples=5)
        monkeypatch.setitem(catalog.scorers(), task, scorer)
    monkeypatch.setitem(catalog.conditions(), "hole", Condition("a hole"))


def toy_table(**changes) -> Table:
    content = {
        "number": 101,
        "title": "",
        "source": "",
        "paper": "",
        "paper_numbers": "",
        "task": "toying",
        "noises": ["hole"],
        "testsets": ["embedded_test"],
        "models": [{"prior": {"method": "toy_prior", "train_noise": "none"}}],
        "scored_with": {"judge": "prior"},
        "rows": [{"toy": {"needs": {"prior": "prior"}}}],
    }
    return parse_table(content | changes)


def only(run: Run, number: int = 101):
    if number in run.refusals:
        raise run.refusals[number]
    return run.plans[number]


@pytest.mark.usefixtures("toys")
def test_a_model_that_rows_need_is_trained_once_and_first():
    rows = [{"toy": {"needs": {"prior": "prior"}}}, {"by": {"method": "toy_by_image"}}]
    rows[1]["by"]["needs"] = {"prior": "prior"}
    plan = only(run_of([toy_table(rows=rows)]))
    assert [model.method for model in plan.trainings] == ["toy_prior", "toy"]
    prior = plan.trainings[0]
    assert prior.spec["noise"] == "none"
    assert plan.trainings[1].spec["noise"] == "hole"
    assert {score.model.needs for score in plan.scores} == {(("prior", prior),)}
    assert all(score.model.spec["needs"] == {"prior": prior.id} for score in plan.scores)
    assert all(score.inputs == (("judge", prior),) for score in plan.scores)


@pytest.mark.usefixtures("toys")
def test_a_method_that_needs_others_has_no_budget_and_a_condition_has_a_title():
    assert only(run_of([toy_table()])).measured_budgets == [Budget("toy_prior")]
    assert describe_noise("hole") == "a hole"


@pytest.mark.usefixtures("toys")
def test_samples_stand_in_place_of_noise_draws():
    (score,) = only(run_of([toy_table()], evaluation={"repeats": 2})).scores
    assert score.protocol.repeats == score.protocol.paper_repeats == 5


@pytest.mark.usefixtures("toys")
def test_tables_that_describe_a_model_alike_share_it():
    other = toy_table(number=102, rows=[{"toy": {"needs": {"prior": "prior"}, "options": {}}}])
    run = run_of([toy_table(), other])
    assert len(run.models) == 2
    assert len(run.scores) == 1


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": ["toy"]}, "must say, by needs, which row or model is its prior"),
        ({"rows": [{"toy": {"needs": {"priors": "prior"}}}]}, "'priors', which it does not know"),
        (
            {"rows": [{"toy": {"needs": {"prior": "pror"}}}]},
            "no row or model is called 'pror'; did",
        ),
        ({"rows": [{"toy": {"needs": {"prior": "toy"}}}]}, "toy needs toy: a circle"),
        ({"scored_with": {}}, "scored_with must say which model is its judge"),
        ({"scored_with": {"judge": "prior", "juge": "prior"}}, "'juge', which it does not know"),
        ({"scored_with": {"judge": "nobody"}}, "no row or model is called 'nobody'"),
        (
            {"models": [{"prior": {"method": "toy_prior", "weights": "absent.safetensors"}}]},
            "no file absent.safetensors for 'prior'; make it",
        ),
        ({"models": [{"prior": "cbm3d"}]}, "'prior' learns nothing: it cannot be a"),
    ],
)
def test_what_does_not_fit_is_one_line(changes, message):
    rows = {"rows": [{"toy_prior": {}}]} if "weights" in str(changes) else {}
    if changes.get("models") == [{"prior": "cbm3d"}]:
        changes = {"models": [{"prior": {"method": "cbm3d"}}]}
    with pytest.raises(UnpairedError, match=message) as error:
        only(run_of([toy_table(**changes, **rows)]))
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("toys")
def test_a_row_is_there_only_with_the_imported_weights_that_it_needs(tmp_path):
    models = [
        {"prior": {"method": "toy_prior", "train_noise": "none"}},
        {"imported": {"method": "toy_prior", "weights": str(tmp_path / "w.safetensors")}},
    ]
    rows = [
        {"toy": {"needs": {"prior": "prior"}}},
        {"of_authors": {"method": "toy", "needs": {"prior": "imported"}}},
    ]
    table = toy_table(models=models, rows=rows)
    assert [cell.row.name for cell in only(run_of([table])).cells] == ["toy"]
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    assert [cell.row.name for cell in only(run_of([table])).cells] == ["toy", "of_authors"]


@pytest.mark.usefixtures("toys")
def test_one_file_does_not_hold_two_ways_to_score():
    models = [*toy_table().model_dump()["models"], {"name": "other", "method": "toy_prior"}]
    by_task = run_of([toy_table(), toy_table(number=102, task="toying_too")])
    by_model = run_of(
        [toy_table(), toy_table(number=102, models=models, scored_with={"judge": "other"})]
    )
    for run in (by_task, by_model):
        assert set(run.plans) == {101}
        assert "table 101 has the same scores" in str(run.refusals[102])


@pytest.mark.parametrize("name", catalog.stages())
def test_the_module_of_every_declared_rule_takes_its_files(name, tmp_path):
    run, stage = run_of(), catalog.stages()[name]
    if stage.data_sets:
        for dataset in run.absent_of(stage):
            (tmp_path / dataset.folder).mkdir(parents=True)
        run = run_of(data_root=str(tmp_path))
    made = {key: output.path for key, output in stage.outputs.items()}
    words = as_arguments({**run.files_of(stage), **made, **stage.arguments(run)})
    catalog.load(f"{stage.module}:parser")().parse_args([*words, "--threads=1", "--device=cpu"])
