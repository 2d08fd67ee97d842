"""Scores of reconstructions: controls with known scores, and what a product is shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.systems.few_shot.portraits import portrait_pack
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.learning.training import train
from unpaired.metrics.frechet import frechet_distance
from unpaired.metrics.psnr import psnr_db
from unpaired.systems.few_shot import published_metrics
from unpaired.systems.few_shot.differences import Scores, differences
from unpaired.systems.few_shot.methods.controls import MeanPortrait, Unfilled
from unpaired.systems.few_shot.methods.portrait_features import (
    PortraitFeatures,
    PortraitFeaturesConfig,
)
from unpaired.systems.few_shot.samples import Measurements
from unpaired.systems.few_shot.scoring import make_all, score
from unpaired.systems.few_shot.sources.drawn_portraits import NAMES

HOLE = catalog.conditions()["face_zero"]
CPU = torch.device("cpu")
ABOUT = {"repeats": 1, "crop_px": None, "device": CPU}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return portrait_pack(tmp_path_factory.mktemp("packs") / "pack.h5", range(12), "portraits")


def features(**changes) -> PortraitFeatures:
    torch.manual_seed(0)
    settings = {"width": 8, "attributes": len(NAMES), "patch_px": 32, **changes}
    return PortraitFeatures(PortraitFeaturesConfig(**settings)).eval()


class Truth(Unfilled):
    """A product that looks the answer up, to see what perfection scores."""

    def __init__(self, pack) -> None:
        super().__init__()
        self.views = Measurements(pack, HOLE)
        self.shown = []

    def restore(self, observation):
        self.shown.append(observation)
        return torch.from_numpy(self.views[len(self.shown) - 1].truth).permute(2, 0, 1)[None]


def test_perfect_pictures_score_perfectly_and_as_varied_as_the_truth(pack):
    product = Truth(pack)
    scored = score(product, pack, HOLE, features=features(), **ABOUT)
    assert all(row["psnr_db"] == row["hole_psnr_db"] == float("inf") for row in scored.rows)
    assert all(row["ssim"] == pytest.approx(1) for row in scored.rows)
    assert all(row["feature_distance"] == pytest.approx(0, abs=1e-6) for row in scored.rows)
    pooled = scored.pooled
    assert pooled["fd_portrait_features"] == pytest.approx(0, abs=1e-6)
    assert pooled["output_correlation"] == pytest.approx(pooled["truth_correlation"])
    assert pooled["participation"] == pytest.approx(pooled["truth_participation"])
    assert pooled["variance_ratio"] == pytest.approx(1)
    # What it was shown holds no mask, and nothing of the face.
    for index, observation in enumerate(product.shown):
        seen = product.views[index]
        assert observation.level is None
        assert not observation.image[0][:, torch.from_numpy(seen.hole)].any()


def test_the_measurement_scores_as_its_hole_says(pack):
    scored = score(Unfilled(), pack, HOLE, features=features(), **ABOUT)
    views = Measurements(pack, HOLE)
    for index, row in enumerate(scored.rows):
        seen = views[index]
        truth, black = np.round(255 * seen.truth).astype(np.uint8), seen.hole[..., None]
        assert row["psnr_db"] == psnr_db(truth, np.where(black, 0, truth))
        share = seen.hole.mean()
        # All errors are in the hole, so the two differ by the hole's share of the picture.
        assert row["psnr_db"] - row["hole_psnr_db"] == pytest.approx(-10 * np.log10(share))
    assert scored.example.shape == (32, 96, 3)


def test_the_mean_portrait_is_one_face_for_all(pack):
    control = MeanPortrait()
    control.take_pictures(pack, seed=1)
    mean = np.mean([pack.read_unit(index) for index in pack], axis=0)
    made = make_all(control, pack, HOLE, CPU)
    for one in made:
        np.testing.assert_allclose(one.output[one.seen.hole], mean[one.seen.hole], atol=1e-6)
        np.testing.assert_array_equal(one.output[~one.seen.hole], one.seen.measured[~one.seen.hole])
    pooled = score(control, pack, HOLE, features=features(), **ABOUT).pooled
    assert pooled["variance_ratio"] < 0.1


def test_sides_that_a_product_does_not_take_are_extended_and_cut(pack):
    class Mirror(Unfilled):
        multiple_px = 40

        def restore(self, observation):
            assert observation.image.shape[-2:] == (40, 40)
            return observation.image

    made = make_all(Mirror(), pack, HOLE, CPU)
    np.testing.assert_array_equal(made[0].output, made[0].seen.measured)


def test_truths_are_needed(make_pack):
    plain = make_pack({"a": np.zeros((16, 16, 3), np.uint8)})
    with pytest.raises(UnpairedError, match="no truths to score against"):
        make_all(Unfilled(), plain, None, CPU)


# ---- The features


def test_distances_and_features_are_what_they_are_called():
    network = features()
    first, second = torch.rand(5, 3, 32, 32), torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        assert network.distances(first, first).abs().max() < 1e-6
        assert network.distances(first, second).shape == (5,)
        torch.testing.assert_close(
            network.distances(first, second), network.distances(second, first)
        )
        assert network.pooled(first).shape == (5, 8 * 3 + 8 * 4)


@pytest.mark.long
def test_features_learn_what_tells_portraits_apart(tmp_path):
    pack = portrait_pack(tmp_path / "learn.h5", range(100, 260), "learn")
    method = features(images_seen=1600, batch_size=32, learning_rate=3e-3)
    samples = method.samples([pack], seed=1, noise=None, noise_draw="fresh")
    result = train(method, samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    assert result.history[-1]["loss"] < result.history[0]["loss"] - 0.03
    # Pictures with black holes are farther from portraits than other portraits are.
    method.eval()
    views = Measurements(pack, HOLE)
    sets = [[views[i].truth for i in range(0, 80)], [views[i].truth for i in range(80, 160)]]
    sets.append([views[i].measured for i in range(80, 160)])
    with torch.no_grad():
        pooled = [
            method.pooled(torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2)).numpy()
            for some in sets
        ]
    assert frechet_distance(pooled[0], pooled[2]) > 3 * frechet_distance(pooled[0], pooled[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attributes": 40}, f"{len(NAMES)} attributes; set attributes"),
        ({"patch_px": 64}, "pictures of 32x32; set patch_px"),
    ],
)
def test_packs_that_do_not_fit_the_features_are_told(pack, changes, message):
    with pytest.raises(UnpairedError, match=message):
        features(**changes).samples([pack], seed=1, noise=None, noise_draw="fresh")


def test_the_demo_tells_as_many_attributes_as_are_drawn():
    from pathlib import Path

    from unpaired.pipeline.settings import load_settings

    config = Path(__file__).parents[3] / "config/config.yaml"
    overrides = load_settings([config], None).overrides["portrait_features"]
    assert overrides["attributes"] == len(NAMES)


# ---- Published metrics


def test_missing_weights_of_lpips_and_fid_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnpairedError, match="unpaired import-weights lpips"):
        published_metrics.lpips_model(CPU)
    pictures = [torch.zeros(1, 3, 32, 32)] * 2
    with pytest.raises(UnpairedError, match="pip install --no-deps torch-fidelity"):
        published_metrics.fid(pictures, pictures, CPU)


def test_fid_of_every_layer_is_that_of_its_features(monkeypatch):
    """With a stand-in for Inception: rounded pictures go in, each layer's features are compared."""

    class Layers(torch.nn.Module):
        def forward(self, pictures):
            assert pictures.dtype == torch.uint8
            flat = pictures.double().flatten(1)
            return tuple(flat[:, start : start + 4] for start in (0, 4, 8, 12))

    monkeypatch.setattr(published_metrics, "_inception", lambda device: Layers())
    rng = torch.Generator().manual_seed(0)
    sets = [[torch.rand(1, 3, 4, 4, generator=rng) for _ in range(40)] for _ in range(2)]
    found = published_metrics.fid(*sets, CPU)
    assert list(found) == ["fid_64", "fid_192", "fid_768", "fid_2048"]
    flat = [torch.cat(some).mul(255).add(0.5).floor().flatten(1).double().numpy() for some in sets]
    expected = frechet_distance(*(one[:, 8:12] for one in flat))
    assert found["fid_768"] == pytest.approx(expected, rel=1e-6)


