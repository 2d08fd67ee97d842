"""What a classifier sees in recolored squares, and the classifier that a package carries."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import timm
import torch
from torch import nn

from unpaired.networks import efficientnet_lite
from unpaired.networks.timm_networks import load_classifier
from unpaired.systems.colorization.classification import Classifier
from unpaired.systems.colorization.methods.untrained import Gray
from unpaired.systems.colorization.recognition import same_class, squares_of, write_comparison

CPU = torch.device("cpu")
PACKAGED = efficientnet_lite.installed_weights()
needs_package = pytest.mark.skipif(
    PACKAGED is None, reason=f"{efficientnet_lite.PACKAGE} is not installed"
)


class Truth:
    """A colorizer that knows the colors of the one picture it is asked for."""

    picture_px = None

    def __init__(self, ab):
        self.ab = ab

    def colorize(self, lightness, *key):
        return self.ab


def is_red(given):
    return torch.stack([given[:, 0].mean((1, 2)), given[:, 2].mean((1, 2))], 1)


def as_tensor(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255


def test_squares_cover_what_fits_in_steps():
    picture = np.arange(300 * 451 * 3, dtype=np.uint32).reshape(300, 451, 3)
    squares = squares_of(picture)
    assert len(squares) == 2 * 5
    assert np.array_equal(squares[6], picture[56:280, 56:280])
    assert squares_of(picture[:223]) == []


def test_the_share_of_squares_that_keep_their_class(make_pack):
    # Left half red, right half blue: of five squares the classifier calls those on the left red.
    colors = np.zeros((224, 448, 3), np.uint8)
    colors[:, :224], colors[:, 224:] = (230, 40, 40), (40, 60, 220)
    network = nn.Module()
    network.forward = is_red
    classifier = Classifier(network, as_tensor, 2)
    percent, count = same_class(classifier, make_pack({"halves": colors}), {"gray": Gray()}, CPU)
    # Gray has as much red as blue, so every square is of the first class, as the left ones were.
    assert count == 5
    assert percent == {"gray": 60.0}


def test_true_colors_keep_every_class(make_pack):
    from unpaired.imaging.color.lab import rgb_to_lab
    from unpaired.systems.colorization.scoring import as_batch

    picture = np.random.default_rng(0).integers(0, 256, (224, 280, 3), np.uint8)
    network = nn.Module()
    network.forward = is_red
    truth = Truth(rgb_to_lab(as_batch(picture))[:, 1:])
    found = same_class(
        Classifier(network, as_tensor, 2), make_pack({"a": picture}), {"truth": truth}, CPU
    )
    assert found == ({"truth": 100.0}, 2)


def test_what_is_printed_stands_beside_ours(tmp_path):
    path = tmp_path / "recognition.csv"
    write_comparison(path, {"gray": 12.34, "own": 5.0}, 78, "net", {"gray": 52.7, "own": None})
    with open(path) as file:
        gray, own = csv.DictReader(file)
    assert gray["same_class_as_in_true_colors_percent"] == "12.3"
    assert gray["paper_vgg16_top1_on_imagenet_percent"] == "52.7"
    assert own["paper_vgg16_top1_on_imagenet_percent"] == ""


def test_every_tensor_of_the_package_has_a_name_of_timms():
    network = timm.create_model(efficientnet_lite.NAME)
    names = set(network.state_dict())
    blocks = ["_depthwise_conv.weight", "_project_conv.weight", "_expand_conv.weight"]
    tensors = {
        f"_blocks.{number}.{layer}": torch.zeros(1) for number in range(16) for layer in blocks
    }
    del tensors["_blocks.0._expand_conv.weight"]
    tensors |= {f"{layer}.weight": torch.zeros(1) for layer in efficientnet_lite.OUTSIDE}
    renamed = efficientnet_lite.in_timms_words(tensors)
    assert set(renamed) <= names
    assert len(renamed) == len(tensors)
    assert efficientnet_lite.in_timms_words({"conv_stem.weight": 1}) == {"conv_stem.weight": 1}


@needs_package
def test_the_packaged_classifier_knows_embedded_photographs():
    from skimage import data

    from unpaired.systems.colorization.classification import (
        load_classifier as load_with_transform,
    )
    from unpaired.systems.colorization.classification import predicted_class

    classifier = load_with_transform(efficientnet_lite.NAME, None, CPU)
    espresso, cats = 967, {281, 282, 285}
    assert predicted_class(classifier, data.coffee(), CPU) == espresso
    assert predicted_class(classifier, data.chelsea(), CPU) in cats


@needs_package
def test_the_packaged_weights_fit_all_of_the_network():
    loaded = load_classifier(efficientnet_lite.NAME, PACKAGED).state_dict()
    original = torch.load(PACKAGED, weights_only=True)
    assert len(loaded) == len(original)
    assert sum(v.double().sum() for v in loaded.values()) == pytest.approx(
        sum(v.double().sum() for v in original.values())
    )
