"""What a notebook uses: arrays of every kind in, the same kind out, and nothing on the screen."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from skimage.metrics import structural_similarity

import unpaired as up
from tests.imaging.files import write_turned
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.weights import save_model
from unpaired.systems.denoising import search as denoising
from unpaired.systems.denoising import short_training

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(short_training, "WIDTH", {"cpu": 8})
    monkeypatch.setattr(denoising, "TRAINING_SECONDS_MIN", 1.0)
    monkeypatch.setattr(denoising, "JUDGED_PX_MIN", 2000)
    monkeypatch.setattr(denoising, "JUDGED_PX_MAX", 4000)


@pytest.fixture(scope="module")
def clean():
    """A smooth scene in [0, 1], H x W."""
    y, x = np.mgrid[0:72, 0:80]
    return (np.sin(y / 9) * np.cos(x / 7) + 1) / 2


def noisy(clean, gain=200, offset=20):
    return offset + gain * (clean + 0.1 * RNG.standard_normal(clean.shape))


def in_type(values, dtype):
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    information = np.iinfo(dtype)
    return np.clip(np.rint(values), information.min, information.max).astype(dtype)


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "i2", "u4", "i4", "f2", "f4", "f8", ">f4"])
def test_every_type_of_number_comes_back_and_gains(clean, dtype):
    page = in_type(noisy(clean), dtype)
    before = page.copy()
    restored = up.denoise(page, method="cbm3d")
    assert restored.dtype == page.dtype
    assert restored.shape == page.shape
    assert np.array_equal(page, before)
    truth = 20 + 200 * clean
    errors = [np.mean((a.astype(float) - truth) ** 2) for a in (page, restored)]
    assert 10 * np.log10(errors[0] / errors[1]) > 6


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("YX", (72, 80)),
        ("YXC", (72, 80, 3)),
        ("YXC", (72, 80, 2)),
        ("CYX", (4, 72, 80)),
        ("NYX", (2, 72, 80)),
        ("NYXC", (2, 72, 80, 3)),
        ("NCYX", (2, 2, 72, 80)),
        ("XY", (80, 72)),
    ],
)
def test_axes_say_what_is_what(clean, axes, shape):
    """Every axis is found again: each page or channel has a level of its own."""
    letters = [letter for letter in "NCYX" if letter in axes]
    sizes = {letter: shape[axes.index(letter)] for letter in letters}
    others = [sizes[letter] for letter in letters if letter not in "YX"]
    levels = 300 * (1 + np.arange(np.prod(others, dtype=int))).reshape(*others, 1, 1)
    truth = (levels + 100 * clean).transpose([letters.index(letter) for letter in axes])
    page = (truth + 10 * RNG.standard_normal(truth.shape)).astype(np.float32)
    restored = up.denoise(page, method="cbm3d", axes=axes)
    assert restored.shape == page.shape
    assert np.abs(restored - truth).mean() < 0.6 * np.abs(page - truth).mean()


def test_odd_memory_layouts_lists_and_tensors(clean):
    page = noisy(clean).astype(np.float32)
    expected = up.denoise(page, method="cbm3d")
    read_only = page.copy()
    read_only.flags.writeable = False
    for same in (np.asfortranarray(page), page[::-1][::-1], read_only, torch.from_numpy(page)):
        assert np.allclose(up.denoise(same, method="cbm3d"), expected, atol=1e-3)
    assert np.allclose(up.denoise(page.tolist(), method="cbm3d"), expected, atol=1e-2)


@pytest.mark.parametrize(
    ("array", "axes", "message"),
    [
        (np.zeros((4, 5, 3)), None, "needs axes="),
        (np.zeros((4, 5)), "YXC", "does not fit"),
        (np.zeros((4, 5)), "YY", "does not fit"),
        (np.zeros((4, 5, 3)), "YXZ", "Z is none of"),
        (np.zeros(7), None, "needs axes="),
        (np.zeros((0, 5)), None, "is empty"),
        (np.full((8, 8), np.nan), None, "NaN"),
        (np.ones((8, 8), bool), None, "an array of bool is of no use"),
        (np.ones((8, 8), complex), None, "an array of complex128"),
        (np.array([["a"]]), None, "of no use here"),
        (np.ma.masked_less(np.ones((8, 8)), 2), None, "a masked array"),
        (np.ones((8, 8), np.longdouble), None, "of no use here"),
        (np.full((8, 8), 2**62), None, "values beyond"),
        (torch.ones(8, 8, requires_grad=True), None, "not an array of numbers"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(array, axes, message):
    with pytest.raises(UnpairedError, match=message) as caught:
        up.denoise(array, axes=axes)
    assert "\n" not in str(caught.value)


def test_other_arguments_are_refused_in_one_line(clean, tmp_path):
    for options, message in (
        ({"minutes": 0}, "minutes must be"),
        ({"minutes": "3"}, "minutes must be a positive number, not '3'"),
        ({"minutes": None}, "minutes must be a positive number, not None"),
        ({"minutes": float("nan")}, "minutes must be"),
        ({"method": "cbm4d"}, "did you mean 'cbm3d'"),
        ({"method": "n2c"}, "needs more than noisy pictures"),
        ({"device": "tpu"}, "unknown device"),
    ):
        with pytest.raises(UnpairedError, match=message):
            up.denoise(noisy(clean), **options)
    with pytest.raises(UnpairedError, match="no such"):
        up.denoise(tmp_path / "absent.png")
    gray, color = noisy(clean), np.stack([noisy(clean) for _ in range(3)])
    with pytest.raises(UnpairedError, match="learned from 1 channel"):
        up.Denoiser.fit(gray, method="cbm3d").restore(color, axes="CYX")


def test_counts_come_back_as_floats_and_this_is_said(clean):
    counts = RNG.poisson(3 * clean).astype(np.uint16)
    with pytest.warns(UserWarning, match="too few steps of uint16"):
        restored = up.denoise(counts, method="cbm3d")
    assert restored.dtype == np.float32
    assert restored.mean() == pytest.approx(counts.mean(), rel=0.01)
    constant = np.full((40, 40), 7, np.uint8)
    assert np.array_equal(up.denoise(constant, method="cbm3d"), constant)


def test_a_path_gives_what_is_in_the_file(clean, tmp_path):
    page = in_type(noisy(clean), "u2")
    tifffile.imwrite(tmp_path / "a.tif", page)
    restored = up.denoise(tmp_path / "a.tif", method="cbm3d")
    assert restored.dtype == np.uint16
    assert np.abs(restored.astype(int) - up.denoise(page, method="cbm3d")).max() <= 1


def test_a_file_is_read_as_it_is_looked_at(clean, tmp_path):
    page = in_type(noisy(clean), "u1")
    write_turned(tmp_path / "a.png", page)
    restored = up.denoise(tmp_path / "a.png", method="cbm3d")
    assert np.abs(restored.astype(int) - up.denoise(page, method="cbm3d")).max() <= 1


def test_that_alpha_is_left_out_is_said(clean, tmp_path):
    page = in_type(noisy(clean), "u1")
    with_alpha = np.dstack([page, page, page, np.full_like(page, 200)])
    Image.fromarray(with_alpha).save(tmp_path / "a.png")
    with pytest.warns(UserWarning, match=r"a\.png: its alpha is left out"):
        restored = up.denoise(tmp_path / "a.png", method="cbm3d")
    assert restored.shape == (*page.shape, 3)


@pytest.mark.long
def test_auto_learns_once_and_restores_others(clean, tmp_path, capsys):
    pictures = [noisy(clean), noisy(clean[:, ::-1])[:70]]
    denoiser = up.Denoiser.fit(pictures, minutes=0.5)
    assert denoiser.method == "cbm3d"
    assert "neighbor2neighbor" in denoiser.estimate.reason
    assert "cbm3d" in repr(denoiser)
    assert denoiser.restore(pictures[1]).shape == (70, 80)
    with pytest.raises(UnpairedError, match="there is no model"):
        denoiser.save(tmp_path / "m.safetensors")
    assert capsys.readouterr() == ("", "")


@pytest.mark.long
def test_a_trained_denoiser_is_saved_and_loaded_in_any_thread(clean, tmp_path):
    """PyTorch's settings and random numbers are left as they were."""
    torch.manual_seed(3)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    found = []

    def fit():
        found.append(up.Denoiser.fit(noisy(clean), method="neighbor2neighbor", minutes=0.3))

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    (denoiser,) = found
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    denoiser.save(tmp_path / "m.safetensors")
    page = noisy(clean)
    again = up.load(tmp_path / "m.safetensors").restore(page)
    assert np.allclose(again, denoiser.restore(page))


