"""The command: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.imaging.files import write_turned
from tests.systems.transmission import tiny
from unpaired.cli import app
from unpaired.core.errors import Stopped, UnpairedError
from unpaired.learning.weights import save_model
from unpaired.systems.transmission import transmit as sending
from unpaired.systems.transmission.methods.separate import Separate
from unpaired.systems.transmission.transmit import Options, transmit


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    made = {
        "codec": ("deepjscc", tiny.codec()),
        "prior": ("ddpm", tiny.prior()),
        "inn": ("invertible", tiny.invertible(1.0)),
        "large_prior": ("ddpm", tiny.prior(patch_px=32)),
    }
    paths = {}
    for name, (method, model) in made.items():
        paths[name] = folder / f"{name}.safetensors"
        save_model(paths[name], method, model)
    return paths


@pytest.fixture
def picture(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "pictures" / "a.png"
    path.parent.mkdir()
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    return path


def options(models, **changes) -> Options:
    about = {"codec": models["codec"], "snr_db": (1.0,), "steps": 2, "device": "cpu"}
    return Options(**(about | changes))


def table_of(folder):
    with open(folder / "transmission.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_and_channel_is_written_with_what_it_took(models, picture, tmp_path, capsys):
    both = {"prior": models["prior"], "inn": (models["inn"],)}
    how = options(models, snr_db=(5.0, 1.0), crop_px=16, command="unpaired transmit a.png", **both)
    outcome = transmit([picture], tmp_path / "out", how)
    assert "no --inn for 5 dB: no row commin there" in capsys.readouterr().out
    rows = table_of(tmp_path / "out")
    found = {(one["row"], one["snr_db"]): one for one in rows}
    always = {"deepjscc", "noised_and_denoised", "jpeg2000", "avif"}
    assert {row for row, snr in found if snr == "1"} == always | {"commin"}
    assert {row for row, snr in found if snr == "5"} == always
    for row in ("deepjscc", "commin"):
        one = found[row, "1"]
        assert (one["symbols"], one["symbols_per_number"]) == ("8", f"{8 / 768:.5f}")
        assert float(one["psnr_db"]) > 3
        assert float(one["seconds"]) > 0
        with Image.open(tmp_path / "out" / one["file"]) as made:
            assert made.size == (16, 16)
    assert found["jpeg2000", "1"]["file"] == "no picture"
    assert found["jpeg2000", "1"]["psnr_db"] == ""
    names = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert names == {path.name for path in outcome.written}
    assert "a_commin_1dB.png" in names
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert 'data-values="1 5"' in page
    assert len(re.findall(r'<figure data-snr="1"', page)) == 5
    assert "unpaired transmit a.png" in page


def test_a_tiny_picture_is_sent_like_others_and_has_no_ssim(models, picture, tmp_path):
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(picture.parent / "tiny.png")
    outcome = transmit([picture.parent], tmp_path / "out", options(models))
    assert not outcome.refused
    rows = {(Path(one["picture"]).name, one["row"]): one for one in table_of(tmp_path / "out")}
    tiny_row = rows["tiny.png", "deepjscc"]
    assert tiny_row["ssim"] == "" != tiny_row["psnr_db"]
    assert rows["a.png", "deepjscc"]["ssim"]
    with Image.open(tmp_path / "out" / tiny_row["file"]) as made:
        assert made.size == (8, 8)


def test_a_picture_that_fails_is_refused_by_name_and_leaves_nothing(
    models, picture, tmp_path, monkeypatch
):
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(picture.parent / "b.png")
    sent = sending._send

    def fails(product, given, name, *others):
        if name == "a.png" and isinstance(product, Separate):
            raise UnpairedError("too hard")
        return sent(product, given, name, *others)

    monkeypatch.setattr(sending, "_send", fails)
    outcome = transmit([picture.parent], tmp_path / "out", options(models))
    assert outcome.refused == [f"{picture}: too hard"]
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"transmission.csv", "index.html", "b_deepjscc_1dB.png"} <= found
    assert not [name for name in found if name.startswith("a_")]
    assert {Path(one["picture"]).name for one in table_of(tmp_path / "out")} == {"b.png"}
    # With no picture at all there is no output, and what was there stays.
    with pytest.raises(UnpairedError, match=r"a\.png: too hard"):
        transmit([picture], tmp_path / "none", options(models))
    assert not (tmp_path / "none").exists()


def test_what_was_sent_is_kept_when_it_is_stopped(models, picture, tmp_path, monkeypatch):
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(picture.parent / "b.png")
    sent = sending._send

    def stops(product, given, name, *others):
        if name == "b.png":
            raise KeyboardInterrupt
        return sent(product, given, name, *others)

    monkeypatch.setattr(sending, "_send", stops)
    with pytest.raises(Stopped, match="1 of 2 pictures were sent"):
        transmit([picture.parent], tmp_path / "out", options(models))
    assert {Path(one["picture"]).name for one in table_of(tmp_path / "out")} == {"a.png"}
    assert (tmp_path / "out" / "index.html").is_file()


def test_pictures_are_sent_as_they_are_looked_at_and_alpha_is_told(
    models, picture, tmp_path, capsys
):
    pixels = np.asarray(Image.open(picture))
    write_turned(picture, np.dstack([pixels, pixels[..., 0]]))
    transmit([picture], tmp_path / "out", options(models))
    assert "a.png: its alpha is left out" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "a_deepjscc_1dB.png") as made:
        assert made.size == (30, 20)


def test_two_pictures_of_one_stem_and_inputs_are_not_overwritten(models, picture, tmp_path):
    Image.open(picture).save(picture.with_suffix(".webp"), lossless=True)
    with pytest.raises(UnpairedError, match=r"would both become \S*a_deepjscc_1dB\.png"):
        transmit([picture.parent], tmp_path / "out", options(models, overwrite=True))
    picture.with_suffix(".webp").unlink()
    earlier = tmp_path / "a_deepjscc_1dB.png"
    earlier.write_bytes(picture.read_bytes())
    with pytest.raises(UnpairedError, match=r"a_deepjscc_1dB\.png is an input"):
        transmit([picture, earlier], tmp_path, options(models, overwrite=True))


def test_the_same_command_sends_over_the_same_noise(models, picture, tmp_path):
    for folder in ("one", "two"):
        transmit([picture], tmp_path / folder, options(models))
    one, two = ((tmp_path / f / "a_deepjscc_1dB.png").read_bytes() for f in ("one", "two"))
    assert one == two


def test_a_model_that_has_seen_drawings_says_so(models, picture, tmp_path, capsys):
    codec = tmp_path / "codec.safetensors"
    save_model(codec, "deepjscc", tiny.codec(), {"train_set": "drawn_portraits_pictures"})
    transmit([picture], tmp_path / "out", options(models, codec=codec))
    assert f"warning: {codec} has seen drawn portraits only" in capsys.readouterr().out
    transmit([picture], tmp_path / "other", options(models))
    assert "has seen" not in capsys.readouterr().out


def test_sides_that_the_codec_does_not_take_are_told_and_kept(models, picture, tmp_path, capsys):
    transmit([picture], tmp_path / "out", options(models, snr_db=(20.0,)))
    said = capsys.readouterr().out
    assert "a.png (30x20): extended to multiples of 8 px, which are sent as well" in said
    assert "warning: 20 dB: the codec has learned channels from -5 to 5 dB" in said
    with Image.open(tmp_path / "out" / "a_deepjscc_20dB.png") as made:
        assert made.size == (30, 20)
    (row,) = [one for one in table_of(tmp_path / "out") if one["row"] == "deepjscc"]
    assert row["symbols"] == str(4 * 3 * 4 // 2)  # Of 32 x 24 pixels.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"snr_db": (float("nan"),)}, "--snr: nan: a number of dB is needed"),
        ({"snr_db": (1.0, 1.0)}, "the same channel twice"),
        ({"crop_px": 0}, "--crop: 0 px"),
        ({"codec": "prior"}, "a model of 'ddpm', where one of 'deepjscc' is needed"),
        ({"inn": ("inn",)}, "name one by --prior"),
        ({"prior": "large_prior"}, "codec 16 px, prior 32 px"),
        ({"prior": "prior", "inn": ("inn",), "snr_db": (3.0,)}, "learned for 1 dB, and no --snr"),
        ({"prior": "prior", "inn": ("inn", "inn")}, "a second invertible network for 1 dB"),
        ({"prior": "prior"}, "30x20, and the diffusion model knows 16x16 px alone; give --crop 16"),
        ({"crop_px": 64}, "30x20, smaller than --crop 64"),
    ],
)
def test_bad_options_are_told_and_nothing_is_written(models, picture, tmp_path, changes, message):
    named = {
        key: tuple(models.get(one, one) for one in value)
        if isinstance(value, tuple)
        else models.get(value, value)
        for key, value in changes.items()
    }
    with pytest.raises(UnpairedError, match=re.escape(message)):
        transmit([picture], tmp_path / "out", options(models, **named))
    assert not (tmp_path / "out").exists()


def test_one_bad_picture_is_refused_and_the_others_are_sent(models, picture, tmp_path):
    (picture.parent / "b.png").write_bytes(b"no picture")
    command = ["transmit", str(picture.parent), "-o", str(tmp_path / "out"), "--snr", "1"]
    command += ["--codec", str(models["codec"]), "--device", "cpu"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "refused:" in result.output
    assert "b.png" in result.output
    assert (tmp_path / "out" / "a_deepjscc_1dB.png").is_file()
    # What is there is not replaced unless that is asked for.
    again = CliRunner().invoke(app, command)
    assert "there already" in str(again.exception)
    assert again.exit_code == 1
    assert CliRunner().invoke(app, [*command, "--overwrite"]).exit_code == 1
