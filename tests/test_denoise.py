"""The command for a person with noisy pictures: run for real, on real photographs."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from unpaired import short_training
from unpaired.cli import app
from unpaired.denoise import Options, denoise
from unpaired.errors import UnpairedError
from unpaired.images import read_picture
from unpaired.methods import METHODS, PER_IMAGE, create
from unpaired.weights import read_notes, save_model

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Trainings of seconds: narrow, and as long as a tenth of the shortest useful one."""
    monkeypatch.setattr(short_training, "WIDTH", {"cpu": 8})
    monkeypatch.setattr(short_training, "IMAGES_MIN", 20)


@pytest.fixture(scope="session")
def rgb_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "rgb.safetensors"
    save_model(
        path, "neighbor2neighbor", create("neighbor2neighbor", width=8, global_residual=True)
    )
    return path


def noisy(photograph, std=25 / 255):
    return photograph + std * RNG.standard_normal(photograph.shape, dtype=np.float32)


def to_uint8(image):
    return np.clip(np.round(image * 255), 0, 255).astype(np.uint8)


def test_formats_depths_channels_pages_and_names_are_kept(tmp_path, photographs, rgb_model):
    """With a model that changes nothing, every file must come back as it was."""
    crop = noisy(photographs[1][:90, :75])
    eight, sixteen = to_uint8(crop), np.clip(crop * 65535, 0, 65535).astype(np.uint16)
    source = tmp_path / "in" / "sub folder ü"
    source.mkdir(parents=True)
    alpha = RNG.integers(0, 256, (*eight.shape[:2], 1), np.uint8)
    Image.fromarray(np.concatenate((eight, alpha), 2)).save(source / "alpha.png")
    (source / "deep.png").write_bytes(imagecodecs.png_encode(sixteen))
    tifffile.imwrite(source / "float.tif", crop, photometric="rgb")
    tifffile.imwrite(source / "stack.tiff", np.stack((eight, eight[::-1])), photometric="rgb")
    output = tmp_path / "out"
    written = denoise([tmp_path / "in"], output, Options(model=rgb_model, precision="fp32"))
    assert {path.relative_to(output).as_posix() for path in written} == {
        f"sub folder ü/{name}" for name in ("alpha.png", "deep.png", "float.tif", "stack.tiff")
    }
    for path in written:
        before = read_picture(source / path.name)
        after = read_picture(path)
        assert after.dtype == before.dtype
        assert after.pixels.shape == before.pixels.shape
        assert np.allclose(after.pixels, before.pixels, atol=1e-6)
        if before.alpha is not None:
            assert np.array_equal(after.alpha, before.alpha)


@pytest.mark.slow
def test_training_on_the_pictures_alone_removes_noise(tmp_path, photographs, monkeypatch):
    monkeypatch.setattr(short_training, "IMAGES_MIN", 400)
    monkeypatch.setattr(short_training, "WIDTH", {"cpu": 12})
    clean = [photograph[:192, :192] for photograph in photographs]
    for number, photograph in enumerate(clean):
        tifffile.imwrite(tmp_path / f"{number}.tif", noisy(photograph), photometric="rgb")
    result = CliRunner().invoke(
        app, ["denoise", str(tmp_path), "--output", str(tmp_path / "out"), "--minutes", "0.05"]
    )
    assert result.exit_code == 0, result.output
    assert "noise correlation between neighbours: " in result.output
    errors = []
    for number, photograph in enumerate(clean):
        before, after = (
            tifffile.imread(folder / f"{number}.tif") for folder in (tmp_path, tmp_path / "out")
        )
        errors.append([np.mean((image - photograph) ** 2) for image in (before, after)])
    before, after = np.mean(errors, axis=0)
    assert 10 * np.log10(before / after) > 4
    assert (tmp_path / "out/neighbor2neighbor_rgb.safetensors").is_file()


