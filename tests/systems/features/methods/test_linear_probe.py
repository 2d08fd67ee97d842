"""A row of the tables: what it tells of features that say all or nothing, and its score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.systems.features.things import TINY, labeled_pack
from unpaired.core.errors import UnpairedError
from unpaired.learning.method import Method
from unpaired.networks.alexnet_caffe import LAYERS
from unpaired.systems.features.labeled import labeled_record
from unpaired.systems.features.methods.initial import Initial, InitialConfig
from unpaired.systems.features.methods.linear_probe import LinearProbe, LinearProbeConfig
from unpaired.systems.features.scoring import score

CPU = torch.device("cpu")
HOW = {"repeats": 1, "crop_px": None, "device": CPU}


class Known(Method):
    """Features of conv1 are the picture's mean; those of the others say nothing."""

    def features(self, picture):
        mean = picture.mean(dim=(1, 2, 3), keepdim=True)
        return {layer: mean if layer == "conv1" else 0 * mean for layer in LAYERS}


def records(count: int, key: int, classes: int = 3):
    """Pictures whose brightness is their class."""
    rng = np.random.default_rng(key)
    for number in range(count):
        label = number % classes
        image = rng.integers(80 * label, 80 * label + 60, (50, 48, 3)).astype(np.uint8)
        yield labeled_record(f"{number:03d}", image, label, f"{key}:{number}")


@pytest.fixture
def probe(tmp_path):
    made = LinearProbe(LinearProbeConfig(numbers=4, crop_px=40, penalty=1e-5))
    made.receive("encoder", Known(None))
    made.take_pictures(labeled_pack(tmp_path / "labeled.h5", records(60, 1)), seed=1)
    return made


def test_a_layer_that_knows_tells_all_and_one_that_does_not_tells_the_share(probe, tmp_path):
    test = labeled_pack(tmp_path / "test.h5", records(90, 2))
    scored = score(probe, test, None, **HOW)
    assert len(scored.rows) == 90
    means = {layer: np.mean([row[f"top1_{layer}"] for row in scored.rows]) for layer in LAYERS}
    assert means["conv1"] == 100
    for layer in LAYERS[1:]:
        assert means[layer] == pytest.approx(100 / 3)
    total = np.mean([row["top1_mean"] for row in scored.rows])
    assert total == pytest.approx(np.mean(list(means.values())))
    assert scored.example.shape == (40, 8 * 40, 3)


def test_it_is_the_same_every_time(tmp_path):
    torch.manual_seed(0)
    encoder = Initial(InitialConfig(**TINY))
    pack = labeled_pack(tmp_path / "labeled.h5", records(40, 1))
    rows = []
    for _ in range(2):
        made = LinearProbe(LinearProbeConfig(numbers=64, crop_px=48, iterations=5))
        made.receive("encoder", encoder)
        made.take_pictures(pack, seed=1)
        rows.append(made.fit(CPU)["conv3"].weight)
    assert torch.equal(*rows)


def test_bad_packs_are_one_line(probe, make_pack, tmp_path):
    with pytest.raises(UnpairedError, match="no labels"):
        probe.take_pictures(make_pack({"a": np.zeros((48, 48, 3), np.uint8)}), seed=1)
    one = labeled_pack(tmp_path / "one.h5", records(4, 1, classes=1))
    with pytest.raises(UnpairedError, match="a single class"):
        probe.take_pictures(one, seed=1)
    other = labeled_pack(
        tmp_path / "other.h5", [labeled_record("a", np.zeros((48, 48, 3), np.uint8), 3, "a")]
    )
    with pytest.raises(UnpairedError, match="class 3, and the classifiers have learned 3"):
        score(probe, other, None, **HOW)
    small = labeled_pack(
        tmp_path / "small.h5", [labeled_record("tiny", np.zeros((30, 48, 3), np.uint8), 0, "a")]
    )
    with pytest.raises(UnpairedError, match=r"tiny \(48x30\) is smaller than 40 px"):
        score(probe, small, None, **HOW)


def test_without_pictures_it_says_so():
    with pytest.raises(UnpairedError, match="there are none"):
        LinearProbe(LinearProbeConfig()).fit(CPU)
