from __future__ import annotations

import pytest

from tests.conftest import REPOSITORY
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.datasets import folder_in, folder_of, get_dataset
from unpaired.pipeline.plan import plan_table, plan_tables
from unpaired.pipeline.settings import load_settings, parse_settings
from unpaired.pipeline.specs import plan_model
from unpaired.pipeline.table import Row, load_table, parse_table

TABLE = load_table(REPOSITORY / "config/tables/table1.yaml")
REAL_NOISE = load_table(REPOSITORY / "config/tables/table6.yaml")
RAW = load_table(REPOSITORY / "config/tables/table2.yaml")
COLORS = load_table(REPOSITORY / "config/tables/table10.yaml")
GENERATION = load_table(REPOSITORY / "config/tables/table7.yaml")


def plan(**config):
    return plan_table(TABLE, parse_settings(config))


def model(row="neighbor2neighbor", seed=1, **config):
    settings = parse_settings(config)
    rows = {entry.name: entry for entry in TABLE.rows}
    return plan_model(settings, TABLE, "gauss25", rows[row], seed)


def test_the_whole_table_by_default():
    whole = plan()
    assert whole.name == "table1"
    assert whole.noises == ["gauss25", "gauss5_50", "poisson30", "poisson5_50"]
    assert len([m for m in whole.models if m.is_trained]) == 29
    assert {m.method for m in whole.models if not m.is_trained} == {
        "anscombe",
        "cbm3d",
        "dip",
        "self2self",
    }
    absent = {cell.testset for cell in whole.cells if not cell.is_present}
    assert absent == {"kodak", "bsd300", "set14"}


def test_rows_run_only_with_their_noises():
    noises = {cell.noise for cell in plan().cells if cell.row.name == "cbm3d"}
    assert noises == {"gauss25", "gauss5_50"}


def test_narrowing_makes_a_part_and_seeds_do_not():
    assert plan(methods=["n2c"]).name == "table1.part"
    assert plan(testsets=["embedded_test"]).is_part
    assert plan(noises=["gauss25"]).is_part
    widened = plan(seeds=[1, 2, 3])
    assert not widened.is_part
    assert len([m for m in widened.models if m.is_trained]) == 87


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"methods": ["n2d"]}, "methods: the table has no 'n2d'; did you mean 'n2"),
        ({"testsets": ["kodac"]}, "testsets: the table has no 'kodac'; did you mean 'kodak'"),
        ({"noises": ["gauss52"]}, "noises: the table has no 'gauss52'"),
        ({"overrides": {"n2d": {}}}, "unknown method 'n2d'"),
        ({"train_set": "embeded_train"}, "did you mean 'embedded_train'"),
        (
            {"overrides": {"n2n": {"images_sen": 8}}},
            "config: overrides: method 'n2n' has no setting 'images_sen'; did you mean 'images_s",
        ),
        (
            {"overrides_on": {"embedded_train": {"n2n": {"images_sen": 8}}}},
            "config: overrides_on: embedded_train: method 'n2n' has no setting 'images_sen'",
        ),
        ({"overrides_on": {"embeded_train": {}}}, "did you mean 'embedded_train'"),
        ({"overrides": {"lpips": {"forn": "lin"}}}, "'lpips' has no setting 'forn'; did you mean"),
        ({"overrides": {"n2n": {"width": "wide"}}}, "width of method 'n2n' must be a whole number"),
        (
            {"overrides": {"n2n": {"schedule": "warmup"}}},
            "config: overrides: method 'n2n' has no schedule 'warmup'; did you mean 'warmup_c",
        ),
    ],
)
def test_unknown_names_suggest_the_nearest(config, message):
    with pytest.raises(UnpairedError, match=message):
        plan(**config)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"options": {"gama": 1.0}}, "table 1: row 'x': method 'neighbor2neighbor' has no setting"),
        ({"defaults": {"patch_px": 0.5}}, "table 1: row 'x': patch_px of method"),
        (
            {"pairs_from": {"method": "lud_vae", "options": {"blur_px": 1}}},
            "table 1: row 'x': method 'lud_vae' has no setting 'blur_px'; did you mean 'blur_",
        ),
    ],
)
def test_what_a_table_tells_a_method_is_looked_at_too(row, message):
    row = Row(name="x", method="neighbor2neighbor", **row)
    with pytest.raises(UnpairedError, match=message):
        plan_table(TABLE.model_copy(update={"rows": [row]}), parse_settings({}))


