"""Scores of colorizers against closed forms and an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import peak_signal_noise_ratio

from unpaired.data.sources.color_scenes import draw_scene
from unpaired.imaging.color.ab_bins import BINS, hard_encode, save_prior, smoothed_prior
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.learning.create import create
from unpaired.systems.colorization.scoring import as_batch, predict_ab, prior_of, score, shrunk

CPU = torch.device("cpu")


class Truth:
    """A colorizer that knows the answer, off by ``offset`` in a."""

    picture_px = None

    def __init__(self, pack, offset: float = 0.0) -> None:
        self.pictures = dict(zip(pack.columns["name"], map(pack.read, pack), strict=True))
        self.offset = offset

    def colorize(self, lightness, source, name):
        ab = rgb_to_lab(as_batch(self.pictures[name]))[:, 1:]
        return ab + torch.tensor([self.offset, 0.0]).view(1, 2, 1, 1)


@pytest.fixture
def pack(make_pack):
    return make_pack({f"scene{k}": draw_scene("test", k, 32, 40).rgb for k in range(4)})


def scored(product, pack, crop_px=None):
    prior = pack.path.with_name("prior.npy")
    save_prior(prior, prior_of(pack))
    return score(product, pack, None, repeats=1, crop_px=crop_px, device=CPU, color_prior=prior)


def test_truth_scores_fully_and_an_offset_loses_its_share_of_the_thresholds(pack):
    perfect = scored(Truth(pack), pack)
    assert perfect.pooled == pytest.approx({"auc": 100, "auc_rebalanced": 100}, abs=0.4)
    off = scored(Truth(pack, 30.5), pack)
    # No pixel is within 30, all are within 31: of the 150 steps 31 are lost, of one half.
    for value in off.pooled.values():
        assert value == pytest.approx(100 * (1 - 30.5 / 150))
    assert off.rows[0]["auc_per_image"] == pytest.approx(100 * (1 - 30.5 / 150))


def test_gray_against_an_independent_computation(pack):
    found = scored(create("gray"), pack)
    labs = [rgb2lab(pack.read(index)) for index in pack]
    chroma = [np.hypot(lab[..., 1], lab[..., 2]).ravel() for lab in labs]
    ab = [torch.from_numpy(lab[..., 1:]).permute(2, 0, 1)[None].float() for lab in labs]
    prior = smoothed_prior(ab).numpy()
    weights = [1 / prior[hard_encode(one)[0].numpy().ravel()] for one in ab]

    def area(errors, weights):
        curve = [np.average(errors <= t, weights=weights) for t in range(151)]
        return 100 * np.trapezoid(curve) / 150

    ones = [np.ones_like(one) for one in chroma]
    together = np.concatenate
    assert found.pooled["auc"] == pytest.approx(area(together(chroma), together(ones)), abs=1e-3)
    rebalanced = area(together(chroma), together(weights))
    assert found.pooled["auc_rebalanced"] == pytest.approx(rebalanced, abs=1e-2)
    for row, errors, one, rare, lab, index in zip(
        found.rows, chroma, ones, weights, labs, pack, strict=True
    ):
        assert row["auc_per_image"] == pytest.approx(area(errors, one), abs=1e-3)
        assert row["auc_rebalanced_per_image"] == pytest.approx(area(errors, rare), abs=1e-2)
        gray = np.round(255 * lab2rgb(lab * [1, 0, 0])).astype(np.uint8)
        psnr = peak_signal_noise_ratio(pack.read(index), gray)
        assert row["psnr_db"] == pytest.approx(psnr, abs=0.05)
    height, width = pack.read(0).shape[:2]
    assert found.example.shape == (height, 3 * width, 3)
    assert np.ptp(found.example[:, :width].astype(int), axis=-1).max() <= 1
    assert np.array_equal(found.example[:, 2 * width :], pack.read(0))


def test_crops_are_scored_alone(pack):
    found = scored(create("gray"), pack, crop_px=16)
    assert found.example.shape == (16, 48, 3)


def test_pictures_are_shown_at_the_size_a_network_knows():
    torch.manual_seed(0)
    method = create("colorization", width=2, uniform_share=1.0, picture_px=32).eval()
    rgb = torch.rand(1, 3, 64, 96)
    seen = []
    hook = method.network.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
    assert predict_ab(method, rgb).shape == (1, 2, 64, 96)
    assert seen == [(1, 1, 32, 48)]
    hook.remove()
    small = rgb[..., :20, :30]
    assert torch.equal(shrunk(small, 32), small)
    assert torch.equal(shrunk(rgb, None), rgb)


def test_the_prior_of_a_pack_is_that_of_its_pixels(pack):
    prior = prior_of(pack)
    assert prior.shape == (BINS,)
    assert float(prior.sum()) == pytest.approx(1)
    pixels = [rgb_to_lab(as_batch(pack.read(index)))[:, 1:] for index in pack]
    assert torch.allclose(prior, smoothed_prior(pixels))
    for ab in pixels:
        assert (prior[hard_encode(ab)] > 0).all()