def test_gray_and_rgb_get_a_model_each_and_tiny_pictures_work(tmp_path, photographs):
    Image.fromarray(to_uint8(noisy(photographs[0][:100, :90]))).save(tmp_path / "rgb.png")
    Image.fromarray(to_uint8(noisy(photographs[0][:20, :30, 0]))).save(tmp_path / "gray.png")
    denoise([tmp_path], tmp_path / "out", Options(minutes=0.001))
    assert Image.open(tmp_path / "out/gray.png").mode == "L"
    assert Image.open(tmp_path / "out/gray.png").size == (30, 20)
    assert Image.open(tmp_path / "out/rgb.png").mode == "RGB"
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == 2


def test_bm3d_needs_no_training(tmp_path, photographs):
    clean = photographs[1][:64, :64]
    tifffile.imwrite(tmp_path / "a.tif", noisy(clean), photometric="rgb")
    (path,) = denoise([tmp_path / "a.tif"], tmp_path / "out", Options(method="cbm3d"))
    errors = [np.mean((tifffile.imread(p) - clean) ** 2) for p in (tmp_path / "a.tif", path)]
    assert errors[1] < errors[0] / 2


@pytest.fixture
def correlated(tmp_path, photographs):
    """A picture with the noise of 2 x 2 pixels summed: neighbours share half of it."""
    white = RNG.standard_normal((256, 256, 3), dtype=np.float32) * 25 / 255
    blurred = sum(np.roll(white, shift, (0, 1)) for shift in ((0, 0), (0, 1), (1, 0), (1, 1))) / 2
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, photographs[2][:256, :256] + blurred, photometric="rgb")
    return path


def test_correlated_noise_is_told_and_answered_by_a_stride(correlated, rgb_model, capsys):
    output = correlated.with_name("out")
    denoise([correlated], output, Options(model=rgb_model))
    told = capsys.readouterr().out
    assert "noise correlation between neighbours: +0." in told
    assert "; stride 2, to suit" in told
    assert "warning" not in told
    denoise([correlated], output, Options(model=rgb_model, stride="1"))
    told = capsys.readouterr().out
    assert "; stride 1, as asked for" in told
    assert "warning: the noise of neighbouring pixels is correlated (coefficient 0." in told


def test_a_stride_restores_phases_by_themselves(photographs):
    """With the sum of a neighbour as restoration, the neighbour is as far as the stride."""

    class AddRight:
        knows, multiple_px, margin_px = (), 1, None

        def restore(self, observation):
            return observation.image + observation.image.roll(-1, dims=-1)

    page = photographs[0][:17, :20]
    where = {"device": "cpu", "precision": "fp32"}
    for stride in (1, 2, 3):
        restored = short_training.restore_page(page, AddRight(), stride=stride, **where)
        inside = page[:, : 20 - stride - 2]
        expected = inside + page[:, stride : 20 - 2]
        assert np.allclose(restored[:, : 20 - stride - 2], expected)


def test_a_model_knows_the_stride_that_it_was_trained_with(correlated, capsys):
    output = correlated.with_name("out")
    denoise([correlated], output, Options(minutes=0.001))
    model = output / "neighbor2neighbor_rgb.safetensors"
    assert read_notes(model) == {"stride": 2}
    tifffile.imwrite(correlated, RNG.random((64, 64, 3), np.float32), photometric="rgb")
    denoise([correlated], output, Options(model=model))
    assert "stride 2, as the model was trained" in capsys.readouterr().out


def test_read_out_reaches_the_method(tmp_path, photographs, rgb_model, monkeypatch):
    monkeypatch.setattr(
        "unpaired.methods.neighbor2neighbor.Neighbor2Neighbor.read_outs", ("a", "b")
    )
    tifffile.imwrite(tmp_path / "a.tif", photographs[0][:64, :64], photometric="rgb")
    chosen = []
    original = short_training.restore_page

    def spy(page, restorer, **settings):
        chosen.append(restorer.read_out)
        return original(page, restorer, **settings)

    monkeypatch.setattr("unpaired.denoise.restore_page", spy)
    for read_out in (None, "b"):
        options = Options(model=rgb_model, read_out=read_out)
        denoise([tmp_path / "a.tif"], tmp_path / "out", options)
    assert chosen == ["a", "b"]


