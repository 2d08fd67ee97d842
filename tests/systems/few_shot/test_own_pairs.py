"""A person's own few pairs: a recipe, what is wrong with one, and pictures that are restored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageOps
from typer.testing import CliRunner

from tests.imaging.files import write_turned
from tests.learning.interrupting import interrupt
from unpaired.cli import app
from unpaired.core.errors import Stopped, UnpairedError
from unpaired.learning.weights import load_model
from unpaired.systems.few_shot.own_pairs import learn, read_recipe
from unpaired.systems.few_shot.sources.drawn_portraits import draw

TINY = {
    "ddpm": {"widths": "8 16", "groups": 4, "images_seen": 32, "half_life_images": 10},
    "supervised_start": {"widths": "8 16", "groups": 4, "images_seen": 40},
    "supervised": {"widths": "8 16", "groups": 4, "images_seen": 20},
    "sud2": {"widths": "8 16", "groups": 4, "images_seen": 20},
}


def save(folder, numbers, *, degraded=False):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        rgb = draw(number).rgb.copy()
        if degraded:
            rgb[8:24, 8:24] = 0
        Image.fromarray(rgb).save(folder / f"{number}.png")


@pytest.fixture
def recipe(tmp_path):
    """Return a function that writes a recipe for small folders, with changes."""
    save(tmp_path / "pairs/clean", range(6))
    save(tmp_path / "pairs/degraded", range(6), degraded=True)
    save(tmp_path / "degraded", range(6, 12), degraded=True)
    save(tmp_path / "clean", range(12, 20))
    own = {
        "pairs": str(tmp_path / "pairs"),
        "degraded": str(tmp_path / "degraded"),
        "clean": str(tmp_path / "clean"),
        "output": str(tmp_path / "own"),
        "picture_px": 32,
        "device": "cpu",
        "settings": TINY,
    }

    def write(**changes):
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(own | changes))
        return path

    return write


def test_a_recipe_becomes_a_model_that_restores_pictures(recipe, tmp_path, capsys):
    learned = learn(read_recipe(recipe(validation=3)))
    name, model = load_model(learned.model)
    assert (name, model.config.pairs) == ("sud2", 3)
    assert "validation:" in learned.summary
    for last, validated in zip(
        model.network.parameters(), model.validated.parameters(), strict=True
    ):
        torch.testing.assert_close(last, validated)
    # A second time nothing is trained.
    before = learned.model.stat().st_mtime_ns
    learn(read_recipe(recipe(validation=3)))
    assert learned.model.stat().st_mtime_ns == before
    assert "there already" in capsys.readouterr().out
    words = ["restore", str(tmp_path / "degraded"), "-o", str(tmp_path / "restored")]
    done = CliRunner().invoke(app, [*words, "--model", str(learned.model), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "restored/7.png") as picture:
        assert picture.size == (32, 32)


def test_pictures_of_another_size_are_restored_with_a_warning(recipe, tmp_path, capsys):
    from unpaired.systems.few_shot.restore import Options, restore

    learned = learn(read_recipe(recipe(method="supervised")))
    gray = np.random.default_rng(0).integers(0, 256, (21, 35), dtype=np.uint8)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    write_turned(tmp_path / "turned.png", gray)
    inputs = [tmp_path / name for name in ("gray.png", "broken.png", "turned.png")]
    outcome = restore(inputs, tmp_path / "out", Options(learned.model, "cpu"))
    with Image.open(tmp_path / "out/gray.png") as picture:
        assert (picture.size, picture.mode) == ((35, 21), "RGB")
        with Image.open(tmp_path / "out/turned.png") as turned:
            # The network sees both as they are looked at.
            seen = ImageOps.exif_transpose(turned)
            np.testing.assert_array_equal(np.asarray(seen), np.asarray(picture))
    assert "broken.png" in outcome.refused[0]
    assert "32x32 px, and these are others" in capsys.readouterr().out


def test_a_model_that_restores_nothing_is_refused(recipe, tmp_path):
    from unpaired.systems.few_shot.restore import Options, restore

    learn(read_recipe(recipe()))
    options = Options(tmp_path / "own/prior.safetensors", "cpu")
    with pytest.raises(UnpairedError, match="a model of 'ddpm', which restores nothing here"):
        restore([tmp_path / "degraded"], tmp_path / "out", options)


def test_a_prior_that_is_there_is_taken(recipe, tmp_path):
    learn(read_recipe(recipe()))
    prior = str(tmp_path / "own/prior.safetensors")
    learn(read_recipe(recipe(prior=prior, output=str(tmp_path / "other"))))
    assert not (tmp_path / "other/prior.safetensors").exists()
    wrong = recipe(prior=str(tmp_path / "own/model.safetensors"), output=str(tmp_path / "other"))
    with pytest.raises(UnpairedError, match="not a diffusion model"):
        learn(read_recipe(wrong))
    larger = recipe(prior=prior, output=str(tmp_path / "third"), picture_px=16)
    with pytest.raises(UnpairedError, match="pictures of 32 px; set picture_px"):
        learn(read_recipe(larger))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "pairs/clean/3.png").unlink(), "has no picture of that name"),
        (lambda f: Image.new("RGB", (20, 32)).save(f / "pairs/clean/3.png"), "pairs of two sizes"),
        (lambda f: Image.new("I;16", (32, 32)).save(f / "clean/15.png"), "16-bit samples"),
        (lambda f: Image.new("RGB", (20, 20)).save(f / "degraded/6.png"), "smaller than the 32 px"),
        (lambda f: save(f / "clean", [2]), "is a picture of the pair 2"),
        (lambda f: save(f / "degraded", [2], degraded=True), "is a picture of the pair 2"),
        (lambda f: save(f / "degraded", [13]), "hold the same pixels"),
        (lambda f: [path.unlink() for path in (f / "clean").iterdir()], "no picture"),
        (lambda f: [path.unlink() for path in (f / "degraded").iterdir()], "no picture"),
        (
            lambda f: [p.unlink() for n in range(1, 6) for p in (f / "pairs").rglob(f"{n}.png")],
            "1 pair less 0 for validation: at least 2 are needed",
        ),
    ],
)
def test_folders_that_do_not_fit_are_one_line_before_anything_is_trained(
    recipe, tmp_path, spoil, message
):
    spoil(tmp_path)
    with pytest.raises(UnpairedError, match=message) as told:
        learn(read_recipe(recipe()))
    assert "\n" not in str(told.value)
    assert not (tmp_path / "own/start.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"degradd": "x"}, "unknown key 'degradd'; did you mean 'degraded'"),
        ({"method": "cyclegan"}, "method must be sud2 or supervised"),
        ({"validation": 2}, "validation must be 0, or 3"),
        ({"settings": {"sudd": {}}}, "settings of sudd"),
        ({"settings": {"sud2": {"width": 3}}}, "has no setting 'width'"),
        ({"pairs": "nowhere"}, "no such folder"),
    ],
)
def test_recipes_that_are_wrong_are_one_line(recipe, changes, message):
    with pytest.raises(UnpairedError, match=message):
        learn(read_recipe(recipe(**changes)))


def test_what_is_no_recipe_is_told(tmp_path):
    (tmp_path / "recipe.yaml").write_text("pairs: [")
    with pytest.raises(UnpairedError, match="not a readable recipe"):
        read_recipe(tmp_path / "recipe.yaml")
    with pytest.raises(
        UnpairedError, match=r"missing\.yaml: no such file or folder; check"
    ) as told:
        read_recipe(tmp_path / "missing.yaml")
    assert "Errno" not in str(told.value)
    with pytest.raises(UnpairedError, match="it is a folder; check its name"):
        read_recipe(tmp_path)


def test_settings_that_nothing_uses_are_told(recipe):
    from unpaired.systems.few_shot.own_pairs import unused_settings

    assert unused_settings(read_recipe(recipe(settings={"supervised": {"images_seen": 20}}))) == [
        "settings of supervised: not used by this recipe, which trains ddpm, supervised_start, sud2"
    ]
    of_prior = recipe(settings={"ddpm": {}, "sud2": {}}, prior="prior.safetensors")
    assert unused_settings(read_recipe(of_prior)) == [
        "settings of ddpm: not used by this recipe, which trains supervised_start, sud2"
    ]
    assert not unused_settings(read_recipe(recipe(settings={"supervised_start": {}, "sud2": {}})))


def changed(method, **settings):
    """Return settings of TINY with other ones of a method."""
    return {"settings": TINY | {method: TINY[method] | settings}}


def state(folder):
    """Return every file below a folder with the time at which it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("method", ["ddpm", "supervised_start", "sud2"])
