from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.systems.denoising.methods.pictures import photograph, psnr_db, with_noise
from unpaired.core import devices
from unpaired.core.errors import UnpairedError
from unpaired.learning import fitting
from unpaired.learning.create import create
from unpaired.learning.method import Observation
from unpaired.systems.denoising.methods import dip
from unpaired.systems.denoising.methods.dip import RollBack, extend

NOISE_STD = 50 / 255
CPU = torch.device("cpu")
TINY = {"iterations": 3, "width": 4, "skip_width": 4, "input_channels": 4}


def restore(image: Tensor, **settings) -> Tensor:
    return create("dip", **settings).restore(Observation(image))


def test_defaults_are_the_authors_example():
    config = create("dip").config
    assert (config.iterations, config.width, config.skip_width) == (3000, 128, 4)
    assert (config.input_channels, config.learning_rate) == (32, 0.01)
    assert (config.perturbation_std, config.averaging) == (pytest.approx(1 / 30), 0.99)


def test_learns_the_clipped_image():
    image = with_noise(photograph(0, 150, 64), NOISE_STD)
    assert image.min() < 0
    assert torch.equal(restore(image, **TINY), restore(image.clamp(0, 1), **TINY))


class Recording(nn.Module):
    """Stands in for the network: keeps what it is given, and gives 0.1, 0.2, 0.3 in turn."""

    multiple_px, smallest_px = 32, 64

    def __init__(self, *_, **__):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.inputs = []
        Recording.last = self

    def forward(self, features: Tensor) -> Tensor:
        self.inputs.append(features)
        shape = features[:, :1].shape
        return torch.full(shape, len(self.inputs) / 10) + 0 * self.weight


@pytest.mark.parametrize(
    ("averaging", "expected"), [(0.0, 0.3), (0.9, 0.9 * (0.9 * 0.1 + 0.1 * 0.2) + 0.1 * 0.3)]
)
def test_returns_the_running_average_that_starts_at_the_first_output(
    monkeypatch, averaging, expected
):
    monkeypatch.setattr(dip, "SkipNet", Recording)
    restored = restore(torch.rand(1, 1, 64, 64), iterations=3, averaging=averaging)
    torch.testing.assert_close(restored, torch.full((1, 1, 64, 64), expected))


def test_the_input_is_uniform_noise_perturbed_anew_around_one_draw(monkeypatch):
    monkeypatch.setattr(dip, "SkipNet", Recording)
    image = torch.rand(1, 1, 64, 96)
    restore(image, iterations=2, perturbation_std=0)
    fixed, same = Recording.last.inputs
    assert fixed.shape == (1, 32, 64, 96)
    assert torch.equal(fixed, same)
    assert fixed.min() >= 0
    assert fixed.max() < 0.1
    assert fixed.mean().item() == pytest.approx(0.05, rel=0.01)
    assert fixed.std().item() == pytest.approx(0.1 / 12**0.5, rel=0.01)
    restore(image, iterations=2)
    perturbations = [given - fixed for given in Recording.last.inputs]
    for perturbation in perturbations:
        assert perturbation.std().item() == pytest.approx(1 / 30, rel=0.01)
        assert abs(perturbation.mean().item()) < 5e-4
    together = torch.stack([perturbation.ravel() for perturbation in perturbations])
    assert abs(torch.corrcoef(together)[0, 1]) < 0.01


def test_extends_by_reflection_also_beyond_the_image():
    image = torch.rand(1, 2, 3, 40)
    extended = extend(image, 32, 64)
    assert extended.shape == (1, 2, 64, 64)
    assert torch.equal(extended[..., :3, :40], image)
    assert torch.equal(extended[..., 40:], extended[..., 15:39].flip(-1))
    rows = np.pad(np.arange(3), (0, 61), mode="reflect")
    assert torch.equal(extended[..., :40], image[..., rows, :])
    assert extend(torch.rand(1, 1, 64, 65), 32, 64).shape == (1, 1, 64, 96)


def test_rolls_back_only_after_a_fall_of_more_than_5_db():
    network = nn.Linear(2, 2)
    start = [parameter.clone() for parameter in network.parameters()]
    guard = RollBack(network)
    assert not guard.check(torch.tensor(1e-3))  # 30 dB
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1
    assert not guard.check(torch.tensor(3e-3))  # 25.2 dB: these weights are kept instead
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1
    assert guard.check(torch.tensor(1e-2))  # 20 dB: 5.2 dB below the kept ones
    for parameter, before in zip(network.parameters(), start, strict=True):
        torch.testing.assert_close(parameter.detach(), before + 1)
    # The kept weights' 25.2 dB remain what the next output is compared with.
    assert guard.check(torch.tensor(1e-2))
    assert not guard.check(torch.tensor(9e-3))


def test_a_run_recovers_from_a_forced_fall(monkeypatch):
    """One wrecked step: without the way back the network has lost the image."""
    image = with_noise(photograph(0, 150, 64), NOISE_STD)
    settings = TINY | {"iterations": 40, "averaging": 0.0, "perturbation_std": 0, "width": 8}
    calm = restore(image, **settings)
    falls = []
    check = RollBack.check

    def wrecking(self: RollBack, squared_error: Tensor) -> bool:
        fell = check(self, squared_error)
        falls.append(fell)
        return fell

    take_step = fitting.take_step
    count = 0

    def wreck_once(losses, optimizer, **options):
        nonlocal count
        count += 1
        computed = take_step(losses, optimizer, **options)
        if count == 30:
            with torch.no_grad():
                last_bias = optimizer.param_groups[0]["params"][-1]
                last_bias += 20
        return computed

    monkeypatch.setattr(RollBack, "check", wrecking)
    monkeypatch.setattr(fitting, "take_step", wreck_once)
    recovered = restore(image, **settings)
    assert [number for number, fell in enumerate(falls, 1) if fell] == [31]
    assert psnr_db(recovered, image.clamp(0, 1)) > psnr_db(calm, image.clamp(0, 1)) - 2


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"averaging": 1.0}, {"averaging": -0.1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(UnpairedError, match=next(iter(wrong))):
        create("dip", **wrong)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_network_computes_in_the_precision_of_the_settings(monkeypatch, precision):
    monkeypatch.setattr(devices, "has_bf16", lambda device: True)
    seen, forward = [], dip.SkipNet.forward

    def recorded(network, *given):
        seen.append(torch.is_autocast_enabled("cpu"))
        return forward(network, *given)

    monkeypatch.setattr(dip.SkipNet, "forward", recorded)
    create("dip", **TINY, precision=precision).restore(Observation(torch.rand(1, 3, 32, 32)))
    assert set(seen) == {precision == "bf16"}