@pytest.mark.parametrize("text", ["{nois}", "{noise", "{0}", "{noise.x}", "{}"])
def test_braces_in_a_table_hold_the_noise_alone(text):
    content = {"number": 1, "rows": [{"name": "x", "method": "n2c", "setting": text}]}
    with pytest.raises(UnpairedError, match=r"\{noise\} alone may stand in braces") as error:
        parse_table(TABLE.model_dump() | content)
    assert "\n" not in str(error.value)


def test_an_unknown_method_in_a_table():
    broken = TABLE.model_copy(update={"rows": [Row(name="x", method="n2cc")]})
    with pytest.raises(UnpairedError, match="unknown method 'n2cc'; did you mean 'n2c'"):
        plan_table(broken, parse_settings({}))


def test_what_defines_a_model_names_its_folder():
    base = model().id
    assert base.startswith("neighbor2neighbor-")
    assert model().id == base
    changed = [
        model(seed=2),
        model("neighbor2neighbor_fixed"),
        model(scale="smoke"),
        model(training={"images_seen": 8}),
        model(training={"threads": 2}),
        model(network={"width": 8}),
        model(overrides={"neighbor2neighbor": {"gamma": 1.0}}),
    ]
    assert len({base, *(other.id for other in changed)}) == len(changed) + 1


@pytest.mark.parametrize(
    "config",
    [
        {"device": "cpu"},
        {"work_root": "elsewhere"},
        {"training": {"workers": 3, "checkpoint_seconds": 5}},
        {"evaluation": {"crop_px": 64}},
        {"seeds": [1, 2]},
        {"overrides": {"n2c": {"width": 8}}},
    ],
)
def test_what_does_not_define_a_model_leaves_its_name(config):
    assert model(**config).id == model().id


def test_overrides_on_a_training_set_go_before_those_of_a_method():
    own = {"embedded_train": {"n2n": {"images_seen": "8"}}, "kodak": {"n2n": {"patch_px": 32}}}
    spec = model("n2n", overrides={"n2n": {"images_seen": 4}}, overrides_on=own).spec
    assert spec["overrides"] == {"images_seen": 8}
    assert model("n2n", overrides_on=None).spec["overrides"] == {}


@pytest.mark.parametrize("row", ["dip", "self2self"])
def test_what_is_fitted_to_every_picture_has_the_precision_of_trainings(row):
    assert "precision" not in model(row).spec["overrides"]
    exact = {"training": {"precision": "fp32"}}
    assert model(row, **exact).spec["overrides"]["precision"] == "fp32"
    own = exact | {"overrides": {row: {"precision": "auto"}}}
    assert model(row, **own).spec["overrides"]["precision"] == "auto"
    assert "precision" not in model("cbm3d", **exact).spec["overrides"]


def test_noise2void_has_a_network_per_channel_but_at_demo_scale():
    for names, expected in ((["config"], False), (["config", "paper"], True)):
        settings = load_settings([REPOSITORY / f"config/{name}.yaml" for name in names], None)
        row = next(row for row in TABLE.rows if row.name == "n2v")
        planned = plan_model(settings, TABLE, "gauss25", row, 1)
        assert planned.spec["overrides"]["per_channel"] is expected


def test_how_pairs_are_sampled_is_part_of_their_identity():
    table = load_table(REPOSITORY / "config/tables/table7.yaml")
    rows = {row.name: row for row in table.rows}
    prior, posterior = (
        plan_model(parse_settings({}), table, "camera", rows[name], 1)
        for name in ("gen_method3", "posterior_sampling")
    )
    assert posterior.pairs.spec["sampling"] == "posterior"
    assert prior.pairs.model.id == posterior.pairs.model.id
    assert prior.pairs.id != posterior.pairs.id
    assert prior.id != posterior.id


