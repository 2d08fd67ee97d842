from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from skimage.color import rgb2lab

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.systems.perceptual.distortions.formulas import DISTORTIONS, get_distortion
from unpaired.systems.perceptual.observer import (
    BANDS_CPD,
    DECISION_NOISE,
    L2_CONTROL,
    ORIENTATIONS,
    SAME_SHARE_OF_IDENTICAL,
    SIMULATED,
    Observer,
    blue_yellow_sensitivity,
    expected_consistency,
    fit_noise,
    l2_distance,
    luminance_sensitivity,
    perceive,
    preference,
    red_green_sensitivity,
    visual_distance,
)
from unpaired.systems.perceptual.sources.simulated_bapps import Part, judged


@pytest.fixture(scope="module")
def patches(photographs) -> np.ndarray:
    """Two 64 x 64 patches of every photograph, N x 64 x 64 x 3."""
    cut = [p[t : t + 64, w : w + 64] for p in photographs for t, w in ((100, 120), (180, 250))]
    return np.stack(cut)


def distorted(name: str, patches: np.ndarray, severity: float) -> np.ndarray:
    distortion = get_distortion(name)
    return np.stack(
        [distortion.apply(p, severity, numpy_generator(name, k)) for k, p in enumerate(patches)]
    )


def gratings(cpd: float, contrast: float, phase: float = 0.0, angle: float = 0.0) -> np.ndarray:
    """Return one gray picture 1 x 64 x 64 x 3 with a grating in sRGB, which is nearly in L*."""
    rows, columns = np.indices((64, 64))
    along = rows * np.sin(angle) + columns * np.cos(angle)
    wave = 0.5 + contrast / 2 * np.cos(2 * np.pi * cpd / 32 * along + phase)
    return np.repeat(wave[None, ..., None], 3, -1).astype(np.float32)


def test_distance_of_equal_patches_is_zero_and_it_is_symmetric(patches):
    others = distorted("cubic_warp", patches, 0.7)
    for distance in (visual_distance, l2_distance):
        assert np.all(distance(patches, patches) == 0)
        assert np.array_equal(distance(patches, others), distance(others, patches))
        assert np.all(distance(patches, others) > 0)


def test_a_batch_is_as_its_patches(patches):
    others = distorted("jpeg", patches, 0.7)
    many = visual_distance(np.tile(patches, (4, 1, 1, 1)), np.tile(others, (4, 1, 1, 1)))
    single = [visual_distance(a[None], b[None])[0] for a, b in zip(patches, others, strict=True)]
    assert many == pytest.approx(np.tile(single, 4), rel=1e-5)
    as_bytes = [np.round(255 * x).astype(np.uint8) for x in (patches, others)]
    assert visual_distance(*as_bytes) == pytest.approx(single, rel=0.02)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_distance_grows_with_severity_on_average(name, patches):
    means = [visual_distance(patches, distorted(name, patches, s)).mean() for s in (0.2, 0.5, 1)]
    assert all(np.diff(means) > 0), means


def test_shifts_and_warps_are_forgiven_more_than_l2_forgives_them(patches):
    """A shift is put beside blur that is as far away in L2."""
    shifted = distorted("shift", patches, 0.5)
    blurred = distorted("gaussian_blur", patches, 1.0)
    assert l2_distance(patches, shifted).mean() > l2_distance(patches, blurred).mean()
    assert visual_distance(patches, shifted).mean() < 0.6 * visual_distance(patches, blurred).mean()


def test_energy_does_not_depend_on_the_phase_of_a_grating():
    """Away from the borders, whose mirror images differ."""
    first, second = (perceive(gratings(4, 0.3, phase))[0] for phase in (0.0, 1.3))
    band = BANDS_CPD.index(4.0)
    a, b = (x[0, 0, band, 0, 4:-4, 4:-4] for x in (first, second))
    assert a == pytest.approx(b, rel=0.05)
    assert a.min() > 0.5


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
@pytest.mark.parametrize("band", range(len(BANDS_CPD)))
def test_a_grating_excites_its_own_band_and_orientation_most(band, orientation):
    picture = gratings(BANDS_CPD[band], 0.02, angle=orientation * np.pi / ORIENTATIONS)
    responses = perceive(picture)[0][0, 0].mean((-2, -1))
    assert np.unravel_index(responses.argmax(), responses.shape) == (band, orientation)


