"""Accuracy on recolored pictures, with a tiny random classifier of timm's own."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.weights import save_model
from unpaired.systems.colorization.classification import (
    Options,
    accuracies,
    classify,
    labeled_pictures,
    load_classifier,
    recolored,
)

CPU = torch.device("cpu")
NAME = "test_resnet.r160_in1k"
COLORS = {"a_red": (230, 40, 40), "b_green": (40, 150, 40), "c_blue": (40, 60, 220)}


@pytest.fixture(scope="module")
def network():
    """A tiny classifier that knows the three colors: its head is fitted to its own features."""
    torch.manual_seed(0)
    network = timm.create_model(NAME, num_classes=3).eval()
    transform = load_transform(network)
    pictures = [Image.new("RGB", (64, 64), color) for color in COLORS.values()]
    with torch.inference_mode():
        given = torch.stack([transform(picture) for picture in pictures])
        features = network.forward_head(network.forward_features(given), pre_logits=True)
    centered = (features - features.mean(0)).clone()
    head = network.get_classifier()
    head.weight.data = centered.clone()
    head.bias.data = -(centered * (features.mean(0) + centered / 2)).sum(1)
    return network


def load_transform(network):
    config = timm.data.resolve_model_data_config(network)
    return timm.data.create_transform(**config, is_training=False)


@pytest.fixture
def weights(network, tmp_path):
    tensors = {key: value.clone().contiguous() for key, value in network.state_dict().items()}
    path = tmp_path / "classifier.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture
def tree(tmp_path):
    for name, color in COLORS.items():
        (tmp_path / "tree" / name).mkdir(parents=True)
        for number in range(2):
            picture = Image.new("RGB", (50 + 9 * number, 60), color)
            picture.save(tmp_path / "tree" / name / f"{number}.png")
    return tmp_path / "tree"


@pytest.fixture
def colorizer(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "colorizer.safetensors"
    method = create("colorization", width=2, uniform_share=1.0, picture_px=32)
    save_model(path, "colorization", method)
    return path


def test_true_colors_are_known_and_gray_ones_are_not(tree, weights, colorizer, tmp_path):
    output = tmp_path / "predictions.csv"
    said = classify(tree, output, Options(NAME, weights, (colorizer,), device="cpu")).table
    assert f"{NAME}, 6 pictures" in said
    assert "true colors: 100.0" in said
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == [0, 0, 1, 1, 2, 2]
    assert len({row["gray"] for row in rows}) < 3 or "gray: 100.0" not in said
    for name, percent in accuracies([{k: v for k, v in row.items()} for row in rows]).items():
        assert f"{name}: {percent:.1f}" in said
    assert str(colorizer) in said


def test_the_network_gets_what_timm_itself_would_give_it(network, weights, tree):
    classifier = load_classifier(NAME, weights, CPU)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8))
    with torch.inference_mode():
        expected = network(load_transform(network)(picture)[None])
        found = classifier.network(classifier.transform(picture)[None])
    assert torch.allclose(found, expected)
    assert classifier.classes == 3


def test_a_pth_of_tensors_serves_too_and_a_pickle_does_not(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "w.pth")
    assert load_classifier(NAME, tmp_path / "w.pth", CPU).classes == 3
    torch.save(network, tmp_path / "whole.pth")
    with pytest.raises(UnpairedError, match=r"whole\.pth: not a PyTorch file of tensors alone"):
        load_classifier(NAME, tmp_path / "whole.pth", CPU)


def test_recolored_pictures_keep_their_lightness():
    picture = np.random.default_rng(0).integers(60, 190, (20, 24, 3), np.uint8)
    gray = recolored(create("gray"), picture, "p", CPU)
    assert np.ptp(gray.astype(int), axis=-1).max() <= 1
    weights = np.array([0.2126, 0.7152, 0.0722])
    linear = [(((p / 255 + 0.055) / 1.055) ** 2.4) @ weights for p in (picture, gray)]
    assert np.abs(linear[0] - linear[1]).max() < 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classifier": "test_resnett"}, "timm has no model 'test_resnett'"),
        ({"weights": "none.safetensors"}, "none.safetensors: no such file"),
        ({"classifier": "test_vit"}, "not the weights of 'test_vit'"),
    ],
)
def test_what_does_not_fit_is_one_line(tree, weights, change, message, tmp_path):
    if "weights" in change:
        change = {"weights": tmp_path / change["weights"]}
    options = Options(**({"classifier": NAME, "weights": weights, "device": "cpu"} | change))
    with pytest.raises(UnpairedError, match=message):
        classify(tree, None, options)


def test_classes_must_be_the_classifiers(tree, weights, tmp_path):
    with pytest.raises(UnpairedError, match="3 classes, the classifier has 1000"):
        labeled_pictures(tree, 1000)
    labels = tmp_path / "labels.txt"
    labels.write_text("c_blue\na_red\nx\nb_green\n")
    found = labeled_pictures(tree, 4, labels)
    assert [p.label for p in found] == [1, 1, 3, 3, 0, 0]
    labels.write_text("a_red\nb_green\nx\n")
    with pytest.raises(UnpairedError, match="c_blue: not named in"):
        labeled_pictures(tree, 3, labels)


def test_by_command(tree, weights, colorizer):
    command = ["classify", str(tree), "--classifier", NAME, "--weights", str(weights)]
    done = CliRunner().invoke(app, [*command, "--colorizer", str(colorizer), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "true colors: 100.0" in done.output


def unreadable(folder):
    """A picture that cannot be read as RGB of 8 bits, whatever else can."""
    path = folder / "deep.png"
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(path)
    return path


def test_a_picture_that_cannot_be_read_is_listed_and_the_rest_is_done(tree, weights, tmp_path):
    deep = unreadable(tree / "a_red")
    (tree / "c_blue" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    output = tmp_path / "new" / "o.csv"
    command = ["classify", str(tree), "--classifier", NAME, "--weights", str(weights)]
    done = CliRunner().invoke(app, [*command, "-o", str(output), "--device", "cpu"])
    assert done.exit_code == 1
    assert f"{NAME}, 5 pictures" in done.output
    refused = [line for line in done.output.splitlines() if line.startswith("refused: ")]
    assert refused[0].startswith(f"refused: {deep}: 16-bit samples")
    assert refused[1].startswith(f"refused: {tree / 'c_blue' / '0.png'}: damaged PNG")
    with open(output, newline="") as file:
        assert len(list(csv.DictReader(file))) == 5
    for folder in COLORS:
        for path in (tree / folder).iterdir():
            path.write_bytes(b"")
    with pytest.raises(UnpairedError, match="the file is empty"):
        classify(tree, None, Options(NAME, weights, device="cpu"))


def test_hidden_folders_are_no_classes_and_empty_ones_are_told(tree, capsys):
    for name in (".ipynb_checkpoints", "__MACOSX", ".git"):
        (tree / name).mkdir()
        Image.new("RGB", (8, 8)).save(tree / name / "x.png")
    (tree / "b_empty").mkdir()
    (tree / "b_empty" / "notes.txt").touch()
    (tree / "readme.png").touch()
    found = labeled_pictures(tree, 4)
    assert sorted({picture.label for picture in found}) == [0, 2, 3]
    assert "no pictures in b_empty" in capsys.readouterr().out


def test_names_in_the_labels_may_have_spaces(tree, tmp_path):
    (tree / "a_red").rename(tree / "a red")
    labels = tmp_path / "labels.txt"
    labels.write_text("\ufeffc_blue\na red\n\nb_green\n", encoding="utf-8")
    assert [p.label for p in labeled_pictures(tree, 3, labels)] == [1, 1, 2, 2, 0, 0]


@pytest.mark.parametrize(
    ("folder", "labels", "output", "message"),
    [
        ("none", None, None, "cannot read .*none: no such file or folder"),
        ("file", None, None, "cannot read .*file: "),
        ("empty", None, None, "no folders; there must be one per class"),
        ("bare", None, None, "no pictures in its folders"),
        ("tree", "none", None, "cannot read .*none: no such file or folder"),
        ("tree", "empty", None, "cannot read .*empty: it is a folder"),
        ("tree", "file", None, "3 classes|1 classes, the classifier has 3"),
        ("tree", "blank", None, "no names; write every class's folder once"),
        ("tree", "twice", None, "a_red: twice; write every class's folder once"),
        ("tree", "binary", None, "not a text"),
        ("tree", None, "old.csv", "there already; .*--overwrite"),
        ("tree", None, "file", "file: a .csv file is written"),
        ("tree", None, "empty", "a folder, not a file"),
        ("tree", None, "file/o.csv", "is a file, not a folder"),
    ],
)
def test_paths_that_are_wrong_are_one_line(
    tree, weights, tmp_path, folder, labels, output, message
):
    (tmp_path / "file").write_text("a_red\n")
    (tmp_path / "old.csv").write_text("mine")
    (tmp_path / "empty").mkdir()
    for name in COLORS:
        (tmp_path / "bare" / name).mkdir(parents=True)
    (tmp_path / "blank").write_text("\n\n")
    (tmp_path / "twice").write_text("a_red\na_red\nb_green\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    before = sorted(tmp_path.rglob("*"))
    options = Options(NAME, weights, labels=labels and tmp_path / labels, device="cpu")
    with pytest.raises(UnpairedError, match=message) as caught:
        classify(tmp_path / folder, output and tmp_path / output, options)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
