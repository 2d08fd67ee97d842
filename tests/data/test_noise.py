from __future__ import annotations

import numpy as np
import pytest

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.data.noise import NOISES, get_noise

SHAPE = (256, 256, 3)


@pytest.mark.parametrize("intensity", [0.0, 0.2, 1.0])
def test_gaussian_has_the_stated_deviation_and_is_not_clipped(intensity):
    noise = get_noise("gauss25")
    clean = np.full(SHAPE, intensity, np.float32)
    noisy = noise.apply(clean, noise.draw_level(numpy_generator(0)), numpy_generator(1))
    assert noisy.dtype == np.float32
    assert np.std(noisy - clean) == pytest.approx(25 / 255, rel=0.01)
    assert np.mean(noisy) == pytest.approx(intensity, abs=1e-3)


@pytest.mark.parametrize("level", [5.0, 30.0, 50.0])
def test_poisson_has_mean_x_and_variance_x_over_lambda(level):
    clean = np.full(SHAPE, 0.4, np.float32)
    noisy = get_noise("poisson5_50").apply(clean, level, numpy_generator(2))
    assert np.mean(noisy) == pytest.approx(0.4, rel=0.01)
    assert np.var(noisy) == pytest.approx(0.4 / level, rel=0.02)
    assert np.allclose(noisy * level, np.round(noisy * level), atol=1e-4)


def test_poisson_of_black_is_black():
    assert np.all(
        get_noise("poisson30").apply(np.zeros(SHAPE, np.float32), 30, numpy_generator(0)) == 0
    )


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("gauss5_50", 5 / 255, 50 / 255), ("awgn", 0.05, 0.5), ("poisson5_50", 5, 50)],
)
def test_varied_levels_are_uniform(name, low, high):
    levels = np.array([NOISES[name].draw_level(numpy_generator(n)) for n in range(2000)])
    assert low <= levels.min() < levels.max() <= high
    assert levels.mean() == pytest.approx((low + high) / 2, rel=0.03)
    assert levels.std() == pytest.approx((high - low) / np.sqrt(12), rel=0.05)


def test_fixed_levels_are_fixed():
    assert get_noise("gauss25").draw_level(numpy_generator(0)) == 25 / 255
    assert get_noise("poisson30").draw_level(numpy_generator(0)) == 30


def test_unknown_noise_suggests_the_nearest():
    with pytest.raises(UnpairedError, match="unknown noise 'gaus25'; did you mean 'gauss25'"):
        get_noise("gaus25")