def test_protocols_do_not_overwrite_each_other():
    stems = {plan(evaluation=e).scores[0].stem for e in ({}, {"crop_px": 64}, {"repeats": 2})}
    assert len(stems) == 3


def test_paper_protocol(tmp_path):
    for name in ("kodak", "bsd300", "set14", "imagenet/val"):
        (tmp_path / name).mkdir(parents=True)
    paper = plan(scale="paper", data_root=str(tmp_path))
    repeats = {cell.testset: cell.scores[0].protocol.repeats for cell in paper.cells}
    assert repeats == {"embedded_test": 1, "kodak": 10, "bsd300": 3, "set14": 20}
    assert all(cell.scores[0].protocol.is_papers for cell in paper.cells)


def test_paper_scale_needs_its_data(tmp_path):
    with pytest.raises(UnpairedError) as error:
        plan(scale="paper", data_root=str(tmp_path))
    for name in ("imagenet_val", "kodak", "bsd300", "set14"):
        assert f"data set '{name}'" in str(error.value)
    assert "does not exist; get" in str(error.value)


def test_own_folders_can_be_trained_and_tested_on(tmp_path):
    own = plan(folders={"mine": str(tmp_path)}, train_set="mine", testsets=["mine"])
    assert own.cells[0].is_present
    assert own.models[0].spec["train_set"] == "mine"
    with pytest.raises(UnpairedError, match="a-z, 0-9 and _ only"):
        plan(folders={"../up": str(tmp_path)}, train_set="../up")
    with pytest.raises(UnpairedError, match="the name of a listed data set"):
        plan(folders={"kodak": str(tmp_path)})


def cells_of(planned, row):
    return [cell for cell in planned.cells if cell.row.name == row]


def test_read_outs_share_a_model_and_not_a_score_file():
    whole = plan()
    for mu, pme in zip(cells_of(whole, "laine19_mu"), cells_of(whole, "laine19_pme"), strict=True):
        for one, other in zip(mu.scores, pme.scores, strict=True):
            assert one.model == other.model
            assert one.stem == other.stem.removesuffix(".pme") + ".mu"


def test_options_may_differ_by_noise():
    options = {cell.noise: cell.row.options for cell in cells_of(plan(), "laine19_mu")}
    assert options["gauss25"] != options["gauss5_50"]
    assert options["poisson30"]["noise_model"] == "poisson"


@pytest.mark.parametrize("number", [3, 4])
def test_ablations_share_the_default_models_of_tables_1_and_2(number):
    settings = parse_settings({})
    table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
    ablation = plan_table(table, settings)
    default = {"gamma2", "random"}
    shared = {
        m.id
        for table_plan in (plan(), plan_table(RAW, settings))
        for cell in cells_of(table_plan, "neighbor2neighbor")
        for s in cell.scores
        for m in [s.model]
    }
    for cell in ablation.cells:
        assert {score.model.id in shared for score in cell.scores} <= {cell.row.name in default}


def test_a_name_may_not_stand_twice_for_one_noise():
    content = TABLE.model_dump()
    content["rows"].append({"name": "n2v", "method": "n2v", "noises": ["poisson30"]})
    with pytest.raises(UnpairedError, match="row 'n2v' stands twice for noise 'poisson30'"):
        parse_table(content)


def test_imported_weights_make_a_row_when_they_are_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = "neighbor2neighbor_authors"
    assert not cells_of(plan(), row)
    assert not plan().is_part
    with pytest.raises(UnpairedError, match="unpaired import-weights neighbor2neighbor"):
        plan(methods=[row])
    file = tmp_path / "weights/neighbor2neighbor/poisson30.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    cells = cells_of(plan(), row)
    assert {cell.noise for cell in cells} == {"poisson30"}
    (model,) = {score.model for cell in cells for score in cell.scores}
    assert model.file == "weights/neighbor2neighbor/poisson30.safetensors"
    assert not model.is_trained


def demo(table, **config):
    return plan_table(table, parse_settings(config))


def models_of(plan, row):
    return [score.model for cell in cells_of(plan, row) for score in cell.scores]


