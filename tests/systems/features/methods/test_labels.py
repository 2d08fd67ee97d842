"""Features learned from labels, and networks that have learned nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.systems.features.things import TINY, things_pack
from unpaired.core.errors import UnpairedError
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.networks.alexnet_caffe import LAYERS
from unpaired.systems.features.methods.initial import Initial, InitialConfig
from unpaired.systems.features.methods.labels import Labels, LabelsConfig

STATE = TrainingState(1, 0, 0, 0.0)
HOW = {"noise": None, "noise_draw": "fresh"}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return things_pack(tmp_path_factory.mktemp("packs") / "things.h5", range(60))


def test_labels_come_with_their_pictures(pack):
    made = Labels(LabelsConfig(classes=10, **(TINY | {"patch_px": 48})))
    samples = made.samples([pack], seed=1, **HOW)
    for number in range(8):
        sample = samples[number]
        found = [
            int(pack.read(index, "label").item())
            for index in pack
            if np.array_equal(pack.read_unit(index).transpose(2, 0, 1), sample["image"].numpy())
        ]
        assert found == [sample["label"]]


def test_one_without_an_opinion_is_wrong_by_the_logarithm_of_the_classes(pack):
    made = Labels(LabelsConfig(classes=10, **TINY))
    torch.nn.init.zeros_(made.networks[0].head[-1].weight)
    batch = {"image": torch.rand(4, 3, 41, 41), "sample": torch.arange(4)}
    loss = made.losses(batch | {"label": torch.arange(4)}, STATE)["loss"]
    assert loss.item() == pytest.approx(math.log(10), rel=1e-5)


def test_it_learns_labels(pack):
    torch.manual_seed(0)
    made = Labels(LabelsConfig(classes=10, images_seen=960, **TINY))
    samples = made.samples([pack], seed=1, **HOW)
    train(made, samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    batch = torch.utils.data.default_collate([samples[k] for k in range(60)])
    assert made.losses(batch, STATE)["told_right"] > 0.3


def test_packs_that_do_not_fit_are_one_line(pack, make_pack):
    with pytest.raises(UnpairedError, match="10 classes; set classes"):
        Labels(LabelsConfig(classes=9, **TINY)).samples([pack], seed=1, **HOW)
    with pytest.raises(UnpairedError, match="lower patch_px"):
        Labels(LabelsConfig(classes=10, **(TINY | {"patch_px": 49}))).samples([pack], seed=1, **HOW)
    bare = make_pack({"a": np.zeros((48, 48, 3), np.uint8)})
    with pytest.raises(UnpairedError, match="no labels"):
        Labels(LabelsConfig(**TINY)).samples([bare], seed=1, **HOW)


@pytest.mark.parametrize(("shown", "channels"), [("l", 1), ("ab", 2), ("lab", 3)])
def test_a_network_without_training_sees_what_it_is_shown(shown, channels):
    made = Initial(InitialConfig(shown=shown, **TINY)).eval()
    assert made.networks[0].convolutions[0].in_channels == channels
    assert made.phases() == []
    with torch.inference_mode():
        found = made.features(torch.rand(2, 3, 48, 48))
    assert tuple(found) == LAYERS
    assert all(one.min() >= 0 and one.max() > 0 for one in found.values())


def test_kmeans_gives_every_channel_deviation_one(pack):
    """Before the ReLU, over the pictures that it was made from."""
    made = Initial(InitialConfig(**(TINY | {"initialization": "kmeans"})))
    samples = made.samples([pack], seed=1, **HOW)
    made.prepare(samples, seed=1)
    from unpaired.systems.features.methods.encoder import scaled_lab

    lab = scaled_lab(torch.stack([samples[k]["image"] for k in range(100)]))
    first = made.networks[0].convolutions[0](lab)
    torch.testing.assert_close(first.std(dim=(0, 2, 3)), torch.ones(12), rtol=1e-2, atol=1e-2)
