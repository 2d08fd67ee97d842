from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d

from tests.systems.super_resolution.sets import clean_pack, pairs_pack, scored_pack, write
from unpaired.core.errors import UnpairedError
from unpaired.data.records import Record
from unpaired.systems.super_resolution.degradations import REAL, compare, draw, statistics


def pack_of(path, noise):
    clean = np.full(noise.shape, 128, np.uint8)
    noisy = np.clip(np.round(128 + noise), 0, 255).astype(np.uint8)
    large = np.full((4 * noise.shape[0], 4 * noise.shape[1], 3), 128, np.uint8)
    return write(path, [Record("a", {"noisy": noisy, "clean": clean, "large": large}, "a")])


def white(std, side=200):
    return np.random.default_rng(0).normal(0, std, (side, side, 3))


def test_white_noise_has_its_deviation_and_no_correlation(tmp_path):
    found = statistics(pack_of(tmp_path / "w.h5", white(12) + 5))
    assert found["std"] == pytest.approx(12, rel=0.02)
    assert found["mean"] == pytest.approx(5, abs=0.2)
    assert found["neighbor_correlation"] == pytest.approx(0, abs=0.02)
    assert found["channel_correlation"] == pytest.approx(0, abs=0.02)


def test_a_running_mean_of_two_correlates_by_a_half_one_way_and_not_the_other(tmp_path):
    noise = uniform_filter1d(white(20), 2, axis=0)
    found = statistics(pack_of(tmp_path / "c.h5", noise))
    assert found["neighbor_correlation"] == pytest.approx(0.25, abs=0.02)


def test_channels_that_share_half_of_their_variance_correlate_by_a_half(tmp_path):
    shared = white(12, side=201)[1:, 1:, :1]
    found = statistics(pack_of(tmp_path / "h.h5", white(12) + shared))
    assert found["channel_correlation"] == pytest.approx(0.5, abs=0.03)
    gray = statistics(pack_of(tmp_path / "g.h5", shared * np.ones(3)))
    assert gray["channel_correlation"] == pytest.approx(1)


def test_rows_stand_beside_the_real_one(tmp_path):
    made = {
        "half": pack_of(tmp_path / "h.h5", white(6)),
        "none": pack_of(tmp_path / "n.h5", 0 * white(6)),
    }
    lines = compare(made, pack_of(tmp_path / "r.h5", white(12)))
    assert [line["row"] for line in lines] == [REAL, "half", "none"]
    assert [line["std_ratio"] for line in lines] == pytest.approx([1, 0.5, 0], abs=0.03)
    assert lines[2]["neighbor_correlation"] == 0


def test_validation_pairs_are_compared_at_the_small_size(tmp_path):
    noisy = statistics(scored_pack(tmp_path / "t.h5"))
    assert noisy["std"] == pytest.approx(20, rel=0.1)
    with pytest.raises(UnpairedError, match="no pairs to compare"):
        statistics(clean_pack(tmp_path / "c.h5"))


def test_they_are_drawn(tmp_path):
    pack = pairs_pack(tmp_path / "p.h5")
    draw(tmp_path / "d.png", {"made": pack}, pack)
    assert (tmp_path / "d.png").stat().st_size > 5000