# ---- Differences


def frame(values, **more):
    return pd.DataFrame({"image": ["a", "b", "c"], "psnr_db": list(map(str, values)), **more})


def test_differences_are_of_the_same_portraits_and_the_same_seed():
    files = [
        Scores("supervised", "1", frame([10, 20, 30])),
        Scores("supervised", "2", frame([11, 21, 31])),
        Scores("sud2", "1", frame([11, 21, 31])),
        Scores("sud2", "2", frame([14, 24, 34])),
        Scores("unfilled", "none", frame([5, 15, 25])),
    ]
    lines = differences(files, "supervised")
    found = {(line["row"], line["seed"]): line["difference"] for line in lines}
    assert found == {
        ("sud2", "1"): 1,
        ("sud2", "2"): 3,
        ("sud2", "all"): 2,
        ("unfilled", "1"): -5,
        ("unfilled", "2"): -6,
        ("unfilled", "all"): -5.5,
    }
    # Portraits differ much, differences not at all.
    assert all(line["ci_low"] == pytest.approx(line["ci_high"]) for line in lines)


def test_other_portraits_are_told():
    other = frame([1, 2, 3])
    other["image"] = ["a", "b", "d"]
    files = [Scores("supervised", "1", frame([1, 2, 3])), Scores("sud", "1", other)]
    with pytest.raises(UnpairedError, match="row sud, seed 1: scored on other portraits"):
        differences(files, "supervised")
