"""The command for a person with gray pictures: run for real, with a model that knows one color."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms
from skimage.color import rgb2gray, rgb2lab
from typer.testing import CliRunner

import unpaired as up
from tests.conftest import shared_data
from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.ab_bins import CENTERS, hard_encode
from unpaired.imaging.pictures import read_picture
from unpaired.learning.create import create
from unpaired.learning.weights import save_model
from unpaired.systems.colorization.colorize import Options, colorize

# Most colors of this chroma are out of the sRGB gamut at most lightnesses.
VIVID, OTHER = (70, -60), (-60, 60)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A network that is fairly sure of one color, and thinks of another."""
    torch.manual_seed(0)
    method = create("colorization", width=2, uniform_share=1.0, picture_px=64)
    method.network.head.weight.data.mul_(0.1)
    for color, bias in ((VIVID, 20.0), (OTHER, 19.5)):
        (number,) = hard_encode(torch.tensor(color, dtype=torch.float32).view(1, 2, 1, 1)).flatten()
        method.network.head.bias.data[number] = bias
    path = tmp_path_factory.mktemp("model") / "colors.safetensors"
    save_model(path, "colorization", method)
    return path


@pytest.fixture(scope="session")
def gray(photographs) -> np.ndarray:
    """A gray photograph with black and white in it: H x W, uint8."""
    picture = (rgb2gray(photographs[1][:150, :190]) * 255).round().astype(np.uint8)
    picture[:10], picture[-10:] = 0, 255
    return picture


def lightness_of(path) -> np.ndarray:
    pixels = read_picture(path).pixels[0].astype(float)
    return rgb2lab(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))[..., 0]


def test_lightness_depth_size_alpha_and_names_are_kept(tmp_path, gray, model):
    source = tmp_path / "in" / "sub folder ü"
    source.mkdir(parents=True)
    alpha = np.random.default_rng(0).integers(0, 256, gray.shape, np.uint8)
    deep = gray.astype(np.uint16) * 257 // 2 + 77
    files = {
        "plain.png": imagecodecs.png_encode(gray),
        "alpha.png": imagecodecs.png_encode(np.stack([gray, alpha], -1)),
        "deep.png": imagecodecs.png_encode(deep),
        "odd.png": imagecodecs.png_encode(gray[:13, :5]),
        "one.png": imagecodecs.png_encode(gray[60:61, :1]),
        "constant.png": imagecodecs.png_encode(np.full((40, 70), 128, np.uint8)),
    }
    for name, data in files.items():
        (source / name).write_bytes(data)
    tifffile.imwrite(source / "stack.tiff", np.stack([gray, gray[::-1]]), photometric="minisblack")
    tifffile.imwrite(source / "float.tif", (gray / 255).astype(np.float32))
    Image.fromarray(gray).convert("P").save(source / "palette.png")
    output = tmp_path / "out"
    written = colorize([tmp_path / "in"], output, Options(model, precision="fp32")).written
    names = {*files, "stack.tiff", "float.tif", "palette.png"}
    assert {path.relative_to(output).as_posix() for path in written} == {
        f"sub folder ü/{name}" for name in names
    }
    for path in written:
        before, after = read_picture(source / path.name), read_picture(path)
        assert after.dtype == before.dtype
        assert after.pixels.shape == (*before.pixels.shape[:3], 3)
        assert np.abs(lightness_of(path) - lightness_of(source / path.name)).max() < 0.5
        assert (after.alpha is None) == (before.alpha is None)
        if before.alpha is not None:
            assert np.array_equal(after.alpha, before.alpha)
        lab = rgb2lab(after.pixels[0].astype(float))
        middle = np.abs(lab[..., 0] - 50) < 20
        assert np.hypot(*np.moveaxis(lab[middle][:, 1:], -1, 0)).min(initial=99) > 20


def test_chroma_is_lost_along_its_hue_and_only_where_it_must(tmp_path, gray, model):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(gray))
    options = Options(model, temperature=0.0)
    (path,) = colorize([tmp_path / "a.png"], tmp_path / "out", options).written
    lab = rgb2lab(read_picture(path).pixels[0].astype(float))
    middle = (lab[..., 0] > 35) & (lab[..., 0] < 65)
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))[middle]
    assert np.abs(hue - np.degrees(np.arctan2(VIVID[1], VIVID[0]))).max() < 2
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    assert chroma[middle].max() == pytest.approx(np.hypot(*VIVID), abs=2)
    assert chroma[middle].max() > chroma[lab[..., 0] > 85].max() + 30


