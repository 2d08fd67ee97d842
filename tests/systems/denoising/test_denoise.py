"""The command for a person with noisy pictures: run for real, on real photographs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

import unpaired as up
from tests.waiting import PATIENCE_SECONDS, wait_for
from unpaired import catalog
from unpaired.catalog.system import MethodEntry
from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.imaging.pictures import read_picture
from unpaired.learning.create import create
from unpaired.learning.weights import read_notes, save_model
from unpaired.metrics.coupled_bootstrap import white_noise
from unpaired.metrics.noise_correlation import NoiseCorrelation
from unpaired.metrics.unsupervised_error import upsnr_db
from unpaired.systems.denoising import search as denoising
from unpaired.systems.denoising import short_training
from unpaired.systems.denoising.denoise import Options, denoise
from unpaired.systems.denoising.denoiser import Denoiser, Settings, contradicts, load_denoiser
from unpaired.systems.denoising.held_out import Judged
from unpaired.systems.denoising.measuring import (
    estimated_error,
    estimated_noise_power,
    in_words,
)
from unpaired.systems.denoising.own_pages import ArrayPages
from unpaired.systems.denoising.unfinished import UNFINISHED

RNG = np.random.default_rng(0)
CBM3D = Options(method="cbm3d")


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Trainings of seconds: narrow, and short."""
    monkeypatch.setattr(short_training, "WIDTH", {"cpu": 8})
    monkeypatch.setattr(short_training, "IMAGES_MIN", 20)
    monkeypatch.setattr(denoising, "TRAINING_SECONDS_MIN", 1.0)
    monkeypatch.setattr(denoising, "JUDGED_PX_MIN", 2000)
    monkeypatch.setattr(denoising, "JUDGED_PX_MAX", 8192)


@pytest.fixture(scope="session")
def rgb_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "rgb.safetensors"
    save_model(
        path, "neighbor2neighbor", create("neighbor2neighbor", width=8, global_residual=True)
    )
    return path


def noisy(photograph, std=25 / 255):
    return photograph + std * RNG.standard_normal(photograph.shape, dtype=np.float32)