def test_a_model_on_synthesized_pairs_has_a_lineage():
    (model,) = models_of(demo(REAL_NOISE), "lud_vae")
    degradation = model.pairs.model
    assert [m.method for m in model.lineage] == ["lud_vae", "dncnn"]
    assert model.packs == [model.spec["train_set"]] == [model.pairs.id]
    assert degradation.packs == ["simulated_camera_noisy_srgb", "simulated_camera_clean_srgb"]
    assert model.data_sets == degradation.packs
    assert model.pairs.spec["source"] == "simulated_camera_clean_srgb"
    assert demo(REAL_NOISE).trainings.index(degradation) < demo(REAL_NOISE).trainings.index(model)


def test_what_defines_the_degradation_defines_what_is_trained_on_its_pairs():
    names = {
        models_of(demo(REAL_NOISE, **config), "lud_vae")[0].id
        for config in ({}, {"overrides": {"lud_vae": {"codes": 8}}}, {"seeds": [2]})
    }
    assert len(names) == 3


def test_tables_of_lud_vae_share_what_they_have_in_common():
    default = models_of(demo(REAL_NOISE), "lud_vae")
    assert models_of(demo(GENERATION), "gen_method3") == default
    (second,) = models_of(demo(GENERATION), "gen_method2")
    assert second.pairs.model == default[0].pairs.model
    assert second.pairs.spec["source"] == "simulated_camera_noisy_srgb"
    assert models_of(demo(GENERATION), "no_blur")[0].pairs.model != default[0].pairs.model


def test_each_row_sees_its_own_side_of_the_pairs():
    plan = demo(REAL_NOISE)
    sets = {row: models_of(plan, row)[0].packs for row in ("awgn", "n2s", "dncnn")}
    assert sets == {
        "awgn": ["simulated_camera_clean_srgb"],
        "n2s": ["simulated_camera_noisy_srgb"],
        "dncnn": ["simulated_camera_train_srgb"],
    }
    assert models_of(plan, "awgn")[0].spec["noise"] == "awgn"
    assert models_of(plan, "n2s")[0].spec["noise"] == "camera"


def test_mosaics_have_four_channels_and_no_noise_draws():
    plan = demo(RAW, evaluation={"repeats": 3})
    assert {m.spec["overrides"].get("channels") for m in plan.trainings} == {4}
    assert {score.protocol.repeats for score in plan.scores} == {1}


def test_settings_replace_defaults_and_not_options(tmp_path):
    (tmp_path / "sidd/SIDD_Medium_Raw/Data").mkdir(parents=True)
    (tmp_path / "sidd/validation").mkdir()
    paper = demo(RAW, scale="paper", data_root=str(tmp_path))
    (rrg,) = {m.id: m for m in models_of(paper, "neighbor2neighbor_rrgs")}.values()
    assert rrg.spec["train_set"] == "sidd_medium_raw"
    overrides = rrg.spec["overrides"]
    assert (overrides["learning_rate"], overrides["gamma"]) == (1e-4, 1)
    assert "width" not in overrides
    config = {"training": {"learning_rate": 0.5}, "network": {"width": 8}}
    small = models_of(demo(RAW, **config), "neighbor2neighbor_rrgs")[0].spec["overrides"]
    assert (small["learning_rate"], small["width"], small["gamma"]) == (0.5, 8, 1)


@pytest.mark.parametrize("row", [{"train_on": "clean"}, {"pairs_from": {"method": "lud_vae"}}])
def test_rows_need_the_sets_that_they_name(row):
    content = TABLE.model_dump()
    content["rows"].append({"name": "x", "method": "dncnn", **row})
    with pytest.raises(UnpairedError, match=r"row 'x' needs train_sets with .*clean"):
        parse_table(content)


def test_a_degradation_is_checked_by_name():
    content = REAL_NOISE.model_dump()
    row = next(row for row in content["rows"] if row["name"] == "lud_vae")
    row["pairs_from"]["method"] = "lud_vea"
    with pytest.raises(UnpairedError, match="unknown method 'lud_vea'; did you mean 'lud_vae'"):
        demo(parse_table(content))


# ---- Colorization