def test_temperature_blends_the_two_colors(tmp_path, gray, model):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.full((64, 64), 119, np.uint8)))
    a = {}
    for temperature in (0.0, 0.38, 1.0, 3.0):
        output = tmp_path / f"out {temperature}"
        options = Options(model, temperature=temperature, precision="fp32")
        (path,) = colorize([tmp_path / "a.png"], output, options).written
        a[temperature] = rgb2lab(read_picture(path).pixels[0].astype(float))[..., 1].mean()
    assert a[0.0] > a[0.38] > a[1.0] > a[3.0]


def test_a_large_picture_is_colorized_as_its_small_copy(tmp_path, model):
    """The network sees pictures at the size it knows, whatever theirs."""
    rng = np.random.default_rng(0)
    small = np.kron(rng.integers(60, 200, (8, 12)), np.ones((8, 8))).astype(np.uint8)
    for name, picture in (("small", small), ("large", np.kron(small, np.ones((5, 5), np.uint8)))):
        (tmp_path / f"{name}.png").write_bytes(imagecodecs.png_encode(picture))
    paths = [tmp_path / "small.png", tmp_path / "large.png"]
    written = colorize(paths, tmp_path / "out", Options(model, precision="fp32")).written
    small, large = (rgb2lab(read_picture(path).pixels[0].astype(float)) for path in written)
    assert large.shape == (320, 480, 3)
    assert np.abs(large[2::5, 2::5] - small)[..., 1:].mean() < 3


def test_colors_given_are_taken_as_gray_and_said_once(tmp_path, photographs, model, capsys):
    for name in ("a", "b"):
        rgb = (photographs[0][:40, :50] * 255).astype(np.uint8)
        (tmp_path / f"{name}.png").write_bytes(imagecodecs.png_encode(rgb))
    (tmp_path / "c.png").write_bytes(imagecodecs.png_encode(np.repeat(rgb[..., :1], 3, -1)))
    written = colorize([tmp_path], tmp_path / "out", Options(model)).written
    said = capsys.readouterr().out
    assert said.count("have colors") == 1
    assert "2 of 3 pictures have colors" in said
    for path in written:
        assert np.abs(lightness_of(path) - lightness_of(tmp_path / path.name)).max() < 0.5


def test_gray_alone_is_not_called_colored(tmp_path, gray, model, capsys):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(gray))
    colorize([tmp_path], tmp_path / "out", Options(model))
    assert "have colors" not in capsys.readouterr().out


def test_what_only_gray_files_may_say_is_left_out(tmp_path, gray, model):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(gray).save(tmp_path / "a.png", icc_profile=profile, dpi=(300, 300))
    Image.fromarray(gray).save(tmp_path / "b.jpg", icc_profile=profile, quality=95)
    inverted = tmp_path / "c.tif"
    tifffile.imwrite(inverted, 255 - gray, photometric="miniswhite", description="axes YX")
    Image.fromarray(gray).save(tmp_path / "same.png")
    written = colorize([tmp_path], tmp_path / "out", Options(model)).written
    png, jpeg, tiff, same = (path for path in written)
    for path in (png, jpeg):
        with Image.open(path) as image:
            assert image.mode == "RGB"
            assert "icc_profile" not in image.info
    with Image.open(png) as image:
        assert image.info["dpi"][0] == pytest.approx(300, abs=0.1)
    with tifffile.TiffFile(tiff) as file:
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        assert file.pages[0].description == ""
    # 1 - 186 / 255 is not exactly 69 / 255, which may turn a rounding to 8 bits.
    difference = np.abs(read_picture(tiff).pixels - read_picture(same).pixels)
    assert difference.max() < 1.5 / 255
    assert (difference > 0).mean() < 0.01