def run(*arguments):
    """Run the command in this process and return its result; it must not end in a traceback."""
    result = CliRunner().invoke(app, ["denoise", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit | UnpairedError)
    return result


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
    report = denoise([tmp_path / "in"], output, Options(model=rgb_model, precision="fp32"))
    written = report.written
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


def gain_db(noisy_pages, restored_pages, clean_pages):
    """Return by how much the error of all pages together fell."""
    errors = [
        np.mean([np.mean((a - b) ** 2) for a, b in zip(pages, clean_pages, strict=True)])
        for pages in (noisy_pages, restored_pages)
    ]
    return 10 * np.log10(errors[0] / errors[1])


@pytest.mark.long
def test_training_on_the_pictures_alone_removes_noise(tmp_path, photographs, monkeypatch):
    monkeypatch.setattr(short_training, "IMAGES_MIN", 400)
    monkeypatch.setattr(short_training, "WIDTH", {"cpu": 12})
    clean = [photograph[:192, :192] for photograph in photographs]
    for number, photograph in enumerate(clean):
        tifffile.imwrite(tmp_path / f"{number}.tif", noisy(photograph), photometric="rgb")
    result = run(
        tmp_path, "-o", tmp_path / "out", "--minutes", 0.5, "--method", "neighbor2neighbor"
    )
    assert result.exit_code == 0, result.output
    assert "neighboring pixels do not share it" in result.output
    assert "3 32-bit float color TIFF pictures" in result.output.replace(
        "floating-point", "32-bit float"
    )
    before, after = (
        [tifffile.imread(folder / f"{number}.tif") for number in range(len(clean))]
        for folder in (tmp_path, tmp_path / "out")
    )
    assert gain_db(before, after, clean) > 4
    assert (tmp_path / "out/neighbor2neighbor_rgb.safetensors").is_file()
    assert result.output.rstrip().endswith(
        f"3 pictures written to {tmp_path / 'out'}, 0 refused, 0 skipped"
    )


@pytest.mark.long
def test_auto_judges_and_says_why(tmp_path, photographs):
    """Seconds of training cannot beat BM3D; the page, the estimate and the reason are there."""
    clean = photographs[1][:128, :128]
    tifffile.imwrite(tmp_path / "a.tif", noisy(clean), photometric="rgb")
    result = run(tmp_path / "a.tif", "-o", tmp_path / "out", "--minutes", 1)
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "Restored by cbm3d: estimated " in told
    assert "dB on held-out parts, neighbor2neighbor" in told
    estimate = [
        float(word)
        for word in told.partition("clean pictures: ")[2].split()
        if "." in word and word[0].isdigit()
    ][:2]
    restored = tifffile.imread(tmp_path / "out/a.tif")
    true = [
        -10 * np.log10(np.mean((x - clean) ** 2))
        for x in (tifffile.imread(tmp_path / "a.tif"), restored)
    ]
    assert true[1] - true[0] > 5
    assert estimate[1] - estimate[0] == pytest.approx(true[1] - true[0], abs=5)
    page = (tmp_path / "out/before_after.html").read_text()
    assert "a.tif" in page
    assert "Restored by cbm3d" in page


@pytest.mark.long
def test_gray_and_rgb_get_a_model_each_and_tiny_pictures_work(tmp_path, photographs):
    Image.fromarray(to_uint8(noisy(photographs[0][:100, :90]))).save(tmp_path / "rgb.png")
    Image.fromarray(to_uint8(noisy(photographs[0][:20, :30, 0]))).save(tmp_path / "gray.png")
    denoise([tmp_path], tmp_path / "out", Options("neighbor2neighbor", minutes=0.3))
    assert Image.open(tmp_path / "out/gray.png").mode == "L"
    assert Image.open(tmp_path / "out/gray.png").size == (30, 20)
    assert Image.open(tmp_path / "out/rgb.png").mode == "RGB"
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == 2


def test_bm3d_needs_no_training(tmp_path, photographs):
    clean = photographs[1][:64, :64]
    tifffile.imwrite(tmp_path / "a.tif", noisy(clean), photometric="rgb")
    (path,) = denoise([tmp_path / "a.tif"], tmp_path / "out", Options(method="cbm3d")).written
    errors = [np.mean((tifffile.imread(p) - clean) ** 2) for p in (tmp_path / "a.tif", path)]
    assert errors[1] < errors[0] / 2


def test_a_gray_picture_in_three_channels_is_one_gray_picture(tmp_path, photographs):
    gray = to_uint8(noisy(photographs[1][:64, :64, :1]))
    Image.fromarray(gray[..., 0]).save(tmp_path / "gray.png")
    Image.fromarray(np.repeat(gray, 3, axis=-1)).save(tmp_path / "rgb.png")
    report = denoise([tmp_path / "gray.png", tmp_path / "rgb.png"], tmp_path / "out", CBM3D)
    one, three = (read_picture(tmp_path / "out" / name).pixels for name in ("gray.png", "rgb.png"))
    assert three.shape == (1, 64, 64, 3)
    assert np.array_equal(three, np.repeat(one, 3, axis=-1))
    assert (one != gray[None] / np.float32(255)).mean() > 0.5
    told = "\n".join(report.lines)
    assert "rgb.png: its three channels are the same: restored as one gray picture" in told
    from_python = up.denoise(np.repeat(gray, 3, axis=-1), axes="YXC", method="cbm3d")
    assert np.array_equal(from_python, np.repeat(from_python[..., :1], 3, axis=-1))
    # Other floating-point numbers, which may be rounded to the next integer.
    assert np.abs(from_python - 255 * three[0]).max() < 1.01


def test_a_color_model_still_takes_gray_in_three_channels(tmp_path, photographs, rgb_model):
    gray = to_uint8(noisy(photographs[1][:64, :64, :1]))
    Image.fromarray(np.repeat(gray, 3, axis=-1)).save(tmp_path / "rgb.png")
    report = denoise([tmp_path / "rgb.png"], tmp_path / "out", Options(model=rgb_model))
    assert len(report.written) == 1


def test_an_estimate_that_contradicts_the_noise_is_not_told(photographs):
    """Noise that neighbors share, too weak for a stride: no figure, no ranking, no harm."""
    white = RNG.standard_normal((160, 160, 1)) * 0.3
    clean = gaussian_filter(photographs[2][:160, :160, :1], (6, 6, 0))
    page = clean + gaussian_filter(white, (1.5, 1.5, 0))
    engine = denoising.learn(ArrayPages([page]), Settings(stride="1"), denoising.Work(_soon(), 1))
    assert engine.method == "cbm3d"
    assert np.isnan(engine.estimate.before_db)
    assert "methods cannot be judged, because the noise in flat parts" in engine.estimate.reason


def test_what_contradicts():
    noise = NoiseCorrelation(0, 0, 0, 0, 0, noise_std=0.075, n_patches=99)
    assert contradicts(noise, 42.9)
    assert contradicts(noise, np.inf)
    assert not contradicts(noise, 22.5)
    assert not contradicts(noise, np.nan)
    assert not contradicts(None, 42.9)


def _soon():
    return time.monotonic() + 60


# ---- Scales -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes():
    """Two smooth scenes in [0, 1], mostly dark."""
    rng = np.random.default_rng(4)
    blobs = [gaussian_filter(rng.random((112, 112)), 7) for _ in range(2)]
    return [(blob - blob.min()) / np.ptp(blob) for blob in blobs]


def sixteen(values):
    return np.floor(np.clip(values, 0, 65535) + 0.5).astype(np.uint16)


def restored_of(folder, name, pages, options=CBM3D, **tags):
    tifffile.imwrite(folder / name, pages, **tags)
    (path,) = denoise([folder / name], folder / "out", options).written
    return tifffile.imread(path)


def test_a_dim_channel_beside_a_bright_one(tmp_path, scenes):
    """ImageJ's two channels: each gains, keeps its range, its axes and its tags."""
    noise = 0.1 * RNG.standard_normal((2, 112, 112))
    scales = [(100, 40), (2000, 40_000)]
    pages = [sixteen(o + g * (s + n)) for (o, g), s, n in zip(scales, scenes, noise, strict=True)]
    tags = {"imagej": True, "metadata": {"axes": "CYX", "mode": "composite"}}
    restored = restored_of(tmp_path, "a.tif", np.stack(pages), **tags)
    for (offset, gain), page, after, scene in zip(scales, pages, restored, scenes, strict=True):
        decoded = [(values.astype(float) - offset) / gain for values in (page, after)]
        assert gain_db([decoded[0]], [decoded[1]], [scene]) > 6
    with tifffile.TiffFile(tmp_path / "out/a.tif") as tiff:
        assert tiff.is_imagej
        assert tiff.series[0].axes == "CYX"
        assert tiff.imagej_metadata["mode"] == "composite"


def test_pictures_of_a_hundredfold_gain_and_a_bleaching_series(tmp_path, scenes):
    frames = [scenes[0] + 0.1 * RNG.standard_normal((112, 112)) for _ in range(3)]
    gains = (40_000, 4_000, 400)
    series = np.stack([sixteen(100 + g * (f + 0.4)) for g, f in zip(gains, frames, strict=True)])
    restored = restored_of(tmp_path, "series.tif", series, photometric="minisblack")
    for gain, before, after in zip(gains, series, restored, strict=True):
        decoded = [(page.astype(float) - 100) / gain - 0.4 for page in (before, after)]
        assert gain_db([decoded[0]], [decoded[1]], [scenes[0]]) > 6


@pytest.mark.parametrize("kind", ["stars", "hot pixels"])
def test_outliers_harm_nothing_and_stay(tmp_path, scenes, kind):
    spots = np.zeros((112, 112))
    spots[tuple(RNG.integers(8, 104, (2, 6)))] = 1
    peaks = 60_000 * (gaussian_filter(spots, 1.0) * 2 * np.pi if kind == "stars" else spots)
    clean = 200 + 40 * scenes[0] + peaks
    page = sixteen(clean + 4 * RNG.standard_normal(clean.shape))
    restored = restored_of(tmp_path, "a.tif", page)
    background = peaks < 20
    decoded = [(values.astype(float) / 40)[background] for values in (page, restored)]
    assert gain_db([decoded[0]], [decoded[1]], [(clean / 40)[background]]) > 5
    brightest = (peaks > 30_000) & (clean < 65_000)
    assert np.allclose(restored[brightest], clean[brightest], rtol=0.03)


@pytest.mark.parametrize(("mean", "suffix"), [(0.05, ".tif"), (2.0, ".tif"), (2.0, ".png")])
def test_counts_of_few_photons_are_kept_as_floats(tmp_path, scenes, mean, suffix):
    rate = mean * scenes[0] / scenes[0].mean()
    counts = RNG.poisson(rate).astype(np.uint16)
    path = tmp_path / f"counts{suffix}"
    if suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(counts))
    else:
        tifffile.imwrite(path, counts)
    report = denoise([path], tmp_path / "out", CBM3D)
    assert report.written == [tmp_path / "out/counts.tif"]
    assert any("written as 32-bit floats" in line for line in report.lines)
    restored = tifffile.imread(report.written[0])
    assert restored.dtype == np.float32
    assert restored.mean() == pytest.approx(counts.mean(), rel=0.01)
    best = min(np.mean((gaussian_filter(counts.astype(float), s) - rate) ** 2) for s in (1, 2, 3))
    assert 10 * np.log10(np.mean((restored - rate) ** 2) / best) < 2


