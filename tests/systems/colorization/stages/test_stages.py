"""The stages that colorization adds to: prior, training with it, scoring with it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unpaired.core.errors import UnpairedError
from unpaired.data.sources.color_scenes import draw_scene
from unpaired.imaging.color.ab_bins import load_prior, save_prior
from unpaired.learning.weights import load_model
from unpaired.stages import evaluate, train
from unpaired.systems.colorization.scoring import prior_of
from unpaired.systems.colorization.stages import ab_quantization

SPEC = {
    "method": "colorization",
    "overrides": {"width": 2, "images_seen": 4, "batch_size": 2, "patch_px": 32},
    "noise": "none",
    "noise_draw": "fresh",
    "train_set": "scenes",
    "prior": "scenes",
    "seed": 1,
    "scale": "smoke",
    "precision": "fp32",
    "threads": 1,
}


@pytest.fixture
def pack(make_pack):
    return make_pack({f"s{k}": draw_scene("train", k, 40, 40).rgb for k in range(4)}, "scenes")


def run(stage, **options) -> None:
    """Run a stage in this process, with the options that its command line would have."""
    words = [(f"--{key.replace('_', '-')}", str(value)) for key, value in options.items()]
    stage.main(stage.parser().parse_args([word for pair in words for word in pair]))


def learn(folder, pack, prior, **spec):
    run(
        train,
        spec=json.dumps(SPEC | spec),
        code="x",
        pack=pack.path,
        artifact=f"color_prior={prior}",
        model=folder / "model.safetensors",
        about=folder / "model.json",
        history=folder / "history.csv",
        work=folder / "work",
        device="cpu",
    )


def test_prior_training_and_scoring(pack, tmp_path):
    prior = tmp_path / "prior.npy"
    run(ab_quantization, pack=pack.path, output=prior)
    assert np.allclose(load_prior(prior), prior_of(pack))
    learn(tmp_path, pack, prior)
    weights = load_model(tmp_path / "model.safetensors")[1].class_weights
    assert weights.max() > 2 * weights.min() > 0
    run(
        evaluate,
        task="colorize",
        model=tmp_path / "model.safetensors",
        spec=json.dumps(SPEC),
        code="x",
        pack=pack.path,
        artifact=f"color_prior={prior}",
        noise="none",
        repeats=1,
        device="cpu",
        output=tmp_path / "scores.csv",
        example=tmp_path / "example.png",
        record=tmp_path / "scores.json",
        work=tmp_path / "scoring",
    )
    pooled = json.loads((tmp_path / "scores.json").read_text())["pooled"]
    assert set(pooled) == {"auc", "auc_rebalanced"}
    assert all(0 < value < 100 for value in pooled.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full(529, 1 / 529), "529 values, a prior of another bin set"),
        (np.full(313, 0.5), "not probabilities"),
    ],
)
def test_a_bad_prior_is_one_line(pack, tmp_path, values, message):
    path = tmp_path / "prior.npy"
    np.save(path, values)
    with pytest.raises(UnpairedError, match=message):
        learn(tmp_path, pack, path)
    assert not (tmp_path / "model.safetensors").exists()


def test_empty_colors_cannot_have_a_weight(pack, tmp_path):
    prior = tmp_path / "prior.npy"
    save_prior(prior, prior_of(pack))
    with pytest.raises(UnpairedError, match="empty in the prior and would get infinite weight"):
        learn(tmp_path, pack, prior, overrides=SPEC["overrides"] | {"uniform_share": 0.0})