def test_response_to_a_faint_grating_is_that_of_the_formula():
    """Below threshold, contrast to the power of 2.4; far above it, about 0.4."""
    band = BANDS_CPD.index(8.0)
    exponents = []
    for contrast in (0.002, 0.3):
        low, high = (
            perceive(gratings(8, factor * contrast))[0][0, 0, band, 0, 4:-4, 4:-4].mean()
            for factor in (1, 2)
        )
        exponents.append(np.log2(high / low))
    assert exponents[0] == pytest.approx(2.4, abs=0.1)
    assert exponents[1] == pytest.approx(0.4, abs=0.25)
    # An sRGB amplitude of .01 about mid-gray is about 1.0 in L*, hence a contrast of 2 / 2.3.
    faint = perceive(gratings(8, 0.02))[0][0, 0, band, 0, 4:-4, 4:-4].mean()
    contrast = 2 * 1.0 / 2.3
    assert faint == pytest.approx(contrast**2.4 / (1 + contrast**2 / 4), rel=0.1)


def test_uniform_patches_have_the_distance_of_the_formula():
    """No band responds; the low-pass of three channels goes through the curve and is pooled."""
    colors = np.array([[0.5, 0.5, 0.5], [0.6, 0.5, 0.4]], np.float32)
    first, second = (np.tile(color, (1, 64, 64, 1)).astype(np.float32) for color in colors)
    change = np.abs(np.subtract(*rgb2lab(colors)))
    sensitivities = luminance_sensitivity, red_green_sensitivity, blue_yellow_sensitivity
    units = change * [sensitivity(0.5) for sensitivity in sensitivities] / 2.3
    responses = units**2.4 / (1 + units**2)
    expected = np.sum(responses**3.5) ** (1 / 3.5)
    assert np.sort(responses)[1] > 0.5 * responses.max()  # More than one channel counts.
    assert visual_distance(first, second) == pytest.approx(expected, rel=1e-3)


def test_a_slope_has_no_edge_where_the_patch_ends():
    """Its periodic continuation has one, as strong as an edge inside of the patch."""
    slope = np.broadcast_to(np.linspace(0.2, 0.8, 64)[:, None, None], (1, 64, 64, 3))
    edge = np.where(np.arange(64) < 32, 0.2, 0.8)[:, None, None]
    of_slope, of_edge = (
        perceive(np.broadcast_to(x, (1, 64, 64, 3)).astype(np.float32))[0][0, 0, 0]
        for x in (slope, edge)
    )
    assert of_slope.max() < 0.05 * of_edge.max()


def test_noise_on_texture_is_masked():
    rng = numpy_generator("masking")
    noise, coarse = 0.05 * rng.standard_normal((2, 1, 64, 64, 3))
    flat = gratings(8, 0.0)
    texture = np.clip(flat + 3 * coarse, 0, 1).astype(np.float32)
    on_flat, on_texture = (
        visual_distance(x, np.clip(x + noise, 0, 1).astype(np.float32)) for x in (flat, texture)
    )
    assert on_texture < 0.7 * on_flat


def test_contrast_sensitivities():
    cpd = np.linspace(0.1, 30, 300)
    luminance = luminance_sensitivity(cpd)
    assert cpd[luminance.argmax()] == pytest.approx(8, abs=0.5)
    assert luminance.max() == pytest.approx(1, abs=0.01)
    assert luminance[0] < 0.15
    for color in (red_green_sensitivity, blue_yellow_sensitivity):
        assert color(0.0) == pytest.approx(1)
        assert np.all(np.diff(color(cpd)) < 0)
        assert color(16.0) < 0.15
    assert blue_yellow_sensitivity(4.0) < red_green_sensitivity(4.0)


def test_preference_is_thurstones():
    first, second = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 1.0])
    expected = norm.cdf((first - second) / (np.sqrt(2) * 0.7))
    assert preference(first, second, 0.7) == pytest.approx(expected)
    assert preference(first, second, 0.0).tolist() == [0, 0.5, 1]
    rng = numpy_generator("thurstone")
    noisy = [d[:, None] + 0.7 * rng.standard_normal((3, 40_000)) for d in (first, second)]
    assert np.mean(noisy[1] < noisy[0], 1) == pytest.approx(expected, abs=0.01)


def test_votes_are_keyed_shares_around_the_preference(patches):
    firsts, seconds = distorted("jpeg", patches, 0.9), distorted("shift", patches, 0.6)
    chances = SIMULATED.preference(patches, firsts, seconds)
    votes = [
        SIMULATED.vote_share(patches, firsts, seconds, 5, numpy_generator(key)) for key in (0, 0, 1)
    ]
    assert np.array_equal(votes[0], votes[1])
    assert not np.array_equal(votes[0], votes[2])
    assert np.array_equal(5 * votes[0], np.round(5 * votes[0]))
    many = SIMULATED.vote_share(patches, firsts, seconds, 100_000, numpy_generator(2))
    assert many == pytest.approx(chances, abs=0.01)
    swapped = SIMULATED.preference(patches, seconds, firsts)
    assert swapped == pytest.approx(1 - chances)