def test_a_dark_eight_bit_picture_stays_one(tmp_path, scenes):
    page = to_uint8((5 + 20 * (scenes[0] + 0.1 * RNG.standard_normal((112, 112)))) / 255)
    restored = restored_of(tmp_path, "a.tif", page)
    assert restored.dtype == np.uint8
    decoded = [(values.astype(float) - 5) / 20 for values in (page, restored)]
    assert gain_db([decoded[0]], [decoded[1]], [scenes[0]]) > 5


def test_a_picture_whose_mean_moves_is_refused_and_the_others_written(
    tmp_path, monkeypatch, rgb_model
):
    """A method that answers darkness: its page is not written, whatever else is."""
    good, bad = (RNG.random((64, 64, 3), np.float32) for _ in range(2))
    tifffile.imwrite(tmp_path / "good.tif", good, photometric="rgb")
    tifffile.imwrite(tmp_path / "bad.tif", bad + 5, photometric="rgb")
    original = Denoiser.restore_values

    def restore(self, page):
        return original(self, page) - 3 * (page.page.min() > 4)

    monkeypatch.setattr(Denoiser, "restore_values", restore)
    result = run(tmp_path, "-o", tmp_path / "out", "--model", rgb_model)
    assert result.exit_code == 1
    assert "the mean value moved from" in result.output
    assert "bad.tif" in result.output
    assert "1 picture written to" in result.output
    assert "1 refused" in result.output
    assert not (tmp_path / "out/bad.tif").exists()


