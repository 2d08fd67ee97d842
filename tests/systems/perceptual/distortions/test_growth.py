from __future__ import annotations

import pytest
import torch

from unpaired.metrics.lab_ssim import lab_ssim
from unpaired.systems.perceptual.distortions import growth as distortion_growth
from unpaired.systems.perceptual.distortions.formulas import DISTORTIONS
from unpaired.systems.perceptual.distortions.growth import SEVERITIES, growth


@pytest.fixture(scope="module")
def rows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distortion_growth, "PATCHES", 2)
        return growth()


def test_every_distance_of_every_distortion_is_told(rows):
    distances = ("l2", "ssim", "simulated_observer", "lpips_random")
    assert [(row["distortion"], row["distance"]) for row in rows] == [
        (name, distance) for name in DISTORTIONS for distance in distances
    ]
    for row in rows:
        means = [row[f"at_{severity:g}"] for severity in SEVERITIES]
        assert min(means) > 0
        assert row["grows"] == (means == sorted(set(means)))


def test_noise_and_blur_grow_by_every_distance(rows):
    growing = {(row["distortion"], row["distance"]) for row in rows if row["grows"]}
    for name in ("gaussian_white_noise", "gaussian_blur", "saturation"):
        assert (name, "l2") in growing
        assert (name, "simulated_observer") in growing


def test_a_mean_is_that_of_the_formula(rows):
    patches = distortion_growth._patches()[:2]
    distorted = distortion_growth._distorted(DISTORTIONS["gaussian_blur"], patches)[1]
    pair = [torch.from_numpy(array).movedim(-1, 1) for array in (patches, distorted)]
    expected = ((1 - lab_ssim(*pair)) / 2).mean().item()
    (row,) = (r for r in rows if r["distortion"] == "gaussian_blur" and r["distance"] == "ssim")
    assert row["at_0.4"] == pytest.approx(expected, rel=1e-6)