def test_a_model_replaces_a_file_only_when_asked(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_model(path, "neighbor2neighbor", create("neighbor2neighbor", width=8))
    denoiser, before = up.load(path, device="cpu"), path.read_bytes()
    with pytest.raises(UnpairedError, match=r"mine\.safetensors: there already.*overwrite=True"):
        denoiser.save(path)
    assert path.read_bytes() == before
    with pytest.raises(UnpairedError, match=r"noisy\.png: models are written as \.safetensors"):
        denoiser.save(tmp_path / "noisy.png", overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    denoiser.save(path, overwrite=True)
    assert up.load(path).method == "neighbor2neighbor"
    assert path.read_bytes() != before  # It says its stride now.


@pytest.mark.parametrize("wrong", ["1", 0, -1, float("nan"), float("inf"), True])
def test_a_range_that_is_no_positive_number_is_one_line(wrong):
    page = np.zeros((16, 16))
    for measure in (up.psnr, up.ssim):
        with pytest.raises(UnpairedError, match="data_range must be a positive number, not"):
            measure(page, page, data_range=wrong)


def test_large_offsets_lose_nothing(clean):
    page = np.rint(noisy(clean, 200, -2_000_000_000)).astype(np.int32)
    restored = up.denoise(page, method="cbm3d")
    truth = -2_000_000_000 + 200 * clean
    errors = [np.mean((a - truth) ** 2) for a in (page, restored)]
    assert 10 * np.log10(errors[0] / errors[1]) > 6


@pytest.mark.long
def test_whatever_pytorch_is_set_to(clean):
    page = noisy(clean)
    expected = up.denoise(page, method="cbm3d")
    for setting in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16)):
        with setting:
            assert np.allclose(up.denoise(page, method="cbm3d"), expected)
    torch.set_default_dtype(torch.float64)
    try:
        assert np.allclose(up.denoise(page, method="cbm3d"), expected)
        options = {"method": "neighbor2neighbor", "minutes": 0.2}
        with torch.inference_mode():
            assert np.isfinite(up.denoise(page, **options)).all()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.long
