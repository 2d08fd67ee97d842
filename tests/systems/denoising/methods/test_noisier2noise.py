from __future__ import annotations

import pytest
import torch
from torch import nn

from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.method import Observation, TrainingState

STATE = TrainingState(seed=1, step=0, images_seen=0, fraction=0.0)
STD = 0.1


class Shrink(nn.Module):
    """The linear map z -> mean + gain (z - mean)."""

    def __init__(self, mean: float, gain: float) -> None:
        super().__init__()
        self.mean, self.gain = mean, gain

    def forward(self, image):
        return self.mean + self.gain * (image - self.mean)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_correction_of_the_exact_linear_estimator_gives_the_posterior_mean(alpha):
    """For x ~ N(m, s^2): E[y|z] and E[x|z] are known, and the correction maps one to the other."""
    mean, clean_std = 0.4, 0.2
    method = create("noisier2noise", alpha=alpha, width=4)
    noisier_variance = clean_std**2 + STD**2 * (1 + alpha**2)
    gain_of_y = (clean_std**2 + STD**2) / noisier_variance
    gain_of_x = clean_std**2 / noisier_variance
    method.network = Shrink(mean, gain_of_y)
    noisy = torch.rand(1, 3, 32, 32)
    seen = []
    method.network.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    restored = method.restore(Observation(noisy, STD))
    expected = mean + gain_of_x * (seen[0] - mean)
    assert torch.allclose(restored, expected, atol=1e-6)


def test_added_noise_has_alpha_times_the_level_and_the_target_is_the_noisy_image():
    method = create("noisier2noise", alpha=2.0, width=4)
    method.network = nn.Identity()
    batch = {
        "noisy": torch.rand(2, 3, 128, 128),
        "level": torch.tensor([0.05, 0.2]),
        "sample": torch.tensor([3, 4]),
    }
    loss = method.losses(batch, STATE)["loss"].item()
    assert loss == pytest.approx(4 * (0.05**2 + 0.2**2) / 2, rel=0.03)


def test_averaging_draws_reduces_what_the_added_noise_leaves():
    noisy = torch.rand(1, 1, 64, 64)
    spread = {}
    for draws in (1, 16):
        method = create("noisier2noise", channels=1, draws=draws, width=4)
        method.network = Shrink(0.5, 0.0)
        spread[draws] = (method.restore(Observation(noisy, STD)) + noisy - 1).std().item()
    assert spread[1] == pytest.approx(STD, rel=0.05)
    assert spread[16] == pytest.approx(STD / 4, rel=0.1)


def test_the_level_must_be_known():
    method = create("noisier2noise", width=4)
    for level in (None, 0.0):
        with pytest.raises(UnpairedError, match="needs a positive level"):
            method.restore(Observation(torch.rand(1, 3, 32, 32), level))
    with pytest.raises(UnpairedError, match=r"alpha .*must be greater than 0"):
        create("noisier2noise", alpha=0.0)
