"""Scores of translations: controls with known scores, and what a product is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.systems.translation.facades import facade_pack, small
from unpaired.core.errors import UnpairedError
from unpaired.systems.translation import published, scoring
from unpaired.systems.translation.methods.controls import Control, RealPictures, TrueStyles
from unpaired.systems.translation.scoring import sampled, score

CPU = torch.device("cpu")
ABOUT = {"crop_px": None, "device": CPU}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return facade_pack(tmp_path_factory.mktemp("packs") / "pack.h5", range(8))


class OneForAll(Control):
    """The same picture whatever is asked: a collapse."""

    def sampled(self, picture, generators):
        return picture.expand(len(generators), -1, -1, -1)


def test_true_styles_score_as_the_truth(pack):
    scored = score(TrueStyles(), pack, None, repeats=12, **ABOUT)
    assert scored.pooled["style_rmse"] == pytest.approx(0.02, rel=0.1)
    assert scored.pooled["possible_pct"] == 100
    assert scored.pooled["style_tv"] < 0.2
    assert all(row["alike_pct"] == 0 for row in scored.rows)
    assert len(scored.rows) == len(pack)
    assert scored.example.shape == (32, 96, 3)


def test_a_collapse_is_seen(pack):
    scored = score(OneForAll(), pack, None, repeats=3, **ABOUT)
    assert all(row["diversity"] == 0 and row["alike_pct"] == 100 for row in scored.rows)
    assert scored.pooled["possible_pct"] == 0
    assert scored.pooled["styles_of_five"] == 1


def test_random_real_pictures_are_outputs_of_the_training_set(pack):
    control = RealPictures()
    control.take_pictures(pack, seed=1)
    outputs = sampled(control, pack, 0, 12, CPU).outputs.permute(0, 2, 3, 1).numpy()
    real = [pack.read_unit(index, "output") for index in pack]
    drawn = [[np.array_equal(one, true) for true in real].index(True) for one in outputs]
    assert len(set(drawn)) > 3


def test_random_real_pictures_have_the_size_of_the_input(pack):
    """Squares that are learned from are larger than those that are scored."""
    control, whole = RealPictures(), torch.zeros(1, 3, 32, 32)
    control.take_pictures(pack, seed=1)
    pictures = control.sampled(whole, [torch.Generator().manual_seed(0)])
    small = control.sampled(whole[..., ::2, ::2], [torch.Generator().manual_seed(0)])
    assert small.shape == (1, 3, 16, 16)
    assert small.mean((2, 3)).numpy() == pytest.approx(pictures.mean((2, 3)).numpy(), abs=0.01)


def test_diversity_is_the_mean_distance_of_consecutive_samples(pack):
    row = score(TrueStyles(), pack, None, repeats=4, **ABOUT).rows[0]
    outputs = sampled(TrueStyles(), pack, 0, 4, CPU).outputs
    metric = scoring.random_features(CPU)
    with torch.no_grad():
        pairs = [metric(outputs[k : k + 1], outputs[k + 1 : k + 2]).item() for k in range(3)]
    assert row["diversity"] == pytest.approx(np.mean(pairs), rel=1e-4)


def test_reconstructions_are_scored_in_the_range_that_is_learned_in(pack):
    method = small().eval()
    rows = score(method, pack, None, repeats=2, **ABOUT).rows
    views = [
        torch.from_numpy(pack.read_unit(0, key)).permute(2, 0, 1)[None]
        for key in ("input", "output")
    ]
    signed = [2 * view - 1 for view in views]
    with torch.no_grad():
        made = method.generator(signed[0], method.encoder(signed[1])[0])
    assert rows[0]["l1_recon"] == pytest.approx((made - signed[1]).abs().mean().item(), rel=1e-4)
    without = score(small("pix2pix_noise").eval(), pack, None, repeats=2, **ABOUT).rows
    assert "l1_recon" not in without[0]


def test_sample_k_has_the_same_noise_for_every_product(pack):
    first, second = (sampled(small().eval(), pack, 1, count, CPU).outputs for count in (2, 4))
    torch.testing.assert_close(first, second[:2])


def test_bad_requests_are_told(pack, tmp_path, make_pack):
    with pytest.raises(UnpairedError, match="2 samples of every input"):
        score(TrueStyles(), pack, None, repeats=1, **ABOUT)
    plain = make_pack({"a": np.zeros((32, 32, 3), np.uint8)})
    with pytest.raises(UnpairedError, match="no pairs of an input and an output"):
        score(TrueStyles(), plain, None, repeats=2, **ABOUT)
    product = small(levels=5)
    product.generator.multiple_px = 64
    with pytest.raises(UnpairedError, match="multiples of 64"):
        score(product, pack, None, repeats=2, **ABOUT)


def test_missing_weights_are_told(pack, tmp_path, monkeypatch):
    other = facade_pack(tmp_path / "maps.h5", range(2), "maps_val")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnpairedError, match="unpaired import-weights lpips"):
        score(TrueStyles(), other, None, repeats=2, **ABOUT)
    assert published.FIRST_VERSION.endswith("v0.0/alex.pth")
