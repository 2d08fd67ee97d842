"""What a person types: features of pictures, and a probe of their own classes."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from tests.imaging.files import write_turned
from tests.systems.features.things import TINY
from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.weights import load_model, save_model
from unpaired.systems.features.own_features import (
    Options,
    home_side_px,
    read_square,
    write_features,
)
from unpaired.systems.features.own_probe import Options as ProbeOptions
from unpaired.systems.features.own_probe import cross_validated, probe
from unpaired.systems.features.probing import FeatureFiles, resized

NUMBERS = 64
NAME = "test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "encoder.safetensors"
    save_model(path, "cross_channel", create("cross_channel", **TINY))
    return path


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Two classes of pictures that differ in texture and brightness, of several sizes."""
    folder = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    for name, coarse in (("rough", 1), ("smooth", 12)):
        (folder / name).mkdir()
        for number in range(10):
            height, width = int(rng.integers(5, 9)) * 12, int(rng.integers(5, 9)) * 12
            noise = rng.integers(
                5 * coarse, 120 + 10 * coarse, (height // coarse, width // coarse, 3)
            ).astype(np.uint8)
            picture = np.kron(noise, np.ones((coarse, coarse, 1), np.uint8))
            Image.fromarray(picture).save(folder / name / f"{number}.png")
    return folder


def test_features_are_those_of_the_layer_in_the_order_of_the_list(model, classes, tmp_path):
    output = tmp_path / "found.npy"
    written = write_features([classes], output, Options(model, "conv2", NUMBERS))
    assert not written.refused
    found = np.load(output)
    with open(tmp_path / "found.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found) == 20
    encoder = load_model(model)[1]
    with torch.inference_mode():
        picture = read_square(rows[7]["picture"], home_side_px(encoder))[None]
        expected = resized(encoder.features(picture)["conv2"], NUMBERS)
    np.testing.assert_allclose(found[7], expected[0].numpy(), rtol=1e-4, atol=1e-5)


def test_pictures_are_seen_as_they_are_looked_at(classes, tmp_path):
    path = classes / "rough" / "0.png"
    write_turned(tmp_path / "turned.png", np.asarray(Image.open(path)))
    assert torch.equal(read_square(tmp_path / "turned.png", 40), read_square(path, 40))


def test_pictures_that_cannot_be_read_are_left_out_and_told(model, classes, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "phone.heic").write_bytes(b"...")
    Image.new("RGB", (60, 60), (9, 80, 200)).save(tmp_path / "good.png")
    arguments = [str(tmp_path), "--model", str(model), "--numbers", "16"]
    done = CliRunner().invoke(app, ["features", *arguments, "-o", str(tmp_path / "f.npy")])
    assert done.exit_code == 1
    assert "bad.png" in done.output
    assert f"skipped {tmp_path / 'phone.heic'}: a format that is not read" in done.output
    assert np.load(tmp_path / "f.npy").shape[0] == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"layer": "conv6"}, "no layer 'conv6'"),
        ({"numbers": 0}, "numbers must be 1"),
        ({"output": "found.parquet"}, "found.parquet: a .npy file is written"),
        ({"side_px": 10}, "needs 23 px at least"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_writes_nothing(
    model, classes, tmp_path, changes, told
):
    output = tmp_path / changes.pop("output", "found.npy")
    with pytest.raises(UnpairedError, match=told):
        write_features([classes], output, Options(model, **changes))
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_are_kept(model, classes, tmp_path):
    (tmp_path / "found.csv").write_text("mine")
    with pytest.raises(UnpairedError, match=r"found\.csv"):
        write_features([classes], tmp_path / "found.npy", Options(model))
    assert (tmp_path / "found.csv").read_text() == "mine"


def test_a_model_without_such_features_is_one_line(classes, tmp_path):
    save_model(tmp_path / "n2c.safetensors", "n2c", create("n2c", width=4))
    with pytest.raises(UnpairedError, match="gives no features of conv1"):
        probe(classes, ProbeOptions(tmp_path / "n2c.safetensors"))


def test_a_probe_tells_textures_apart_and_says_how_sure_it_is(model, classes, tmp_path):
    file = tmp_path / "backbone.safetensors"
    save_file(timm.create_model(NAME, num_classes=3).state_dict(), file)
    done = probe(classes, ProbeOptions(model, beside=NAME, weights=file, numbers=NUMBERS))
    assert done.shares[NAME][0] > 0.5  # Random features tell textures as well.
    share, low, high = done.shares["conv2"]
    assert share >= 0.9
    assert low < share <= high
    assert "20 pictures of 2 classes" in done.table
    assert "always the largest class: 50.0" in done.table


def test_nothing_is_told_where_there_is_nothing_to_tell(tmp_path):
    """Features without a class: right about as often as by guessing, not more."""
    rng = np.random.default_rng(0)
    files = FeatureFiles(tmp_path, 200)
    files.append({"one": torch.from_numpy(rng.standard_normal((200, 30)).astype(np.float32))})
    labels = np.arange(200) % 2
    right = cross_validated(files, "one", labels, penalty=1e-3, iterations=30)
    assert 0.35 < right.mean() < 0.65


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: None, "no folders; there must be one per class"),
        (lambda folder: (folder / "only").mkdir(), "a single class, 'only'"),
        (
            lambda folder: [(folder / name).mkdir() for name in ("a", "b")],
            "no pictures in a; b",
        ),
        (
            lambda folder: [
                ((folder / name).mkdir(), Image.new("RGB", (60, 60)).save(folder / name / "1.png"))
                for name in ("a", "b")
            ],
            r"fewer than 5 readable pictures in a \(1\); b \(1\)",
        ),
    ],
)
def test_folders_that_are_no_classes_are_one_line(model, tmp_path, make, told):
    make(tmp_path)
    with pytest.raises(UnpairedError, match=told):
        probe(tmp_path, ProbeOptions(model))
    done = CliRunner().invoke(app, ["probe", str(tmp_path / "nowhere"), "--model", str(model)])
    assert done.exit_code == 1