# ---- Correlated noise ---------------------------------------------------------------------------


@pytest.fixture
def correlated(tmp_path, photographs):
    """A picture with the noise of 2 x 2 pixels summed: neighbors share half of it."""
    white = RNG.standard_normal((256, 256, 3), dtype=np.float32) * 25 / 255
    blurred = sum(np.roll(white, shift, (0, 1)) for shift in ((0, 0), (0, 1), (1, 0), (1, 1))) / 2
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, photographs[2][:256, :256] + blurred, photometric="rgb")
    return path


def test_correlated_noise_is_told_and_answered_by_a_stride(correlated, rgb_model):
    told = " ".join(
        denoise([correlated], correlated.with_name("out"), Options(model=rgb_model)).lines
    )
    assert "neighboring pixels share it (correlation +0." in told
    assert "so pixels 2 apart were restored together (--stride 2)" in told
    options = Options(model=rgb_model, stride="1", overwrite=True)
    told = " ".join(denoise([correlated], correlated.with_name("out"), options).lines)
    assert "so part of it stays, and an estimate is too kind" in told


def test_a_stride_restores_phases_by_themselves(photographs):
    """With the sum of a neighbor as restoration, the neighbor is as far as the stride."""

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


@pytest.mark.long
def test_a_model_knows_the_stride_that_it_was_trained_with(correlated):
    output = correlated.with_name("out")
    denoise([correlated], output, Options("neighbor2neighbor", minutes=0.3))
    model = output / "neighbor2neighbor_rgb.safetensors"
    assert read_notes(model) == {"stride": 2, "conditioned": True}
    assert load_denoiser(model, Settings()).stride == 2


