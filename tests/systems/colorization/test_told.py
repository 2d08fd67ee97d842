"""`unpaired colorize` with points, a histogram and a saturation: run for real, on small models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab
from typer.testing import CliRunner

from tests.conftest import REPOSITORY
from tests.systems.guided_colorization.made import make_model, write_scene
from unpaired.cli import app
from unpaired.systems.colorization.colorize import remedy_for

POINT = {"x": 60, "y": 40, "size_px": 41, "a": 60, "b": 50}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("told")
    (path / "in").mkdir()
    for index, name in enumerate(("a.png", "b.png")):
        write_scene(path / "in" / name, index)
    make_model(path / "local.safetensors")
    make_model(path / "global.safetensors", "global_hints")
    (path / "in" / "a.png.points.json").write_text(content(128, 96))
    return path


def content(width, height):
    return json.dumps({"width": width, "height": height, "points": [POINT]})


def run(*arguments):
    found = CliRunner().invoke(app, ["colorize", *map(str, arguments)])
    return found.exit_code, found.output + str(found.exception or "")


def colored(folder, tmp_path, model, *options, source="a.png"):
    arguments = (folder / "in" / source, "-o", tmp_path, "--model", folder / f"{model}.safetensors")
    code, output = run(*arguments, "--overwrite", *options)
    assert code == 0, output
    return np.asarray(Image.open(tmp_path / source))


def test_points_change_colors_and_not_lightness(folder, tmp_path):
    plain = colored(folder, tmp_path, "local")
    told = colored(folder, tmp_path, "local", "--hints", folder / "in" / "a.png.points.json")
    assert np.abs(plain.astype(int) - told).max() > 5
    assert np.abs(rgb2lab(plain)[..., 0] - rgb2lab(told)[..., 0]).max() < 1


def test_a_folder_of_points_is_for_the_pictures_that_have_some(folder, tmp_path):
    plain = {name: colored(folder, tmp_path, "local", source=name) for name in ("a.png", "b.png")}
    arguments = ("--model", folder / "local.safetensors", "--hints", folder / "in", "--overwrite")
    code, output = run(folder / "in", "-o", tmp_path, *arguments)
    assert code == 0, output
    both = {name: np.asarray(Image.open(tmp_path / name)) for name in plain}
    assert not np.array_equal(both["a.png"], plain["a.png"])
    assert np.array_equal(both["b.png"], plain["b.png"])


def test_points_are_those_of_the_picture_as_it_is_looked_at(folder, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    write_scene(folder / "turned.png", exif=exif)
    (folder / "turned.json").write_text(content(96, 128))
    arguments = (folder / "turned.png", "-o", tmp_path, "--model", folder / "local.safetensors")
    code, output = run(*arguments, "--hints", folder / "turned.json")
    assert code == 0, output
    image = Image.open(tmp_path / "turned.png")
    assert (image.size, image.getexif()[0x0112]) == ((128, 96), 6)
    (folder / "turned.json").write_text(content(128, 96))
    code, output = run(*arguments, "--hints", folder / "turned.json", "--overwrite")
    assert code == 1
    wrong = f"turned.png: the points in {folder / 'turned.json'} are for a picture of 128 x 96"
    assert f"{wrong} pixels, this one has 96 x 128" in output


def test_a_model_sees_pictures_as_they_are_looked_at(folder, tmp_path):
    turned = Image.open(folder / "in" / "a.png").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "in" / "turned.png", exif=exif)
    plain = colored(folder, tmp_path, "local")
    stored = colored(folder, tmp_path, "local", source="turned.png")
    (folder / "in" / "turned.png").unlink()
    assert np.array_equal(np.rot90(stored, -1), plain)


def test_histogram_and_saturation_change_colors(folder, tmp_path):
    plain = colored(folder, tmp_path, "global")
    of_another = colored(folder, tmp_path, "global", "--histogram-of", folder / "in" / "b.png")
    both = colored(
        folder, tmp_path, "global", "--histogram-of", folder / "in" / "b.png", "--saturation", 0.9
    )
    assert not np.array_equal(plain, of_another)
    assert not np.array_equal(both, of_another)


def test_a_picture_too_small_for_a_histogram_is_named(folder, tmp_path):
    small = tmp_path / "small.png"
    Image.new("RGB", (3, 3)).save(small)
    arguments = (folder / "in" / "a.png", "-o", tmp_path / "o", "--histogram-of", small)
    code, output = run(*arguments, "--model", folder / "global.safetensors")
    assert code == 1
    assert f"{small}: a picture of 3 x 3 pixels is too small for a histogram" in output


@pytest.mark.parametrize(
    ("method", "command", "page"),
    [
        ("colorization", "colorization", "docs/colors.md"),
        ("local_hints", "local_hints", "docs/hints.md"),
        ("global_hints", "colorization", "docs/colors.md"),
    ],
)
def test_the_page_that_says_where_weights_are_does_so(method, command, page):
    remedy = remedy_for(method)
    assert f"import-weights {command} FILE.pth ({page} " in remedy
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    assert f"unpaired import-weights {command} " in text


@pytest.mark.parametrize(
    ("model", "options", "told"),
    [
        ("global", ("--hints", "in"), "is a model of 'global_hints', which is not told so"),
        ("local", ("--saturation", "0.4"), "is a model of 'local_hints', which is not told so"),
        ("local", ("--histogram-of", "in/b.png"), "one of 'global_hints' by --model"),
        ("local", ("--hints", "absent.json"), "absent.json: no such file"),
        ("global", ("--saturation", "1.4"), "between 0 (gray) and 1, not 1.4"),
        ("global", ("--temperature", "0.5"), "predicts no distribution"),
    ],
)
def test_what_a_model_is_not_told_by_is_refused_before_anything(
    folder, tmp_path, monkeypatch, model, options, told
):
    monkeypatch.chdir(folder)
    output = tmp_path / "o"
    code, printed = run("in/a.png", "-o", output, "--model", f"{model}.safetensors", *options)
    assert code == 1
    assert told in printed
    assert not output.exists()


def test_points_of_one_picture_are_not_for_several(folder, tmp_path):
    points = folder / "in" / "a.png.points.json"
    arguments = ("-o", tmp_path, "--model", folder / "local.safetensors", "--hints", points)
    code, printed = run(folder / "in", *arguments)
    assert code == 1
    assert "points of one picture, but there are 2" in printed
