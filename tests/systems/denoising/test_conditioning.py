"""A scale for every channel and page: closed forms, what may not decide, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from unpaired.systems.denoising.conditioning import LINEAR_TO, condition, noise_law, nominal

SIDE = 160
RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def scene():
    """Smooth blobs in [0, 1], mostly dark."""
    blobs = gaussian_filter(np.random.default_rng(1).random((SIDE, SIDE)), 12)
    return (blobs - blobs.min()) / np.ptp(blobs)


def gaussian(scene, gain, offset, std):
    return offset + gain * (scene + std * RNG.standard_normal(scene.shape))


def back_of(page):
    conditioned = condition(page)
    return conditioned.back(conditioned.values)


@pytest.mark.parametrize("gain", [1e-6, 0.3, 40.0, 65000.0])
@pytest.mark.parametrize("offset", [0.0, 100.0, -3000.0])
def test_gain_and_offset_do_not_matter(scene, gain, offset):
    """A picture in other units is seen the same, and comes back in its own."""
    noise = RNG.standard_normal(scene.shape)
    plain = (scene + 0.1 * noise)[..., None]
    other = offset * gain + gain * plain
    seen = condition(plain).values, condition(other).values
    assert np.allclose(*seen, atol=1e-4)
    assert np.allclose(back_of(other), other, rtol=1e-6, atol=1e-4 * gain)


def test_every_channel_of_its_own_range_has_its_own_scale(scene):
    dim, bright = gaussian(scene, 40, 100, 0.1), gaussian(1 - scene, 40_000, 2000, 0.1)
    conditioned = condition(np.stack([dim, bright, dim], axis=-1))
    assert not conditioned.shares_scale
    for index in range(3):
        values = conditioned.values[..., index]
        low, high = np.quantile(values, [0.02, 0.98])
        assert low == pytest.approx(0, abs=1e-3)
        assert high == pytest.approx(1, abs=1e-3)


def test_channels_of_like_range_keep_their_relation(scene):
    page = np.stack([gaussian(scene, gain, 0, 0.1) for gain in (1.0, 0.8, 0.5)], axis=-1)
    conditioned = condition(page)
    assert conditioned.shares_scale
    ratio = np.std(conditioned.values[..., 2]) / np.std(conditioned.values[..., 0])
    assert ratio == pytest.approx(np.std(page[..., 2]) / np.std(page[..., 0]), rel=1e-3)


@pytest.mark.parametrize("count", [1, 40])
def test_outliers_decide_nothing_and_come_back(scene, count):
    """Hot pixels and stars: the rest is seen as without them, and they keep their values."""
    page = gaussian(scene, 40, 200, 0.1)
    spotted = page.copy()
    places = RNG.integers(0, SIDE, (2, count))
    spotted[tuple(places)] = 65_535
    plain, with_spots = condition(page[..., None]).values, condition(spotted[..., None]).values
    others = np.ones(page.shape, bool)
    others[tuple(places)] = False
    assert np.abs(plain - with_spots)[others].max() < 0.05
    assert with_spots.max() < LINEAR_TO + np.log(100)
    assert np.allclose(back_of(spotted[..., None])[..., 0], spotted, rtol=1e-5)


def test_what_lies_far_below_comes_back_too(scene):
    page = gaussian(scene, 40, 200, 0.1)
    page[3, 4] = -1e6
    assert np.allclose(back_of(page[..., None])[..., 0], page, rtol=1e-5)


@pytest.mark.parametrize(("constant", "slope"), [(0.01, 0.0), (0.001, 0.02), (0.0, 0.05)])
def test_the_law_of_the_noise_is_found(scene, constant, slope):
    std = np.sqrt(constant + slope * scene)
    channel = scene + std * RNG.standard_normal(scene.shape)
    found = noise_law(channel, 0.0, 1.0)
    for brightness in (0.2, 0.8):
        expected = constant + slope * brightness
        assert found.constant + found.slope * brightness == pytest.approx(expected, rel=0.3)


def test_white_noise_is_not_taken_for_counts(scene):
    conditioned = condition(gaussian(scene, 1, 0, 0.1)[..., None])
    assert not conditioned.is_stabilized


@pytest.mark.parametrize(("peak", "offset"), [(20, 0), (100, 0), (100, 300)])
def test_noise_of_counts_becomes_equally_strong(peak, offset):
    """Bright and dark ends have equal noise after, not before; a camera's pedestal or none."""
    ramp = np.broadcast_to(np.linspace(0.3, 2, SIDE), (SIDE, SIDE))
    page = offset + np.random.default_rng(3).poisson(peak * ramp).astype(float)
    conditioned = condition(page[..., None])
    assert conditioned.is_stabilized
    assert conditioned.square_px == 1

    def bright_over_dark(picture):
        noise = np.diff(picture, axis=0)
        return noise[:, -20:].std() / noise[:, :20].std()

    assert bright_over_dark(page) > 1.9
    assert bright_over_dark(conditioned.values[..., 0]) == pytest.approx(1, abs=0.12)


def test_a_denoiser_that_gives_the_mean_of_counts_gets_it_back():
    """The exact unbiased inverse: the mean of transformed counts goes back to the mean count."""
    page = RNG.poisson(np.linspace(10, 100, SIDE)[:, None], (SIDE, 4 * SIDE)).astype(float)
    conditioned = condition(page[..., None])
    assert conditioned.is_stabilized
    rows = conditioned.values.mean(axis=1, keepdims=True)
    restored = conditioned.back(np.broadcast_to(rows, conditioned.values.shape))
    assert np.allclose(restored.mean(axis=1), page.mean(axis=1)[:, None], rtol=0.02)


def test_few_counts_are_averaged_in_squares_and_keep_their_mean(scene):
    page = RNG.poisson(0.2 * scene).astype(float)[..., None]
    conditioned = condition(page)
    assert conditioned.square_px > 1
    assert conditioned.values.shape[0] == -(-SIDE // conditioned.square_px)
    assert back_of(page).shape == page.shape
    assert back_of(page).mean() == pytest.approx(page.mean(), rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 200), (64, 64)])
def test_tiny_and_constant_pages(shape):
    constant = np.full((*shape, 1), 7.0)
    assert np.array_equal(back_of(constant), constant)
    page = RNG.random((*shape, 3))
    assert np.allclose(back_of(page), page, atol=1e-6)


def test_a_channel_with_a_single_bright_pixel():
    page = np.zeros((50, 50, 1))
    page[10, 10] = 1000
    assert np.isfinite(condition(page).values).all()
    assert np.allclose(back_of(page), page, rtol=1e-5)


def test_a_nominal_scale_is_linear_and_has_no_limit():
    page = np.array([[[-5.0], [0.0]], [[3.0], [400.0]]], np.float32)
    conditioned = nominal(page, 1.0, 2.0)
    assert np.allclose(conditioned.values, (page - 1) / 2)
    assert np.allclose(conditioned.back(conditioned.values), page)
