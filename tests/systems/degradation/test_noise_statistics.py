from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.systems.degradation.noise_statistics import (
    REAL,
    HeteroscedasticGaussian,
    compare,
    correlation_error,
    draw,
    kl_divergence,
    measure,
    variance_error,
    white_noise,
    write_table,
)


def ramp(height=256, width=256) -> np.ndarray:
    """A clean picture in which every intensity from 40 to 215 is found."""
    row = np.linspace(40, 215, width).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def with_noise(clean: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return clean, np.clip(np.round(clean + noise), 0, 255).astype(np.uint8)


def white(std: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    clean = ramp()
    return with_noise(clean, np.random.default_rng(seed).normal(0, std, clean.shape))


def test_white_noise_has_one_variance_and_no_correlation():
    own = measure([white(8.0)])
    known = own.variance[np.isfinite(own.variance)]
    assert len(known) == 12  # of the 16 bins those from 32 to 223
    # The variance of rounding is 1 / 12.
    assert known == pytest.approx(64 + 1 / 12, rel=0.05)
    assert own.correlation[0] == 1
    assert np.abs(own.correlation[1:]).max() < 0.01
    assert own.histogram.sum() == 256 * 256 * 3


def test_correlation_of_a_moving_average():
    """Means of two neighbors along rows correlate by 1/2 across and by 0 down: 1/4 on average."""
    noise = np.random.default_rng(0).normal(0, 10, (256, 257, 3))
    own = measure([with_noise(ramp(), (noise[:, 1:] + noise[:, :-1]) / np.sqrt(2))])
    assert own.correlation[1] == pytest.approx(0.25, abs=0.01)
    assert np.abs(own.correlation[2:]).max() < 0.01


def test_variance_by_intensity_and_its_fit():
    clean = ramp()
    unit = clean / 255
    std = np.sqrt(0.004 * unit + 0.0005)
    noise = 255 * std * np.random.default_rng(0).standard_normal(clean.shape)
    fitted = HeteroscedasticGaussian.fit([with_noise(clean, noise)])
    assert fitted.slope == pytest.approx(0.004, rel=0.05)
    assert fitted.offset == pytest.approx(0.0005, rel=0.15)
    same = measure([(clean, fitted(clean, 0))])
    assert variance_error(measure([with_noise(clean, noise)]), same) < 0.05


def test_kl_divergence():
    """The closed form for two counts, with one added to each bin."""
    assert kl_divergence(np.array([2, 0]), np.array([0, 2])) == pytest.approx(0.5 * np.log(3))
    counts = np.array([10, 5, 1])
    assert kl_divergence(counts, counts) == 0
    stronger = [
        kl_divergence(measure([white(8.0)]).histogram, h)
        for h in (
            measure([white(8.0, 1)]).histogram,
            measure([white(10.0)]).histogram,
            measure([white(16.0)]).histogram,
        )
    ]
    assert stronger == sorted(stronger)
    assert stronger[0] < 0.001


def test_errors_are_zero_for_equal_noise_and_known_for_twice_the_variance():
    one, other = measure([white(10.0)]), measure([white(10.0 * np.sqrt(2), 1)])
    assert variance_error(one, one) == correlation_error(one, one) == 0
    assert variance_error(one, other) == pytest.approx(np.log(2), rel=0.1)


def test_the_table_and_the_drawing(make_pairs, tmp_path):
    test = make_pairs({"a": white(8.0)[::-1]}, "test")
    train = make_pairs({"b": white(8.0, 1)[::-1]}, "train")
    statistics = compare(test, train, {"awgn": white_noise(0.05, 0.5)})
    write_table(tmp_path / "noise.csv", statistics)
    draw(tmp_path / "noise.png", statistics)
    with open(tmp_path / "noise.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    kl = {r["source"]: float(r["value"]) for r in rows if r["statistic"] == "kl_divergence_nats"}
    assert kl[REAL] == 0
    fitted = next(name for name in kl if name.startswith("heteroscedastic"))
    assert kl[fitted] < 0.01 < kl["awgn"]
    with Image.open(tmp_path / "noise.png") as picture:
        assert picture.size[0] > 1000


def test_nothing_to_measure():
    with pytest.raises(UnpairedError, match="no pictures"):
        measure([])