def test_read_out_reaches_the_method(tmp_path, photographs, rgb_model, monkeypatch):
    monkeypatch.setattr(
        "unpaired.systems.denoising.methods.neighbor2neighbor.Neighbor2Neighbor.read_outs",
        ("a", "b"),
    )
    for read_out in (None, "b"):
        settings = Settings(read_out=read_out, method="neighbor2neighbor")
        assert load_denoiser(rgb_model, settings).restorer.read_out == (read_out or "a")


def test_a_model_that_changes_more_than_the_noise_is_told(tmp_path, photographs):
    method = create("neighbor2neighbor", width=8)  # untrained, without the residual: all is lost
    model = tmp_path / "bad.safetensors"
    save_model(model, "neighbor2neighbor", method)
    tifffile.imwrite(tmp_path / "a.tif", noisy(photographs[0][:300, :300]), photometric="rgb")
    result = run(tmp_path / "a.tif", "-o", tmp_path / "out", "--model", model)
    assert "refused: " in result.output or "Warning: the pictures changed by" in result.output


# ---- What is refused, and what is kept ----------------------------------------------------------


def refused(message, *arguments):
    result = run(*arguments)
    assert isinstance(result.exception, UnpairedError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_bad_input_writes_nothing(tmp_path, rgb_model):
    good, gray = tmp_path / "good.png", tmp_path / "gray.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(good)
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(gray)
    out = tmp_path / "out"
    refused("good.png", good, "--output", tmp_path)
    refused("no such file", tmp_path / "absent.png", "--output", out)
    refused("a model for 3 channel(s)", gray, "--output", out, "--model", rgb_model)
    refused("needs more than noisy pictures (clean)", good, "--output", out, "--method", "n2c")
    refused("(level); use one of: ", good, "--output", out, "--method", "anscombe")
    refused("did you mean 'n2", good, "--output", out, "--method", "n2k")
    refused("no such model", good, "--output", out, "--model", tmp_path / "x.safetensors")
    refused("--minutes must be positive", good, "--output", out, "--minutes", 0)
    refused("--stride is one of auto, 1, 2, 3", good, "--output", out, "--stride", 4)
    refused("--read-out needs a --method", good, "--output", out, "--read-out", "x")
    n2n = ("--method", "neighbor2neighbor")
    refused("no read-out 'x'; there are: none", good, "--output", out, *n2n, "--read-out", "x")
    refused("has one way to restore", good, "--output", out, "--method", "cbm3d", "--read-out", "x")
    refused("unknown device 'gpus'", good, "--output", out, "--device", "gpus")
    refused("unknown precision 'fp16'", good, "--output", out, "--precision", "fp16")
    refused("leave --resume out", good, "--output", out, "--resume")
    assert not out.exists()


def test_more_pictures_than_the_time_allows_are_refused_before_anything(tmp_path, photographs):
    for number in range(3):
        tifffile.imwrite(tmp_path / f"{number}.tif", noisy(photographs[0]), photometric="rgb")
    refused(
        "give --minutes", tmp_path, "-o", tmp_path / "out", "--minutes", 0.01, "--method", "cbm3d"
    )
    assert not (tmp_path / "out").exists()


def test_the_minutes_advised_are_more_than_those_given():
    page = RNG.random((100, 100, 1))
    work = denoising.Work(end=time.monotonic() + 9, minutes=1.5)
    learning = denoising._Learning(ArrayPages([page]), Settings(), work, None)
    with pytest.raises(UnpairedError) as caught:
        learning._refuse_if_late("cbm3d", 50)
    assert str(caught.value).startswith("1 picture (0.01 megapixels): cbm3d needs 0:50 min here")
    assert str(caught.value).endswith("left: give --minutes 3 or more, or fewer pictures")


def test_one_picture_of_another_kind_does_not_decide_the_estimate():
    """A bilevel picture among photographs, as often as it happens to be judged."""
    page = RNG.normal(0.5, 0.1, (64, 64, 1))
    alike = Judged(page, white_noise(np.full(page.shape, 0.01), "x"))
    bilevel = Judged(np.round(page), white_noise(np.full(page.shape, 0.25), "x"))
    for parts in ([alike] * 3, [alike, alike, bilevel]):
        assert estimated_noise_power(parts) == pytest.approx(0.01)
        assert estimated_error(lambda image: image, parts, 1) == pytest.approx(0.0109, rel=0.2)


def test_every_input_ends_written_refused_or_skipped(tmp_path, rgb_model):
    source = tmp_path / "in"
    source.mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(source / "good.png")
    (source / "text.png").write_text("hello")
    tifffile.imwrite(source / "nan.tif", np.full((32, 32), np.nan, np.float32))
    for name in ("a.heic", "b.dng"):
        (source / name).write_bytes(b"...")
    result = run(source, "-o", tmp_path / "out", "--model", rgb_model)
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[-1] == f"1 picture written to {tmp_path / 'out'}, 2 refused, 2 skipped"
    for name in ("text.png", "nan.tif"):
        assert any(line.startswith("refused: ") and name in line for line in lines)
    for name in ("a.heic", "b.dng"):
        assert any("skipped" in line and name in line for line in lines)


def test_nothing_is_overwritten_without_being_asked(tmp_path, rgb_model):
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "x.png")
    out = tmp_path / "out"
    first = run(tmp_path / "x.png", "-o", out, "--model", rgb_model)
    assert first.exit_code == 0, first.output
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    refused("--overwrite", tmp_path / "x.png", "-o", out, "--model", rgb_model)
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / "x.png").unlink()
    refused("before_after.html", tmp_path / "x.png", "-o", out, "--model", rgb_model)
    again = run(tmp_path / "x.png", "-o", out, "--model", rgb_model, "--overwrite")
    assert again.exit_code == 0, again.output


