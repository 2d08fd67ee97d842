from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.systems.degradation.small import SMALL
from tests.systems.super_resolution.sets import TINY, smooth
from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.weights import save_model
from unpaired.networks.rrdb import enlarged
from unpaired.systems.super_resolution.upscale import Options, upscale


@pytest.fixture
def model(tmp_path):
    """Return a network that enlarges by bicubic interpolation: what it starts as."""
    path = tmp_path / "m.safetensors"
    save_model(path, "rrdb_l1", create("rrdb_l1", **TINY))
    return path


def test_pictures_of_any_size_and_depth_grow_four_times(tmp_path, model):
    folder = tmp_path / "small"
    folder.mkdir()
    rng = np.random.default_rng(0)
    color = smooth(1, 20)
    Image.fromarray(color).save(folder / "color.png")
    Image.fromarray(rng.integers(0, 256, (7, 9), np.uint8)).save(folder / "gray.png")
    deep = rng.integers(0, 65536, (5, 6, 3), np.uint16)
    tifffile.imwrite(folder / "deep.tif", deep, photometric="rgb")
    alpha = np.dstack([smooth(2, 8), np.full((8, 8), 255, np.uint8)])
    alpha[:4, :, 3] = 0
    Image.fromarray(alpha).save(folder / "alpha.png")
    outcome = upscale([folder], tmp_path / "large", Options(model))
    assert outcome.refused == []
    with tifffile.TiffFile(tmp_path / "large/deep.tif") as tiff:
        assert tiff.pages[0].shape == tiff.series[0].shape == (20, 24, 3)
        assert tiff.shaped_metadata is None  # It counted the pixels of the small one.
    made = np.asarray(Image.open(tmp_path / "large/color.png"))
    expected = enlarged(torch.from_numpy(color / 255).permute(2, 0, 1)[None].float())
    assert np.abs(made - 255 * expected[0].permute(1, 2, 0).numpy().clip(0, 1)).max() < 0.51
    assert np.asarray(Image.open(tmp_path / "large/gray.png")).shape == (28, 36, 3)
    assert tifffile.imread(tmp_path / "large/deep.tif").shape == (20, 24, 3)
    assert tifffile.imread(tmp_path / "large/deep.tif").dtype == np.uint16
    opaque = np.asarray(Image.open(tmp_path / "large/alpha.png"))[..., 3]
    assert opaque.shape == (32, 32)
    assert not opaque[:12].any()
    assert (opaque[20:] == 255).all()


def test_descriptions_are_told_and_the_size_in_print_stays(tmp_path, model, capsys):
    gray = np.arange(2 * 8 * 9, dtype=np.uint8).reshape(2, 8, 9)
    color = np.stack([smooth(1, 8)] * 2)
    tifffile.imwrite(tmp_path / "g.tif", gray, imagej=True, resolution=(10, 10))
    tifffile.imwrite(tmp_path / "c.tif", color, imagej=True, resolution=(10, 10))
    upscale([tmp_path / "g.tif", tmp_path / "c.tif"], tmp_path / "large", Options(model))
    assert "g.tif and 1 more: its description by ImageJ" in capsys.readouterr().out
    for name in ("g.tif", "c.tif"):
        with tifffile.TiffFile(tmp_path / "large" / name) as tiff:
            assert tiff.pages[0].resolution == (40, 40)


def test_what_cannot_be_enlarged_is_told_and_the_others_are_written(tmp_path, model):
    folder = tmp_path / "small"
    folder.mkdir()
    Image.fromarray(smooth(1, 8)).save(folder / "good.png")
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    command = ["upscale", str(folder), "-o", str(tmp_path / "large"), "--model", str(model)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "1 picture written" in done.output
    assert "bad.png" in done.output
    again = CliRunner().invoke(app, command)
    assert isinstance(again.exception, UnpairedError)
    assert "--overwrite" in str(again.exception)


def test_a_model_of_something_else_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "d.safetensors"
    save_model(path, "lud_vae", create("lud_vae", **SMALL["lud_vae"]))
    Image.fromarray(smooth(1, 8)).save(tmp_path / "a.png")
    with pytest.raises(UnpairedError, match="enlarges nothing; name one of rrdb_l1, esrgan"):
        upscale([tmp_path / "a.png"], tmp_path / "out", Options(path))
    assert not (tmp_path / "out").exists()
