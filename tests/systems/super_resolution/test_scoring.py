from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tests.systems.super_resolution.sets import TINY, clean_pack, scored_pack
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.networks.rrdb import enlarged
from unpaired.systems.super_resolution.enlarging import enlarge
from unpaired.systems.super_resolution.methods.enlarged import Enlarged
from unpaired.systems.super_resolution.scoring import as_picture, as_tensor, score

CPU = torch.device("cpu")


def scored(product, pack):
    return score(product, pack, None, repeats=1, crop_px=None, device=CPU)


def test_scores_are_those_of_an_independent_library(tmp_path):
    pack = scored_pack(tmp_path / "t.h5")
    rows = scored(Enlarged(), pack).rows
    assert [row["image"] for row in rows] == ["t0", "t1"]
    for index, row in enumerate(rows):
        truth = pack.read(index, "clean")
        made = as_picture(enlarged(as_tensor(pack.read_unit(index, "noisy"), CPU)))
        assert row["psnr_db"] == pytest.approx(peak_signal_noise_ratio(truth, made))
        about = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        maps = structural_similarity(truth, made, channel_axis=2, full=True, **about)[1]
        assert row["ssim"] == pytest.approx(maps[5:-5, 5:-5].mean(), abs=1e-6)
        assert 0 < row["lpips_random"] < 2


def test_the_truth_itself_is_perfect_and_the_example_shows_it(tmp_path):
    pack = scored_pack(tmp_path / "t.h5", count=1)
    truth = as_tensor(pack.read_unit(0, "clean"), CPU)

    class Oracle(Enlarged):
        def upscale(self, small):
            return truth

    found = scored(Oracle(), pack)
    assert found.rows[0]["psnr_db"] == np.inf
    assert found.rows[0]["ssim"] == pytest.approx(1)
    assert found.rows[0]["lpips_random"] == pytest.approx(0, abs=1e-6)
    assert found.example.shape == (64, 3 * 64, 3)
    assert np.array_equal(found.example[:, 64:128], found.example[:, 128:])


def test_of_a_challenge_lpips_needs_published_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pack = scored_pack(tmp_path / "t.h5", source="aim19_validation")
    with pytest.raises(UnpairedError, match="unpaired import-weights lpips"):
        scored(Enlarged(), pack)


def test_a_pack_without_pairs_is_refused(tmp_path):
    with pytest.raises(UnpairedError, match="no pairs of a small and a large picture"):
        scored(Enlarged(), clean_pack(tmp_path / "c.h5"))


@pytest.mark.parametrize("head", ["nearest", "pixel_shuffle"])
@pytest.mark.parametrize("size", [(70, 45), (40, 81), (9, 9)])
def test_tiles_give_what_one_pass_gives(head, size):
    torch.manual_seed(0)
    about = TINY | {"head": head}
    product = create("rrdb_l1", **about).double().eval()
    torch.nn.init.normal_(product.network.last.weight, std=0.05)
    product.network.global_residual = False
    small = torch.rand(1, 3, *size, dtype=torch.float64)
    whole = product.upscale(small)
    tiled = enlarge(product, small, tile_px=20)
    assert torch.allclose(tiled, whole, atol=1e-12)


def test_interpolation_is_tiled_exactly_too():
    small = torch.rand(1, 3, 50, 33)
    assert torch.allclose(enlarge(Enlarged(), small, tile_px=16), enlarged(small), atol=1e-6)
