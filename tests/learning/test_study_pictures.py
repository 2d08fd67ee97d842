"""A study whose fakes a model makes: what it is given, what is shown, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.systems.translation.facades import small
from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import generators_for, seed_for
from unpaired.imaging.study import PICTURES_NEEDED, SENTINEL, read_key
from unpaired.learning.create import create
from unpaired.learning.study_pictures import export_made
from unpaired.learning.weights import load_model, save_model
from unpaired.systems.translation.sources.drawn_facades import LABEL_COLORS, facade

SHOWN_PX = 256


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Pairs side by side, their halves in folders, a sentinel, and a model."""
    root = tmp_path_factory.mktemp("sources")
    for name in ("pairs", "truth", "inputs", "sentinel"):
        (root / name).mkdir()
    for number in range(PICTURES_NEEDED):
        labels, picture = facade(number)
        given = LABEL_COLORS[labels]
        name = f"{number:03d}.png"
        Image.fromarray(given).save(root / "inputs" / name)
        Image.fromarray(picture).save(root / "truth" / name)
        Image.fromarray(np.concatenate([given, picture], axis=1)).save(root / "pairs" / name)
        Image.new("RGB", (32, 32), (0, 255, 0)).save(root / "sentinel" / name)
    save_model(root / "m.safetensors", "bicyclegan", small().eval())
    save_model(root / "other.safetensors", "n2c", create("n2c", width=2))
    return root


def shown(folder) -> dict[tuple[str, str], np.ndarray]:
    """Return (method or "truth", picture) -> what people see."""
    found = {}
    for trial in read_key(folder / "key.csv"):
        files = (trial.first, trial.second)
        for kind, file in ((trial.method, files[trial.fake - 1]), ("truth", files[2 - trial.fake])):
            found[kind, trial.picture] = np.asarray(Image.open(folder / "pictures" / file))
    return found


def enlarged(path, half: str | None = None) -> np.ndarray:
    picture = np.asarray(Image.open(path))
    if half:
        picture = picture[:, :32] if half == "left" else picture[:, 32:]
    square = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(square.resize((SHOWN_PX, SHOWN_PX), Image.Resampling.BICUBIC))


def export(sources, output, truth="truth", model="m.safetensors", seed=1, **about):
    methods = {"many": sources / model}
    return export_made(sources / truth, methods, sources / "sentinel", output, 1, seed, **about)


@pytest.fixture(scope="module")
def by_folders(sources, tmp_path_factory):
    """What people see of a study whose inputs and truths are in two folders."""
    folder = tmp_path_factory.mktemp("out") / "study"
    export(sources, folder, inputs=sources / "inputs")
    return shown(folder)


def test_people_see_what_the_model_makes_of_the_inputs(sources, by_folders, tmp_path):
    found = by_folders
    fakes = {name: picture for (kind, name), picture in found.items() if kind == "many"}
    assert len(fakes) + sum(kind == SENTINEL for kind, _ in found) == PICTURES_NEEDED
    product = load_model(sources / "m.safetensors")[1]
    for name in list(fakes)[:3]:
        given = torch.from_numpy(np.asarray(Image.open(sources / f"inputs/{name}.png")).copy())
        codes = generators_for(seed_for(1, "study", name), [0], "z", torch.device("cpu"))
        with torch.no_grad():
            made = product.sampled(given.permute(2, 0, 1)[None] / 255, codes)[0]
        made = (255 * made.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(made).save(tmp_path / "made.png")
        difference = fakes[name].astype(int) - enlarged(tmp_path / "made.png")
        assert np.abs(difference).max() <= 2
        truth = enlarged(sources / f"truth/{name}.png")
        np.testing.assert_array_equal(found["truth", name], truth)
        assert np.abs(fakes[name].astype(int) - truth).max() > 20


def test_halves_of_pairs_give_the_same_study(sources, by_folders, tmp_path):
    export(sources, tmp_path / "a", "pairs", truth_half="right")
    export(sources, tmp_path / "b", "pairs", truth_half="left")
    by_halves, turned = (shown(tmp_path / name) for name in "ab")
    assert by_folders.keys() == by_halves.keys() == turned.keys()
    for key, picture in by_folders.items():
        np.testing.assert_array_equal(picture, by_halves[key])
    kind, name = next(key for key in turned if key[0] == "truth")
    np.testing.assert_array_equal(turned[kind, name], enlarged(sources / f"inputs/{name}.png"))


def test_another_seed_makes_other_pictures(sources, by_folders, tmp_path):
    export(sources, tmp_path / "a", inputs=sources / "inputs", seed=2)
    other = shown(tmp_path / "a")
    both = [key for key in by_folders if key in other and key[0] == "many"]
    assert any(not np.array_equal(by_folders[key], other[key]) for key in both)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({}, "models need inputs"),
        ({"inputs": "inputs", "truth_half": "left"}, "leave it out"),
        ({"truth_half": "middle"}, "--truth-half has no choice 'middle'"),
        ({"inputs": "none"}, "none: no such folder"),
        ({"inputs": "few"}, "no pictures of 001"),
        ({"inputs": "inputs", "model": "other.safetensors"}, "a model of 'n2c', where bicyclegan"),
        ({"inputs": "inputs", "model": "none.safetensors"}, "no such model file"),
        ({"truth": "few", "inputs": "inputs"}, "few: 1 pictures"),
    ],
)
def test_what_is_typed_wrongly_is_told_and_nothing_written(sources, tmp_path, about, message):
    (sources / "few").mkdir(exist_ok=True)
    Image.open(sources / "inputs/000.png").save(sources / "few/000.png")
    about = about | ({"inputs": sources / about["inputs"]} if "inputs" in about else {})
    with pytest.raises(UnpairedError, match=message):
        export(sources, tmp_path / "study", **about)
    assert not list(tmp_path.iterdir())


def test_the_command_takes_models_and_folders_side_by_side(sources, tmp_path):
    arguments = ["study", "export", str(sources / "pairs"), "--truth-half", "right"]
    arguments += ["--method", f"many={sources / 'm.safetensors'}"]
    arguments += ["--method", f"others={sources / 'truth'}", "--participants", "1"]
    arguments += ["--sentinel", str(sources / "sentinel"), "--output", str(tmp_path / "s")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "2 sessions of 50 trials" in result.output
    assert {kind for kind, _ in shown(tmp_path / "s")} == {"truth", "many", "others", SENTINEL}
