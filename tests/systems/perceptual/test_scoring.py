from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.systems.perceptual.judged import pair, triplet, write_judged_pack
from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.learning.create import create
from unpaired.metrics.two_alternative import average_precision
from unpaired.systems.perceptual.scoring import score

AS_IT_IS = {"repeats": 1, "crop_px": None, "device": torch.device("cpu")}


def scored(method, pack, **options):
    return score(method, pack, None, **(AS_IT_IS | options))


@pytest.fixture
def triplets(tmp_path):
    """Nearer is the first, the second, the second, and neither."""
    records = [
        triplet(0, 5, 20, 0.2),
        triplet(1, 30, 10, 0.8),
        triplet(2, 40, 0, 0.4),
        triplet(3, 7, 7, 1.0),
    ]
    return write_judged_pack(tmp_path / "triplets.h5", records)


@pytest.mark.parametrize("formula", ["l2", "psnr", "ssim", "fsimc"])
def test_agreement_and_ceiling_per_triplet(triplets, formula):
    result = scored(create("picture_distance", formula=formula), triplets)
    assert [row["two_afc"] for row in result.rows] == pytest.approx([80, 80, 40, 50], abs=1e-4)
    assert [row["ceiling"] for row in result.rows] == pytest.approx([68, 68, 52, 100], abs=1e-4)
    assert [row["image"] for row in result.rows] == ["r0", "r1", "r2", "r3"]
    assert all(row["seconds_per_mpix"] > 0 for row in result.rows)
    first, second = (
        [row[f"{which}_distance"] for row in result.rows] for which in ("first", "second")
    )
    assert np.sign(np.subtract(first, second)).tolist()[:2] == [-1, 1]
    assert result.example.shape == (64, 3 * 64, 3)
    assert result.example.dtype == np.uint8
    assert "62.50 %" in result.summary


def test_the_voters_score_the_ceiling(triplets):
    rows = scored(create("voters"), triplets).rows
    assert [row["two_afc"] for row in rows] == pytest.approx([68, 68, 52, 100], abs=1e-4)
    assert all(row["two_afc"] == row["ceiling"] for row in rows)


@pytest.mark.parametrize("formula", ["l2", "psnr"])
def test_average_precision_of_pairs(tmp_path, formula):
    by, same = [0, 3, 9, 0, 20], [1.0, 1 / 3, 0.0, 2 / 3, 1 / 3]
    records = [pair(number, *entry) for number, entry in enumerate(zip(by, same, strict=True))]
    result = scored(
        create("picture_distance", formula=formula), write_judged_pack(tmp_path / "jnd.h5", records)
    )
    assert result.pooled["jnd_map"] == pytest.approx(100 * average_precision(by, same), abs=1e-4)
    assert "two_afc" not in result.rows[0]
    assert result.example.shape == (64, 2 * 64, 3)


def test_a_learned_distance_is_scored_in_any_batches(tmp_path):
    """More triplets than fit into one batch; every distance is that of its own triplet."""
    shares = numpy_generator("shares").uniform(size=60)
    records = [triplet(k, k % 7, 3, float(share)) for k, share in enumerate(shares)]
    pack = write_judged_pack(tmp_path / "many.h5", records)
    torch.manual_seed(0)
    method = create("lpips", width=0.25, form="unweighted").eval()
    rows = scored(method, pack).rows
    for index in (0, 51, 59):
        patches = [
            torch.from_numpy(pack.read_unit(index, key)).permute(2, 0, 1)[None]
            for key in ("reference", "first", "second")
        ]
        with torch.inference_mode():
            expected = [float(d) for d in method.distances(*patches)]
        found = [rows[index][f"{which}_distance"] for which in ("first", "second")]
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_what_cannot_be_judged_is_refused(tmp_path, triplets, make_pack):
    judge = create("picture_distance")
    with pytest.raises(UnpairedError, match="scored once, whole"):
        scored(judge, triplets, crop_px=32)
    with pytest.raises(UnpairedError, match="judged patches are needed"):
        scored(judge, make_pack({"a": np.zeros((64, 64, 3), np.uint8)}))
    pairs = write_judged_pack(tmp_path / "jnd.h5", [pair(0, 1, 1.0)])
    with pytest.raises(UnpairedError, match="voters have no distance"):
        scored(create("voters"), pairs)
