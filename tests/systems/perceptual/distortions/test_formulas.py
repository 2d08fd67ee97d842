from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.systems.perceptual.distortions import formulas as distortions
from unpaired.systems.perceptual.distortions.formulas import (
    DISTORTIONS,
    apply_all,
    colored_noise,
    compositions,
    get_distortion,
    homography,
)

NAMES = list(DISTORTIONS)
SEVERITIES = (0.1, 0.25, 0.5, 0.75, 1.0)
FAMILY_SIZES = {"photometric": 4, "noise": 6, "blur": 2, "spatial": 7, "compression": 1}


@pytest.fixture(scope="module")
def patches(photographs) -> list[np.ndarray]:
    """Four 64 x 64 patches of every photograph."""
    cut = []
    for photograph in photographs:
        height, width = photograph.shape[:2]
        for top, left in ((0, 0), (height // 3, width // 2), (height // 2, width // 3), (99, 151)):
            cut.append(photograph[top : top + 64, left : left + 64])
    return cut


def distorted(name: str, image: np.ndarray, severity: float, key: object = 0) -> np.ndarray:
    return get_distortion(name).apply(image, severity, numpy_generator(name, key))


def test_the_twenty_of_the_paper_by_family():
    families = [distortion.family for distortion in DISTORTIONS.values()]
    assert {family: families.count(family) for family in families} == FAMILY_SIZES


def test_308_ordered_pairs_none_of_two_noises_or_two_warps():
    pairs = compositions()
    assert len(pairs) == len({(a.name, b.name) for a, b in pairs}) == 308
    assert all(a.name != b.name for a, b in pairs)
    assert not any(a.family == b.family and a.family in ("noise", "spatial") for a, b in pairs)
    names = {(a.name, b.name) for a, b in pairs}
    assert ("jpeg", "shift") in names
    assert ("shift", "jpeg") in names


@pytest.mark.parametrize("name", NAMES)
def test_severity_zero_is_the_identity(name, patches):
    before = patches[0].copy()
    result = distorted(name, patches[0], 0.0)
    assert np.array_equal(result, before)
    assert result is not patches[0]


@pytest.mark.parametrize("name", NAMES)
def test_nearly_no_severity_is_nearly_the_identity(name, patches):
    """JPEG is never nearer than the rounding of its least compression."""
    difference = distorted(name, patches[0], 1e-3) - patches[0]
    assert np.sqrt(np.mean(difference**2)) < (4e-3 if name == "jpeg" else 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_distance_grows_with_severity_on_average(name, patches):
    distances = [
        np.mean([np.mean((distorted(name, p, s, k) - p) ** 2) for k, p in enumerate(patches)])
        for s in SEVERITIES
    ]
    assert all(np.diff(distances) > 0), distances
    assert distances[0] > 0


@pytest.mark.parametrize("name", [name for name in NAMES if name != "jpeg"])
def test_continuous_in_severity(name, patches):
    """With the same key, a small step in severity is a small step in the picture."""
    step = distorted(name, patches[5], 0.501) - distorted(name, patches[5], 0.5)
    assert 0 < np.sqrt(np.mean(step**2)) < 2e-3


@pytest.mark.parametrize("name", NAMES)
def test_range_shape_and_key(name, patches):
    extremes = np.zeros((48, 64, 3), np.float32)
    extremes[:, 32:] = 1
    for image in (patches[0], extremes, np.zeros_like(extremes)):
        before = image.copy()
        result = distorted(name, image, 1.0)
        assert result.shape == image.shape
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
        assert result.min() >= 0
        assert result.max() <= 1
        assert np.array_equal(result, distorted(name, image, 1.0))
        assert np.array_equal(image, before)
    others = [distorted(name, patches[0], 1.0, key) for key in range(8)]
    is_random = name not in ("gaussian_blur", "bilateral", "jpeg")
    assert any(not np.array_equal(other, others[0]) for other in others) == is_random


def test_severity_outside_the_range_and_unknown_names():
    with pytest.raises(UnpairedError, match=r"jpeg: severity 1\.5 is not in \[0, 1\]"):
        distorted("jpeg", np.zeros((8, 8, 3), np.float32), 1.5)
    with pytest.raises(UnpairedError, match="did you mean 'checkerboard'"):
        get_distortion("chequerboard")


def test_lightness_and_color_move_what_they_say():
    gray = np.full((4, 4, 3), 0.5, np.float32)
    before = rgb2lab(gray)
    lightness = rgb2lab(distorted("lightness_shift", gray, 0.5)) - before
    assert np.abs(lightness[..., 0]) == pytest.approx(20, abs=0.01)
    assert lightness[..., 1:] == pytest.approx(0, abs=0.01)
    color = rgb2lab(distorted("color_shift", gray, 0.25)) - before
    assert np.linalg.norm(color[..., 1:], axis=-1) == pytest.approx(10, abs=0.05)
    assert color[..., 0] == pytest.approx(0, abs=0.05)


def test_full_loss_of_saturation_is_gray_and_contrast_keeps_the_mean(patches):
    results = [distorted("saturation", patches[1], 1.0, key) for key in range(6)]
    chroma = [np.abs(rgb2lab(result)[..., 1:]).mean() for result in results]
    assert min(chroma) < 0.01
    assert max(chroma) > 1.5 * np.abs(rgb2lab(patches[1])[..., 1:]).mean()
    low = 0.5 + 0.1 * (patches[1] - 0.5)  # Nothing is clipped.
    for key in range(6):
        result = distorted("contrast", low, 0.5, key)
        assert result.mean((0, 1)) == pytest.approx(low.mean((0, 1)), abs=1e-4)
        gain = result.std((0, 1)) / low.std((0, 1))
        assert abs(np.log2(gain)) == pytest.approx(0.75, abs=1e-3)


@pytest.mark.parametrize(
    "name", ["uniform_white_noise", "gaussian_white_noise", "pink_noise", "blue_noise"]
)
def test_noise_has_the_stated_deviation(name):
    gray = np.full((128, 128, 3), 0.5, np.float32)
    noise = distorted(name, gray, 0.4) - gray
    assert noise.std() == pytest.approx(0.4 * distortions.NOISE_STD, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.002)
    red, green = noise[..., 0].ravel(), noise[..., 1].ravel()
    assert abs(np.corrcoef(red, green)[0, 1]) < 0.15


@pytest.mark.parametrize("slope", [-2.0, -1.0, 0.0, 1.0, 2.0])
def test_slope_of_colored_noise(slope):
    """Regression of the logarithms of a periodogram on those of frequency."""
    noise = np.concatenate(
        [colored_noise((128, 128, 3), slope, numpy_generator(k)) for k in range(4)], -1
    )
    power = (np.abs(np.fft.fft2(noise, axes=(0, 1))) ** 2).mean(-1)
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    used = (frequency > 0.03) & (frequency < 0.5)
    fitted = np.polyfit(np.log(frequency[used]), np.log(power[used]), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.05)
    assert np.mean(noise**2, (0, 1)) == pytest.approx(1)
    assert noise.mean((0, 1)) == pytest.approx(0, abs=1e-9)


def test_checkerboard_is_two_valued_with_cells_of_one_size():
    gray = np.full((64, 64, 3), 0.5, np.float32)
    for key in range(6):
        pattern = distorted("checkerboard", gray, 1.0, key) - gray
        assert np.unique(np.round(pattern, 4)) == pytest.approx([-0.15, 0.15])
        changes = np.flatnonzero(np.diff(pattern[0, :, 0]))
        assert set(np.diff(changes)) <= {1, 2, 4}
        assert len(set(np.diff(changes))) == 1


def test_blur_of_a_point_is_a_gaussian():
    point = np.zeros((63, 63, 3), np.float32)
    point[31, 31] = 1
    result = distorted("gaussian_blur", point, 0.5).astype(float)
    rows = np.arange(63) - 31
    assert (result[..., 0].sum(1) * rows**2).sum() == pytest.approx(4, rel=0.02)  # (0.5 x 4)^2
    assert result.sum((0, 1)) == pytest.approx(1, rel=1e-4)


def test_bilateral_smooths_noise_and_keeps_edges():
    step = np.full((48, 48, 3), 0.1, np.float32)
    step[:, 24:] = 0.9
    noisy = step + 0.03 * numpy_generator(0).standard_normal(step.shape).astype(np.float32)
    result = distorted("bilateral", np.clip(noisy, 0, 1), 0.4)
    assert np.std(result - step) < 0.4 * np.std(noisy - step)
    assert np.abs(result[:, 23:25] - step[:, 23:25]).mean() < 0.03


def ramps(side: int = 64) -> np.ndarray:
    """Red is the row, green the column, blue half: where a pixel came from can be read."""
    rows, columns = np.indices((side, side)) / (4 * side) + 0.4
    return np.stack([rows, columns, np.full_like(rows, 0.5)], -1).astype(np.float32)


def displacement(name: str, severity: float, key: object, side: int = 64) -> np.ndarray:
    """Return where each pixel came from less where it is, in pixels, inside of the edges."""
    before = ramps(side)
    moved = (distorted(name, before, severity, key) - before)[..., :2] * 4 * side
    return moved[16:-16, 16:-16].astype(float)


def test_shift_is_the_same_everywhere_and_as_long_as_said():
    for key in range(4):
        moved = displacement("shift", 0.75, key)
        assert np.linalg.norm(moved, axis=-1) == pytest.approx(6, abs=0.02)
        assert moved.std((0, 1)) == pytest.approx(0, abs=0.01)


def test_affine_map_is_linear_about_the_center_and_moves_the_corners():
    for key in range(4):
        moved = displacement("affine", 0.5, key)
        places = np.moveaxis(np.indices((64, 64))[:, 16:-16, 16:-16], 0, -1) - 31.5
        matrix, *_ = np.linalg.lstsq(places.reshape(-1, 2), moved.reshape(-1, 2), rcond=None)
        assert places @ matrix == pytest.approx(moved, abs=0.03)
        corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * 31.5
        assert np.linalg.norm(corners @ matrix, axis=1).mean() == pytest.approx(4, abs=0.05)


def test_homography_takes_four_points_to_four_points():
    rng = numpy_generator(0)
    sources = np.array([[0, 0], [0, 60], [50, 0], [50, 60]], float)
    targets = sources + rng.uniform(-8, 8, sources.shape)
    matrix = homography(sources, targets)
    moved = np.column_stack([sources, np.ones(4)]) @ matrix.T
    assert moved[:, :2] / moved[:, 2:] == pytest.approx(targets)
    bent = np.stack([displacement("homography", 1.0, key) for key in range(6)])
    second = np.diff(bent, 2, axis=1)
    assert np.abs(second).max() > 2e-3  # Not affine.


@pytest.mark.parametrize(("name", "is_smooth"), [("linear_warp", False), ("cubic_warp", True)])
def test_local_warps_move_pixels_by_their_own_displacements(name, is_smooth):
    moved = np.concatenate([displacement(name, 0.5, key) for key in range(6)])
    length = np.sqrt(np.mean(np.sum(moved**2, -1)))
    assert 0.8 < length < 2.4  # Between nodes displacements of 2 px are averaged.
    second = np.abs(np.diff(displacement(name, 0.5, 0)[:, 16, 0], 2))
    # A piecewise linear field bends at nodes only.
    assert (np.median(second) > 0.005) == is_smooth


def test_ghosting_is_a_mean_of_the_picture_and_a_shifted_one(patches):
    gentle = 0.3 + 0.4 * patches[2]  # Nothing is clipped.
    half, whole = (distorted("ghosting", gentle, s).astype(float) for s in (0.5, 1.0))
    ghost = 2 * whole - gentle
    assert half == pytest.approx(0.75 * gentle + 0.25 * ghost, abs=1e-5)
    moved = 2 * displacement("ghosting", 1.0, 0)
    assert 3 <= np.linalg.norm(moved.mean((0, 1))) <= 12


def test_aberration_leaves_green_and_moves_red_and_blue_apart():
    picture = np.repeat(ramps()[..., :1], 3, -1)
    moved = (distorted("chromatic_aberration", picture, 0.5) - picture)[16:-16, 16:-16] * 256
    assert np.all(moved[..., 1] == 0)
    assert moved[..., 0] == pytest.approx(-moved[..., 2], abs=0.01)
    # Over one pixel the displacement changes by half of 4 %.
    assert np.abs(np.diff(moved[..., 0], axis=0)) == pytest.approx(0.02, abs=2e-3)


def test_jpeg_is_what_pillow_makes(patches):
    with io.BytesIO() as file:
        picture = Image.fromarray(np.round(255 * patches[3]).astype(np.uint8))
        picture.save(file, "JPEG", quality=5, subsampling=0)
        expected = np.asarray(Image.open(file)) / np.float32(255)
    assert np.array_equal(distorted("jpeg", patches[3], 1.0), expected)


def test_a_composition_applies_the_first_first(patches):
    first, second = get_distortion("jpeg"), get_distortion("contrast")
    result = apply_all(patches[0], (first, second), (0.6, 0.8), numpy_generator(1))
    rng = numpy_generator(1)
    assert np.array_equal(result, second.apply(first.apply(patches[0], 0.6, rng), 0.8, rng))