def test_colorizers_learn_from_one_set_and_start_from_each_other():
    plan = demo(COLORS, network={"global_residual": True})
    assert plan.train_sets == ["color_scenes_train"]
    full, finetuned = (models_of(plan, row)[0] for row in ("full", "l2_finetuned"))
    assert finetuned.start == full
    assert finetuned.id != models_of(plan, "l2")[0].id
    assert plan.trainings.index(full) < plan.trainings.index(finetuned)
    assert "global_residual" not in full.spec["overrides"]
    assert {score.task for score in plan.scores} == {"colorize"}


def test_random_colors_have_pictures_and_a_seed_and_gray_has_neither():
    plan = demo(COLORS, seeds=[1, 2])
    drawn = models_of(plan, "random")[:2]  # of the first test set
    assert [m.spec["seed"] for m in drawn] == [1, 2]
    assert all(m.packs == m.data_sets == ["color_scenes_train"] for m in drawn)
    assert not any(m.is_trained or m.file for m in drawn)
    gray = models_of(plan, "gray")[0]
    assert gray.data_sets == []


def test_another_prior_is_another_colorizer(tmp_path):
    own = models_of(demo(COLORS), "full")[0]
    assert own.artifacts == {"color_prior": "color_scenes_train"}
    path = tmp_path / "prior.npy"
    path.write_bytes(b"one")
    first = models_of(demo(COLORS, files={"color_prior": str(path)}), "full")[0]
    path.write_bytes(b"two")
    second = models_of(demo(COLORS, files={"color_prior": str(path)}), "full")[0]
    assert len({own.id, first.id, second.id}) == 3
    with pytest.raises(UnpairedError, match=r"files\.color_prior: .*none\.npy: no such file"):
        demo(COLORS, files={"color_prior": str(tmp_path / "none.npy")})
    assert models_of(demo(REAL_NOISE), "dncnn")[0].artifacts == {}


def test_the_settings_training_set_is_obeyed_where_pictures_will_do(tmp_path):
    (tmp_path / "mine").mkdir()
    settings = parse_settings({"folders": {"mine": str(tmp_path / "mine")}, "train_set": "mine"})
    colors = plan_table(COLORS, settings)
    full = next(model for model in colors.trainings if model.method == "colorization")
    assert full.spec["train_set"] == "mine"


@pytest.mark.parametrize("number", [2, 6, 7, 19, 20])
def test_the_settings_training_set_is_refused_where_more_than_pictures_is_needed(number):
    table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
    settings = parse_settings({"train_set": "embedded_train"})
    with pytest.raises(UnpairedError, match=f"train_set: table {number} cannot learn from 'embedd"):
        plan_table(table, settings, assume_data=True)


def test_a_table_refused_for_its_training_set_stops_no_other():
    tables = [load_table(REPOSITORY / f"config/tables/table{number}.yaml") for number in (2, 3)]
    plans, refusals = plan_tables(tables, parse_settings({"train_set": "embedded_test"}))
    assert (list(plans), list(refusals)) == ([3], [2])


def test_embedded_photographs_and_a_folder_are_one_training_set(tmp_path):
    (tmp_path / "mine").mkdir()
    both = "embedded_train_and_mine"
    own = plan(folders={"mine": str(tmp_path / "mine")}, train_set=both)
    assert {model.spec["train_set"] for model in own.trainings} == {both}
    dataset = get_dataset(both, own.settings)
    assert folder_of(dataset, own.settings) == tmp_path / "mine"
    assert dataset.title == "embedded photographs (train) and folder mine"
    with pytest.raises(UnpairedError, match="'kodak' is no name in folders"):
        plan(train_set="embedded_train_and_kodak")
    with pytest.raises(UnpairedError, match="unknown data set 'min'; did you mean 'mine'"):
        plan(folders={"mine": str(tmp_path)}, train_set="embedded_train_and_min")


def test_a_name_tells_which_folder_it_holds():
    folders = {"mine": "", "embedded": ""}
    assert folder_in("mine", folders) == folder_in("embedded_train_and_mine", folders) == "mine"
    assert folder_in("embedded", folders) == "embedded"
    assert folder_in("embedded_train", folders) is None
    assert folder_in("embedded_train_and_kodak", folders) is None