def test_models_of_another_recipe_are_replaced_only_when_asked(recipe, tmp_path, method):
    learned = learn(read_recipe(recipe()))
    assert str(learned.model) in learned.summary.splitlines()[-1].partition("--model")[2]
    before = state(tmp_path / "own")
    names = {path.name for path in before}
    assert names == {"prior.safetensors", "start.safetensors", "model.safetensors"}
    other = read_recipe(recipe(**changed(method, images_seen=80)))
    with pytest.raises(UnpairedError, match=r"there already, and not made of .*--overwrite"):
        learn(other)
    assert state(tmp_path / "own") == before
    learn(other, overwrite=True)
    assert load_model(learned.model)[1].config.images_seen == (80 if method == "sud2" else 20)
    after = state(tmp_path / "own")
    assert after.keys() == before.keys()
    assert after[learned.model] != before[learned.model]


def test_a_model_is_not_replaced_because_what_it_came_from_is_gone(recipe, tmp_path):
    learned = learn(read_recipe(recipe()))
    (tmp_path / "own/start.safetensors").unlink()
    before = state(tmp_path / "own")
    with pytest.raises(UnpairedError, match=r"model\.safetensors: there already"):
        learn(read_recipe(recipe()))
    assert state(tmp_path / "own") == before
    assert learn(read_recipe(recipe()), overwrite=True).model == learned.model


def test_an_interrupted_training_is_kept_unless_it_may_be_replaced(recipe, tmp_path, monkeypatch):
    interrupt(monkeypatch)
    with pytest.raises(Stopped):
        learn(read_recipe(recipe()))
    before = {path: when for path, when in state(tmp_path / "own").items() if path.suffix != ".h5"}
    assert [path.name for path in before] == ["checkpoint.safetensors"]
    other = read_recipe(recipe(**changed("ddpm", images_seen=64)))
    with pytest.raises(UnpairedError, match="was interrupted there; repeat its command"):
        learn(other)
    assert before.items() <= state(tmp_path / "own").items()
    monkeypatch.undo()
    learn(other, overwrite=True)
    assert not any(path.exists() for path in before)


def test_the_command_offers_to_replace(recipe):
    words = ["few-pairs", str(recipe(method="supervised"))]
    assert CliRunner().invoke(app, words).exit_code == 0
    words = ["few-pairs", str(recipe(method="supervised", seed=2))]
    assert isinstance(CliRunner().invoke(app, words).exception, UnpairedError)
    assert CliRunner().invoke(app, [*words, "--overwrite"]).exit_code == 0


def test_refused_pictures_leave_nothing_behind(recipe, tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "degraded/6.png")
    with pytest.raises(UnpairedError, match="smaller than the 32 px"):
        learn(read_recipe(recipe()))
    assert not (tmp_path / "own").exists()
