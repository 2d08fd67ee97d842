from __future__ import annotations

import numpy as np
import pytest
import torch

from unpaired.core.errors import UnpairedError
from unpaired.data.noise import get_noise
from unpaired.imaging import bayer
from unpaired.imaging.pixels import center_crop, pad_to_square, to_uint8
from unpaired.learning.method import Observation
from unpaired.learning.restoring import observe
from unpaired.systems.denoising.scoring import compare

CPU = torch.device("cpu")


class Recorder:
    """A restorer that returns its input and keeps what it was given."""

    def __init__(self, knows=(), multiple_px=32):
        self.knows, self.multiple_px, self.given = knows, multiple_px, []

    def restore(self, observation: Observation):
        self.given.append(observation)
        return observation.image


@pytest.fixture
def pack(make_pack, photographs):
    return make_pack({"chelsea": to_uint8(photographs[1])}, "photo")


def compare_all(restorer, pack, noise="gauss25", repeats=1, crop_px=None):
    options = {"repeats": repeats, "crop_px": crop_px, "device": CPU}
    return list(compare(restorer, pack, get_noise(noise), **options))


def test_rounding_is_half_up_after_clamping():
    values = np.array([-0.1, 0.0, 0.5 / 255, 1.5 / 255, 0.499 / 255, 1.0, 1.3])
    assert to_uint8(values).tolist() == [0, 0, 1, 2, 0, 255, 255]


def test_padding_is_a_reflected_square_multiple_of_32():
    image = np.random.default_rng(0).random((30, 70, 3))
    padded = pad_to_square(image, 32)
    assert padded.shape == (96, 96, 3)
    assert np.array_equal(padded, np.pad(image, ((0, 66), (0, 26), (0, 0)), "reflect"))


def test_networks_get_squares_and_other_methods_the_image_itself(pack):
    network, other = Recorder(), Recorder(multiple_px=1)
    compare_all(network, pack)
    compare_all(other, pack)
    assert network.given[0].image.shape == (1, 3, 480, 480)
    assert other.given[0].image.shape == (1, 3, 300, 451)


def test_the_observation_is_neither_clipped_nor_rounded(pack):
    recorder = Recorder(multiple_px=1)
    comparison = compare_all(recorder, pack)[0]
    noisy = recorder.given[0].image
    assert noisy.min() < 0
    assert noisy.max() > 1
    assert np.array_equal(to_uint8(noisy[0].permute(1, 2, 0).numpy()), comparison.restored)


def test_the_level_goes_only_to_methods_that_may_know_it(pack):
    blind, informed = Recorder(), Recorder(knows=("level",))
    for restorer in (blind, informed):
        compare_all(restorer, pack, "poisson30")
    assert blind.given[0].level is None
    assert informed.given[0].level == 30


def test_noise_depends_on_test_set_noise_image_and_repeat_only(pack, make_pack):
    first = compare_all(Recorder(), pack, "gauss5_50", repeats=3)
    again = compare_all(Recorder(multiple_px=1), pack, "gauss5_50", repeats=2)
    assert np.array_equal(first[1].noisy, again[1].noisy)
    assert not np.array_equal(first[0].noisy, first[1].noisy)
    clean = pack.read(0).astype(np.float32) / 255
    noise = get_noise("gauss5_50")
    assert np.array_equal(to_uint8(observe(clean, noise, "photo", "chelsea", 1)[0]), first[1].noisy)
    other, _ = observe(clean, noise, "photo", "other", 1)
    assert not np.array_equal(to_uint8(other), first[1].noisy)


def test_an_identity_scores_what_the_noise_scores(pack):
    row = compare_all(Recorder(), pack)[0].row()
    assert row["psnr_db"] == row["noisy_psnr_db"] == pytest.approx(20.3, abs=0.4)


def test_center_crop():
    image = np.arange(48).reshape(6, 8)
    assert np.array_equal(center_crop(image, 2), image[2:4, 3:5])
    assert center_crop(image, 7).shape == (6, 7)
    assert center_crop(image, None) is image


def test_a_method_that_changes_the_size_is_refused(pack):
    recorder = Recorder()
    recorder.restore = lambda observation: observation.image[..., 1:]
    with pytest.raises(UnpairedError, match="the method returned"):
        compare_all(recorder, pack)


INSTANCE = "0001_001_S6_00100_00060_3200_L"


def mosaic_pairs(make_pairs, error: float):
    clean = np.random.default_rng(0).random((16, 20, 4), np.float32) * 0.5
    raw = {"value_range": (0, 1), "color_space": "raw"}
    return make_pairs({f"{INSTANCE}/00": (clean + np.float32(error), clean)}, **raw)


def test_pairs_are_scored_as_they_are(make_pairs, photographs):
    clean = to_uint8(photographs[1][:64, :64])
    pack = make_pairs({"a": (clean ^ 1, clean)})
    (comparison,) = compare_all(Recorder(), pack, "camera")
    assert np.array_equal(comparison.clean, clean)
    assert np.array_equal(comparison.noisy, clean ^ 1)
    assert comparison.row()["psnr_db"] == pytest.approx(20 * np.log10(255))


def test_mosaics_are_scored_without_rounding(make_pairs):
    pack = mosaic_pairs(make_pairs, 1e-4)
    recorder = Recorder(multiple_px=1)
    (comparison,) = compare_all(recorder, pack, "camera")
    assert recorder.given[0].level is None
    assert comparison.restored.shape == (32, 40, 1)
    clean = pack.read(0, "clean")
    assert np.array_equal(comparison.clean[..., 0], bayer.unpack(clean, "GRBG"))
    assert comparison.row()["psnr_db"] == pytest.approx(80, abs=0.05)


def test_values_beyond_the_range_are_clipped_before_scoring(make_pairs):
    recorder = Recorder(multiple_px=1)
    recorder.restore = lambda observation: observation.image - 5
    (comparison,) = compare_all(recorder, mosaic_pairs(make_pairs, 0.1), "camera")
    assert comparison.restored.max() == 0


def test_a_mosaic_is_shown_in_color(make_pairs):
    comparisons = compare_all(Recorder(multiple_px=1), mosaic_pairs(make_pairs, 0.0), "camera")
    shown = comparisons[0].triptych()
    assert shown.shape == (16, 60, 3)
    assert shown.dtype == np.uint8
    assert np.array_equal(shown[:, :20], shown[:, 40:])
    assert shown.std() > 20


def test_single_pictures_have_no_real_noise(pack):
    with pytest.raises(UnpairedError, match="holds no pairs"):
        compare_all(Recorder(), pack, "camera")
