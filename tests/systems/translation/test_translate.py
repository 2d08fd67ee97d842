"""What a person does: learn from own pairs, and translate pictures."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.imaging.files import write_turned
from tests.learning.interrupting import interrupt
from tests.systems.translation.facades import SMALL, small
from unpaired.cli import app
from unpaired.core.errors import Stopped, UnpairedError
from unpaired.learning.weights import load_model, save_model
from unpaired.systems.translation.own_pairs import Options as Learning
from unpaired.systems.translation.own_pairs import learn, settings_of
from unpaired.systems.translation.sources.drawn_facades import LABEL_COLORS, facade
from unpaired.systems.translation.translate import Options, square, translate


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, "bicyclegan", small().eval())
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "given"
    path.mkdir()
    for number in range(2):
        labels, picture = facade(number)
        both = np.concatenate([LABEL_COLORS[labels], picture], axis=1)
        Image.fromarray(both).save(path / f"{number}.png")
    return path


def read(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_samples_and_a_sheet_are_written_for_every_picture(model, folder, tmp_path):
    outcome = translate([folder], tmp_path / "made", Options(model, samples=5, half="left"))
    assert len(outcome.written) == 12
    made = [read(tmp_path / f"made/0_{number}.png") for number in range(1, 6)]
    sheet = read(tmp_path / "made/0.png")
    assert sheet.shape == (64, 5 * 32, 3)
    np.testing.assert_array_equal(sheet[:32, :32], read(folder / "0.png")[:, :32])
    for number, one in enumerate(made, 1):
        row, column = divmod(number, 5)
        here = sheet[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
        np.testing.assert_array_equal(here, one)
    assert len({one.tobytes() for one in made}) == 5


def test_pictures_are_seen_as_they_are_looked_at(folder, tmp_path):
    write_turned(tmp_path / "turned.png", read(folder / "0.png"))
    assert torch.equal(
        square(tmp_path / "turned.png", 32, "left"), square(folder / "0.png", 32, "left")
    )


def test_a_seed_gives_the_same_samples_and_another_gives_others(model, folder, tmp_path):
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        translate([folder], tmp_path / name, Options(model, samples=1, half="left", seed=seed))
        found.append(read(tmp_path / name / "1_1.png").tobytes())
    assert found[0] == found[1] != found[2]


def test_the_style_of_a_reference_is_its_mean_code(model, folder, tmp_path):
    reference = tmp_path / "reference.png"
    Image.fromarray(facade(5)[1]).save(reference)
    translate([folder], tmp_path / "like", Options(model, like=reference, half="left"))
    assert sorted(path.name for path in (tmp_path / "like").glob("*.png")) == [
        "0.png",
        "0_like.png",
        "1.png",
        "1_like.png",
    ]
    product = load_model(model)[1]
    import torch

    picture, truth = (
        torch.from_numpy(one.copy()).permute(2, 0, 1)[None] / 255
        for one in (read(folder / "0.png")[:, :32], facade(5)[1])
    )
    with torch.no_grad():
        made = product.translate(picture, product.encode(truth))[0].permute(1, 2, 0).numpy()
    difference = read(tmp_path / "like/0_like.png") - 255 * made.clip(0, 1)
    assert np.abs(difference).max() <= 0.51


def test_what_is_typed_wrongly_is_told_and_nothing_written(model, folder, tmp_path):
    output = tmp_path / "made"
    bad = {
        "--samples must be 1 or more": Options(model, samples=0),
        "--half has no choice 'middle'": Options(model, half="middle"),
        "no such": Options(tmp_path / "nothing.safetensors"),
    }
    for message, options in bad.items():
        with pytest.raises(UnpairedError, match=message):
            translate([folder], output, options)
    with pytest.raises(UnpairedError, match="name a folder"):
        translate([folder / "0.png"], tmp_path / "one.png", Options(model))
    with pytest.raises(UnpairedError):
        translate([tmp_path / "empty"], output, Options(model))
    other = tmp_path / "pix2pix.safetensors"
    save_model(other, "bicyclegan", small("pix2pix_noise"))
    with pytest.raises(UnpairedError, match="has no encoder to take a style with"):
        translate([folder], output, Options(other, like=folder / "0.png"))
    assert not output.exists()


def test_results_are_not_overwritten_unasked(model, folder, tmp_path):
    output = tmp_path / "made"
    translate([folder], output, Options(model, samples=1))
    (output / "0.png").unlink()
    (output / "1.png").unlink()
    with pytest.raises(UnpairedError, match=r"0_1.png.*there already"):
        translate([folder], output, Options(model, samples=1))
    translate([folder], output, Options(model, samples=1, overwrite=True))
    assert (output / "0.png").is_file()


def test_pictures_that_cannot_be_read_are_refused_one_by_one(model, folder, tmp_path):
    (folder / "text.png").write_text("no picture")
    outcome = translate([folder], tmp_path / "made", Options(model, samples=1))
    assert len(outcome.refused) == 1
    assert "text.png" in outcome.refused[0]
    assert len(outcome.written) == 4


# ---- Own pairs


def own(**changes):
    return {k: v for k, v in SMALL.items() if k != "patch_px"} | {"images_seen": 4} | changes


def test_a_model_is_learned_from_both_layouts(folder, tmp_path):
    for number in range(2):
        for side, part in (("A", slice(0, 32)), ("B", slice(32, 64))):
            path = tmp_path / f"apart/{side}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(read(folder / f"{number}.png")[:, part]).save(path)
    found = []
    for number, given in enumerate((folder, tmp_path / "apart")):
        options = Learning(tmp_path / f"own{number}", picture_px=32, settings=own(), device="cpu")
        name, product = load_model(learn(given, options))
        assert name == "bicyclegan"
        found.append(product.generator.last.weight)
        assert [path.name for path in (tmp_path / f"own{number}").iterdir()] == [
            "model.safetensors"
        ]
    assert found[0].equal(found[1])


def test_a_second_run_has_nothing_to_do_and_other_settings_replace_nothing_unasked(
    folder, tmp_path, capsys
):
    options = Learning(tmp_path / "own", picture_px=32, settings=own(), device="cpu")
    path = learn(folder, options)
    before = path.stat().st_mtime_ns
    learn(folder, options)
    assert "there already" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == before
    other = replace(options, settings=own(width=8))
    with pytest.raises(UnpairedError, match=r"not made of these pictures.*--overwrite"):
        learn(folder, other)
    assert path.stat().st_mtime_ns == before
    assert [file.name for file in (tmp_path / "own").iterdir()] == [path.name]
    learn(folder, replace(other, overwrite=True))
    assert load_model(path)[1].config.width == 8


def test_an_interrupted_training_is_kept_unless_it_may_be_replaced(folder, tmp_path, monkeypatch):
    options = Learning(tmp_path / "own", picture_px=32, settings=own(), device="cpu")
    interrupt(monkeypatch)
    with pytest.raises(Stopped):
        learn(folder, options)
    kept = {path: path.read_bytes() for path in (tmp_path / "own").rglob("checkpoint.*")}
    assert len(kept) == 1
    other = replace(options, settings=own(width=8))
    with pytest.raises(UnpairedError, match="was interrupted there; repeat its command"):
        learn(folder, other)
    assert {path: path.read_bytes() for path in kept} == kept
    monkeypatch.undo()
    learn(folder, replace(other, overwrite=True))
    assert not any(path.exists() for path in kept)


@pytest.mark.parametrize("side_px", [8, 16])
def test_squares_too_small_for_the_networks_are_one_line(folder, tmp_path, side_px):
    with pytest.raises(UnpairedError, match=f"pictures of {side_px} px are too small .*--picture"):
        learn(folder, Learning(tmp_path / "own", picture_px=side_px, device="cpu"))
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("images_seen=-4", "images_seen of method 'bicyclegan' must be 1 at least, not -4"),
        ("learning_rate=.nan", "learning_rate of method 'bicyclegan' must be greater than 0"),
        ("width=1000000000", "make no network .*change the sizes"),
    ],
)
def test_numbers_that_are_no_training_are_one_line(folder, tmp_path, text, told):
    words = ["learn-translation", str(folder), "-o", str(tmp_path / "own"), "--set", text]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UnpairedError)
    assert re.search(told, str(done.exception))
    assert not (tmp_path / "own").exists()


def test_wrong_pairs_and_settings_are_told(folder, tmp_path):
    options = Learning(tmp_path / "own", picture_px=32, settings=own())
    with pytest.raises(UnpairedError, match="no such folder"):
        learn(tmp_path / "nothing", options)
    (tmp_path / "apart/A").mkdir(parents=True)
    with pytest.raises(UnpairedError, match="A and B belong together"):
        learn(tmp_path / "apart", options)
    (tmp_path / "apart/B").mkdir()
    Image.fromarray(read(folder / "0.png")).save(tmp_path / "apart/A/0.png")
    Image.fromarray(read(folder / "0.png")).save(tmp_path / "apart/B/1.png")
    with pytest.raises(UnpairedError, match=r"A/0.png has no picture of that name in .*apart/B"):
        learn(tmp_path / "apart", options)
    assert not (tmp_path / "own").exists()
    with pytest.raises(UnpairedError, match="must be KEY=VALUE"):
        settings_of(["width"])
    with pytest.raises(UnpairedError, match="widht"):
        settings_of(["widht=3"])
    assert settings_of(["width=3", "encoder=cnn"]) == {"width": 3, "encoder": "cnn"}