def test_an_output_folder_inside_the_input_folder_can_be_written_twice(tmp_path, rgb_model):
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "x.png")
    for _ in range(2):
        options = Options(model=rgb_model, overwrite=True)
        report = denoise([tmp_path], tmp_path / "restored", options)
        assert report.written == [tmp_path / "restored/x.png"]


def test_two_pictures_of_one_name(tmp_path, rgb_model):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / folder / "x.png")
    both = [tmp_path / "a/x.png", tmp_path / "b/x.png"]
    refused("would both become", *both, "--output", tmp_path / "out", "--model", rgb_model)


def test_a_single_picture_goes_to_a_named_file(tmp_path, photographs):
    tifffile.imwrite(tmp_path / "a.tif", noisy(photographs[1][:64, :64]), photometric="rgb")
    result = run(tmp_path / "a.tif", "-o", tmp_path / "clean.tif", "--method", "cbm3d")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "clean.tif").is_file()
    assert (tmp_path / "clean_before_after.html").is_file()


# ---- Time and stops -----------------------------------------------------------------------------


@pytest.mark.long
def test_a_training_ends_by_the_clock(tmp_path, photographs):
    """A step that becomes slower than the probe was does not move the end."""
    tifffile.imwrite(tmp_path / "a.tif", noisy(photographs[1][:128, :128]), photometric="rgb")
    slow = SimpleNamespace(steps=0)

    def tick():
        slow.steps += 1
        time.sleep(0.2)

    pages = ArrayPages([noisy(photographs[1][:128, :128])])
    start = time.monotonic()
    work = denoising.Work(end=start + 12, minutes=0.2, tick=tick)
    denoising.learn(pages, Settings("neighbor2neighbor"), work)
    assert slow.steps > 5
    # It ends in time, with room for a step, the probes and the estimate; unbounded it takes 100 s.
    assert time.monotonic() - start < 40