def test_a_model_that_changes_more_than_the_noise_is_told(tmp_path, photographs, capsys):
    method = create("neighbor2neighbor", width=8)  # untrained, without the residual: all is lost
    model = tmp_path / "bad.safetensors"
    save_model(model, "neighbor2neighbor", method)
    tifffile.imwrite(tmp_path / "a.tif", noisy(photographs[0][:300, :300]), photometric="rgb")
    denoise([tmp_path / "a.tif"], tmp_path / "out", Options(model=model))
    assert "warning: the pictures changed by" in capsys.readouterr().out


def refused(message, *arguments):
    result = CliRunner().invoke(app, ["denoise", *map(str, arguments)])
    assert isinstance(result.exception, UnpairedError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_bad_input_writes_nothing(tmp_path, rgb_model):
    good, text, nan, gray = (tmp_path / n for n in ("good.png", "text.png", "nan.tif", "gray.png"))
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(good)
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(gray)
    text.write_text("hello")
    tifffile.imwrite(nan, np.full((32, 32), np.nan, np.float32))
    out = tmp_path / "out"
    refused("text.png", good, text, nan, "--output", out)
    refused("nan.tif", good, text, nan, "--output", out)
    refused("is an input; choose another --output", good, "--output", tmp_path)
    refused("no such file", tmp_path / "absent.png", "--output", out)
    refused("a model for 3 channel(s)", gray, "--output", out, "--model", rgb_model)
    refused("needs more than noisy pictures (clean)", good, "--output", out, "--method", "n2c")
    refused("(level); use one of: ", good, "--output", out, "--method", "anscombe")
    refused("did you mean 'n2", good, "--output", out, "--method", "n2k")
    refused("no such model file", good, "--output", out, "--model", tmp_path / "x.safetensors")
    refused("--minutes must be positive", good, "--output", out, "--minutes", 0)
    refused("--stride is one of auto, 1, 2, 3", good, "--output", out, "--stride", 4)
    refused("no read-out 'x'; there are: none", good, "--output", out, "--read-out", "x")
    refused("has one way to restore", good, "--output", out, "--method", "cbm3d", "--read-out", "x")
    assert not out.exists()


def test_unknown_device_and_precision(tmp_path):
    good = tmp_path / "good.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(good)
    where = ("--output", tmp_path / "out", "--minutes", 0.001)
    refused("unknown device 'tpu'", good, *where, "--device", "tpu")
    refused("unknown precision 'fp16'", good, *where, "--precision", "fp16")


def test_an_output_folder_inside_the_input_folder_can_be_written_twice(tmp_path, rgb_model):
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "x.png")
    for _ in range(2):
        written = denoise([tmp_path], tmp_path / "restored", Options(model=rgb_model))
        assert written == [tmp_path / "restored/x.png"]


def test_two_pictures_of_one_name(tmp_path, rgb_model):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / folder / "x.png")
    both = [tmp_path / "a/x.png", tmp_path / "b/x.png"]
    refused("would both become", *both, "--output", tmp_path / "out", "--model", rgb_model)


class Fitted:
    """A per-image method that moves a clock of its own: 0.1 ms per iteration."""

    @dataclass(frozen=True)
    class Config:
        iterations: int = 3000

    sees, knows, multiple_px, margin_px = (), (), 1, None
    seconds = 0.0

    def __init__(self, config):
        self.config = config

    def restore(self, observation):
        Fitted.seconds += 1e-4 * self.config.iterations
        return observation.image


def test_iterations_that_fit_into_the_time(monkeypatch):
    monkeypatch.setitem(METHODS, "fitted", "tests.test_denoise:Fitted")
    monkeypatch.setitem(PER_IMAGE, "fitted", METHODS["fitted"])
    clock = SimpleNamespace(perf_counter=lambda: Fitted.seconds)
    monkeypatch.setattr(short_training, "time", clock)

    def iterations(seconds, images):
        pixels = images * short_training.PROBE_PX**2
        restorer = short_training.create_within("fitted", seconds, pixels, 3, device="cpu")
        return restorer.config.iterations

    assert iterations(0.2, 1) == pytest.approx(2000, abs=1)
    assert iterations(0.2, 4) == pytest.approx(500, abs=1)
    assert iterations(1000, 1) == 3000
    with pytest.raises(UnpairedError, match=r"at least 0\.2 and in full 5\.0 minutes"):
        iterations(0.2, 1000)