def test_compare_ranks(clean):
    big = np.kron(clean, np.ones((2, 2)))
    found = up.compare(noisy(big), methods=["cbm3d"], minutes=1)
    assert found.best == "cbm3d"
    assert found.ranking[0].psnr_db > 20
    assert "cbm3d" in repr(found)


def test_psnr_and_ssim_know_the_range_or_ask():
    a, b = RNG.integers(0, 256, (2, 24, 20), np.uint8)
    error = np.mean((a.astype(float) - b) ** 2)
    assert up.psnr(a, b) == pytest.approx(10 * np.log10(255**2 / error))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    theirs = structural_similarity(a, b, win_size=11, data_range=255, full=True, **options)[1]
    assert up.ssim(a, b) == pytest.approx(theirs[5:-5, 5:-5].mean(), abs=1e-6)
    x, y = a / 255, b / 255
    assert up.psnr(x, y) == pytest.approx(up.psnr(a, b))
    assert up.psnr(10 * x, 10 * y, data_range=10) == pytest.approx(up.psnr(a, b))
    assert up.psnr(a, a) == np.inf
    for pair in ((10 * x, y), (a, y), (a, b.astype(np.uint16))):
        with pytest.raises(UnpairedError, match="data_range"):
            up.psnr(*pair)
    with pytest.raises(UnpairedError, match="shapes differ"):
        up.psnr(a, b[:5])
    for data_range in (0, -1, np.nan, np.inf):
        with pytest.raises(UnpairedError, match="positive number"):
            up.psnr(a, b, data_range=data_range)
    with pytest.raises(UnpairedError, match="data_range"):
        up.psnr(a.tolist(), b.tolist())
    with pytest.raises(UnpairedError, match="H x W x C"):
        up.ssim(np.ones((16, 16, 16)), np.ones((16, 16, 16)))


@pytest.mark.long
def test_the_examples_of_the_docstrings_run():
    targets = {*(up.SHARED | catalog.exports()).values()}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    results = [
        doctest.testmod(importlib.import_module(module), optionflags=flags)
        for module in sorted({target.partition(":")[0] for target in targets})
    ]
    assert sum(result.attempted for result in results) > 10
    assert not any(result.failed for result in results)


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, unpaired as up; assert not {'torch', 'numpy'} & sys.modules.keys(); "
        "assert 'denoise' in dir(up)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_promised_name_is_there():
    for name in up.__all__:
        assert getattr(up, name) is not None
    with pytest.raises(AttributeError):
        _ = up.absent
    assert (Path(up.__file__).parent / "py.typed").is_file()