def test_nothing_is_overwritten(tmp_path, gray, model):
    data = imagecodecs.png_encode(gray[:20, :20])
    (tmp_path / "a.png").write_bytes(data)
    (tmp_path / "b.png").write_bytes(data)
    colorize([tmp_path / "a.png"], tmp_path / "out", Options(model))
    before = (tmp_path / "out" / "a.png").read_bytes()
    with pytest.raises(UnpairedError, match=r"a\.png: there already; .* --overwrite"):
        colorize([tmp_path / "b.png", tmp_path / "a.png"], tmp_path / "out", Options(model))
    assert (tmp_path / "out" / "a.png").read_bytes() == before
    assert not (tmp_path / "out" / "b.png").exists()
    options = Options(model, temperature=0.0, overwrite=True)
    colorize([tmp_path / "a.png"], tmp_path / "out", options)
    assert (tmp_path / "out" / "a.png").read_bytes() != before
    with pytest.raises(UnpairedError, match="is an input"):
        colorize([tmp_path / "a.png"], tmp_path, Options(model))


def test_what_cannot_be_done_is_one_line_before_anything_is_written(tmp_path, gray, model):
    good, lab, counts = (tmp_path / name for name in ("a.png", "lab.tif", "counts.tif"))
    good.write_bytes(imagecodecs.png_encode(gray[:20, :20]))
    tifffile.imwrite(lab, np.stack([gray] * 3, -1), photometric="cielab")
    tifffile.imwrite(counts, gray.astype(np.float32))
    denoiser, pickled = tmp_path / "n2c.safetensors", tmp_path / "eccv16.pth"
    save_model(denoiser, "n2c", create("n2c", width=4))
    torch.save({"a": torch.ones(1)}, pickled)
    (tmp_path / "folder").mkdir()
    cases = [
        ([lab, counts], Options(model), "CIELAB.*; .*values from 0 to 255"),
        ([good], Options(model, temperature=-0.5), "temperature"),
        ([good], Options(model, temperature=float("nan")), "temperature"),
        ([good], Options(None), "--model.*import-weights colorization"),
        ([good], Options(denoiser), "a model of 'n2c'"),
        ([good], Options(pickled), "import-weights"),
        ([good], Options(tmp_path / "folder"), "a folder without a model"),
        ([good], Options(tmp_path / "none.safetensors"), "no such model"),
        ([good], Options(Path("table10:none")), "no such model in results/models/by_name"),
        ([good], Options(model, device="gpuu"), "unknown device 'gpuu'"),
        ([good], Options(model, precision="fp8"), "unknown precision 'fp8'"),
        ([tmp_path / "none.png"], Options(model), "no such file"),
    ]
    for paths, options, what in cases:
        with pytest.raises(UnpairedError, match=what) as caught:
            colorize(paths, tmp_path / "out", options)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()


def test_every_input_is_written_refused_by_name_or_skipped_with_the_reason(tmp_path, gray, model):
    source = tmp_path / "in"
    (source / ".hidden").mkdir(parents=True)
    picture = imagecodecs.png_encode(gray[:20, :20])
    for name in ("a.png", "b.png", ".hidden/c.png"):
        (source / name).write_bytes(picture)
    (source / "cut.png").write_bytes(picture[:60])
    tifffile.imwrite(source / "counts.tif", gray.astype(np.float32))
    command = ["colorize", str(source), "-o", str(source / "out"), "--model", str(model)]
    for skipped, more in ((1, []), (3, ["--overwrite"])):
        done = CliRunner().invoke(app, [*command, *more])
        assert done.exit_code == 1
        lines = done.output.splitlines()
        last = f"2 pictures written to {source / 'out'}, 2 refused, {skipped} skipped"
        assert lines[-1] == last
        refused = [line for line in lines if line.startswith("refused: ")]
        assert len(refused) == 2
        assert f"refused: {source / 'counts.tif'}: values from" in refused[0]
        assert f"refused: {source / 'cut.png'}: damaged PNG" in refused[1]
        assert f"skipped {source / '.hidden'}: a hidden folder" in lines
    assert f"skipped {source / 'out'}: 2 results of an earlier run" in lines
    names = {path.name for path in (source / "out").iterdir()}
    assert names == {"a.png", "b.png", ".unpaired-output"}