def command(*arguments):
    code = (
        "from unpaired.systems.denoising import search as denoising, short_training\n"
        "short_training.WIDTH = {'cpu': 8}\n"
        "denoising.JUDGED_PX_MAX = denoising.JUDGED_PX_MIN = 4000\n"
        "from unpaired.cli import main\n"
        "main()"
    )
    words = [sys.executable, "-c", code, "denoise", *map(str, arguments)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


@pytest.mark.long
def test_a_stopped_training_goes_on(tmp_path, photographs):
    """Ctrl-C in the training: a word on how to go on, nothing half-written, and it does go on."""
    tifffile.imwrite(tmp_path / "a.tif", noisy(photographs[1][:96, :96]), photometric="rgb")
    out = tmp_path / "out"
    words = (tmp_path / "a.tif", "-o", out, "--method", "neighbor2neighbor", "--minutes", 0.5)
    process = command(*words)
    state = out / UNFINISHED / "state.json"
    wait_for(state.is_file)
    time.sleep(4)
    os.killpg(process.pid, signal.SIGINT)
    told, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "--resume goes on from here" in told
    assert [path.name for path in out.iterdir()] == [UNFINISHED]
    assert json.loads(state.read_text())["learned"] == {}
    refused("add --resume to go on", *words)
    other = (*words[:-1], 0.4)
    refused("other pictures or options", *other, "--resume")
    assert state.is_file()
    finished = command(*words, "--resume")
    told, _ = finished.communicate(timeout=PATIENCE_SECONDS)
    assert finished.returncode == 0, told
    assert "1 picture written to" in told
    assert not (out / UNFINISHED).exists()


@pytest.mark.long
def test_a_killed_restoration_goes_on_with_the_pictures_that_are_missing(tmp_path, photographs):
    for number in range(4):
        crop = noisy(photographs[1][:128, 100 * number // 4 :][:, :128])
        tifffile.imwrite(tmp_path / f"{number}.tif", crop, photometric="rgb")
    out = tmp_path / "out"
    words = (tmp_path, "-o", out, "--method", "cbm3d", "--minutes", 5)
    process = command(*words)
    wait_for((out / "0.tif").is_file)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)
    first = (out / "0.tif").stat().st_mtime_ns
    finished = command(*words, "--resume")
    told, _ = finished.communicate(timeout=PATIENCE_SECONDS)
    assert finished.returncode == 0, told
    assert "4 pictures written to" in told
    assert (out / "0.tif").stat().st_mtime_ns == first
    assert not (out / UNFINISHED).exists()


class Fitted:
    """A per-image method that moves a clock of its own: 0.1 ms per iteration."""

    @dataclass(frozen=True)
    class Config:
        iterations: int = 3000
        precision: str = "auto"

    sees, knows, multiple_px, margin_px = (), (), 1, None
    seconds = 0.0

    def __init__(self, config):
        self.config = config

    def restore(self, observation):
        Fitted.seconds += 1e-4 * self.config.iterations
        return observation.image


def test_iterations_that_fit_into_the_time(monkeypatch):
    entry = MethodEntry("tests.systems.denoising.test_denoise:Fitted", is_trained=False)
    monkeypatch.setitem(catalog.methods(), "fitted", entry)
    clock = SimpleNamespace(perf_counter=lambda: Fitted.seconds)
    monkeypatch.setattr(short_training, "time", clock)

    def iterations(seconds, images):
        pixels = images * short_training.PROBE_PX**2
        restorer = short_training.create_within(
            "fitted", seconds, pixels, 3, device="cpu", precision="fp32"
        )
        assert restorer.config.precision == "fp32"
        return restorer.config.iterations

    assert iterations(0.2, 1) == pytest.approx(2000, abs=1)
    assert iterations(0.2, 4) == pytest.approx(500, abs=1)
    assert iterations(1000, 1) == 3000
    with pytest.raises(UnpairedError, match=r"at least 0\.2 and in full 5\.0 minutes"):
        iterations(0.2, 1000)


def test_an_estimate_of_no_error_is_said_in_words():
    assert in_words(upsnr_db(1e-3)) == "30.0 dB"
    assert in_words(upsnr_db(-1e-9)) == "above what can be measured"