def test_identical_patches_are_called_the_same_as_often_as_people_do(patches):
    assert SIMULATED.sameness(patches, patches) == pytest.approx(SAME_SHARE_OF_IDENTICAL)
    different = distorted("pink_noise", patches, 1.0)
    assert SIMULATED.sameness(patches, different).max() < 0.05
    shares = SIMULATED.same_share(patches, patches, 3, numpy_generator(0))
    assert set(np.round(3 * shares)) <= {0, 1, 2, 3}


def test_expected_consistency_is_what_votes_give():
    chances = np.array([0.1, 0.5, 0.8])
    shares = numpy_generator(0).binomial(5, chances, (50_000, 3)) / 5
    simulated = np.mean(shares**2 + (1 - shares) ** 2)
    assert expected_consistency(chances, 5) == pytest.approx(simulated, abs=2e-3)
    assert expected_consistency(np.array([0.0, 1.0]), 2) == 1


def test_fitted_noise_gives_the_consistency():
    rng = numpy_generator("fit")
    first, second = rng.uniform(0, 5, (2, 500))
    for consistency in (0.7, 0.826, 0.95):
        noise = fit_noise(first, second, consistency, 5)
        found = expected_consistency(preference(first, second, noise), 5)
        assert found == pytest.approx(consistency, abs=1e-6)
    with pytest.raises(UnpairedError, match=r"no decision noise gives a consistency of 0\.5"):
        fit_noise(first, second, 0.5, 5)


def triplets_of(observer: Observer, count: int) -> dict[str, np.ndarray]:
    entries = judged(Part("2afc", "val", "traditional", count), range(count), [], observer)
    fields = ("reference", "first", "second", "judge")
    arrays = {field: np.stack([entry[field] for entry in entries.values()]) for field in fields}
    return arrays | {"judge": arrays["judge"].ravel().astype(float)}


def agreement(first: np.ndarray, second: np.ndarray, judge: np.ndarray) -> float:
    """Return the 2AFC score of distances (Zhang 2018, section 6.4.1)."""
    chosen = np.where(first == second, 0.5, second < first)
    return float(np.mean(chosen * judge + (1 - chosen) * (1 - judge)))


@pytest.mark.long
def test_observer_is_as_consistent_as_people_on_photographs_it_was_not_fitted_to():
    triplets = triplets_of(SIMULATED, 100)
    chances = SIMULATED.preference(*(triplets[f] for f in ("reference", "first", "second")))
    assert expected_consistency(chances, 5) == pytest.approx(0.808, abs=0.03)


@pytest.mark.long
def test_the_decision_noise_is_what_was_fitted():
    """To the first 300 traditional training triplets; nobody's votes are looked at."""
    entries = judged(Part("2afc", "train", "traditional", 300), range(300), [], L2_CONTROL)
    reference, first, second = (
        np.stack([entry[field] for entry in entries.values()])
        for field in ("reference", "first", "second")
    )
    distances = visual_distance(reference, first), visual_distance(reference, second)
    assert fit_noise(*distances, 0.808, 5) == pytest.approx(DECISION_NOISE, abs=0.01)


def test_l2_reaches_the_ceiling_where_the_observer_votes_by_l2():
    """The control of the harness: without noise all of it, with noise that of the best oracle."""
    triplets = triplets_of(L2_CONTROL, 60)
    distances = [l2_distance(triplets["reference"], triplets[f]) for f in ("first", "second")]
    assert agreement(*distances, triplets["judge"]) == 1
    noisy = Observer(l2_distance, fit_noise(*distances, 0.826, 5))
    triplets = triplets_of(noisy, 60)
    judge = triplets["judge"]
    score, human = agreement(*distances, judge), np.mean(judge**2 + (1 - judge) ** 2)
    oracle = np.mean(np.maximum(judge, 1 - judge))
    assert human <= score + 0.02
    assert score == pytest.approx(oracle, abs=0.04)
    visual = [visual_distance(triplets["reference"], triplets[f]) for f in ("first", "second")]
    assert agreement(*visual, judge) < score - 0.05


def test_shapes_and_ranges_that_are_no_pictures(patches):
    bytes_as_floats = np.round(255 * patches)
    with pytest.raises(UnpairedError, match=r"not in \[0, 1\]; scale them"):
        visual_distance(bytes_as_floats, bytes_as_floats)
    with pytest.raises(UnpairedError, match="not N x H x W x 3"):
        l2_distance(patches[0], patches[0])
    with pytest.raises(UnpairedError, match="cannot be compared"):
        visual_distance(patches, patches[:2])