@pytest.mark.parametrize(
    ("notes", "record", "told"),
    [
        ({"train_set": "color_scenes_train"}, None, "has seen drawn scenes only"),
        ({"train_set": "imagenet_train"}, None, None),
        ({}, None, "does not say what pictures it has learned from"),
        ({}, '{"spec": {"train_set": "color_scenes_train"}}', "has seen drawn scenes only"),
        ({}, '{"spec": {"train_set": "my_photographs"}}', None),
        ({}, "{", "does not say what pictures it has learned from"),
        ({"train_set": "mine"}, '{"spec": {"train_set": "color_scenes_train"}}', None),
    ],
)
def test_a_model_that_knows_no_photographs_says_so_before_it_writes(
    tmp_path, gray, capsys, monkeypatch, notes, record, told
):
    path = tmp_path / "model.safetensors"
    method = create("colorization", width=2, uniform_share=1.0, picture_px=64)
    save_model(path, "colorization", method, notes)
    if record:
        path.with_suffix(".json").write_text(record)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(gray[:20, :20]))
    said_before = []

    def write(picture, target):
        said_before.append(capsys.readouterr().out)
        return ()

    monkeypatch.setattr("unpaired.systems.colorization.colorize.write_picture", write)
    colorize([tmp_path / "a.png"], tmp_path / "out", Options(path))
    warnings = [line for line in said_before[0].splitlines() if line.startswith("warning")]
    if told is None:
        assert warnings == []
    else:
        (warning,) = warnings
        assert told in warning
        remedy = "unpaired import-weights colorization FILE.pth"
        assert (remedy in warning) == ("drawn scenes" in told)


def test_the_command(tmp_path, gray, model):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(gray))
    for output, written in (("out", "out/a.png"), ("one.png", "one.png")):
        arguments = ["colorize", str(tmp_path / "a.png"), "--output", str(tmp_path / output)]
        result = CliRunner().invoke(
            app, [*arguments, "--model", str(model), "--temperature", "0.5", "--device", "cpu"]
        )
        assert result.exit_code == 0, result.output
        last = f"1 picture written to {tmp_path / output}, 0 refused, 0 skipped"
        assert result.output.splitlines()[-1] == last
        assert (tmp_path / written).is_file()
    assert [70, -60] in CENTERS.tolist()


def test_a_tiff_of_a_jpeg_and_what_does_not_go_into_it(tmp_path, gray, model, capsys):
    source, target = tmp_path / "holiday.jpg", tmp_path / "colored.tif"
    Image.fromarray(gray).save(source, comment="the sea")
    done = colorize([source], target, Options(model))
    assert done.written == [target]
    assert tifffile.imread(target).shape == (*gray.shape, 3)
    assert "holiday.jpg: comments" in capsys.readouterr().out


def test_a_precision_that_is_not_here_is_one_line_and_not_one_per_picture(
    tmp_path, gray, model, monkeypatch
):
    monkeypatch.setattr("unpaired.core.devices.has_bf16", lambda device: False)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(gray[:20, :20]))
    with pytest.raises(UnpairedError, match="has no bf16"):
        colorize([tmp_path / "a.png"], tmp_path / "out", Options(model, precision="bf16"))
    assert not (tmp_path / "out").exists()


def test_arguments_are_checked_before_pytorch_is_loaded(tmp_path):
    program = (
        "import sys; from pathlib import Path\n"
        "from unpaired.systems.colorization.colorize import *\n"
        "from unpaired.core.errors import UnpairedError\n"
        "try: colorize([Path('a.png')], Path('out'), Options(Path('none.safetensors')))\n"
        "except UnpairedError as error: print(error, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "none.safetensors: no such model file False\n"


@pytest.mark.slow
def test_kodak_turned_gray_keeps_its_lightness(tmp_path, model):
    for path in sorted(shared_data("kodak").glob("*.png"))[:4]:
        rgb = np.asarray(Image.open(path).convert("L"))
        (tmp_path / path.name).write_bytes(imagecodecs.png_encode(rgb))
    for path in colorize([tmp_path], tmp_path / "out", Options(model)).written:
        assert np.abs(lightness_of(path) - lightness_of(tmp_path / path.name)).max() < 0.5


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_from_python_as_from_the_command_line(tmp_path, gray, model, dtype):
    """The same colors for an array as for its file, and the same doubt about the model."""
    largest = {"uint8": 1, "uint16": 257, "float32": 1 / 255}[dtype]
    array = gray.astype(dtype) * np.dtype(dtype).type(largest)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    (path,) = colorize([tmp_path / "a.tif"], tmp_path / "out", Options(model)).written
    with pytest.warns(UserWarning, match="does not say what pictures it has learned from"):
        colors = up.colorize(array, model=model)
    assert colors.dtype == array.dtype
    np.testing.assert_array_equal(colors, tifffile.imread(path))
