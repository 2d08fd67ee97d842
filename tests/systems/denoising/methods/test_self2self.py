from __future__ import annotations

from collections import Counter

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor, nn

from tests.systems.denoising.methods.pictures import photograph, with_noise
from unpaired.core import devices
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.method import Observation
from unpaired.systems.denoising.methods import self2self
from unpaired.systems.denoising.methods.self2self import draw_flip, draw_known, dropped_error

NOISE_STD = 50 / 255
TINY = {"iterations": 2, "width": 6, "passes": 2}


def restore(image: Tensor, **settings) -> Tensor:
    return create("self2self", **settings).restore(Observation(image))


def test_defaults_are_the_authors():
    config = create("self2self").config
    assert (config.iterations, config.width, config.learning_rate) == (150_000, 48, 1e-4)
    assert (config.keep_probability, config.dropout, config.passes) == (0.7, 0.3, 100)


@pytest.mark.parametrize("keep", [0.7, 0.9])
def test_each_value_of_each_channel_is_drawn_by_itself(keep):
    torch.manual_seed(0)
    known = draw_known(torch.zeros(1, 3, 256, 256), keep)
    assert set(known.unique().tolist()) == {0.0, 1.0}
    count = 256 * 256
    for channel in known[0]:
        kept = int(channel.sum())
        expected = [count * keep, count * (1 - keep)]
        assert chisquare([kept, count - kept], expected).pvalue > 1e-3
    across = torch.corrcoef(known[0].flatten(1).double())
    assert (across - torch.eye(3)).abs().max() < 0.02
    beside = torch.stack((known[..., 1:].ravel(), known[..., :-1].ravel())).double()
    assert abs(torch.corrcoef(beside)[0, 1]) < 0.02


def test_loss_is_the_mean_over_dropped_values_only():
    noisy_image = torch.rand(1, 3, 16, 16, requires_grad=True)
    output = torch.rand(1, 3, 16, 16, requires_grad=True)
    known = draw_known(noisy_image, 0.7)
    loss = dropped_error(output, noisy_image, known)
    expected = ((output - noisy_image)[known == 0] ** 2).mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    for gradient in (output.grad, noisy_image.grad):
        assert (gradient[known == 1] == 0).all()
        assert (gradient[known == 0] != 0).all()


def test_loss_without_a_dropped_value_is_zero():
    image = torch.rand(1, 1, 1, 1)
    assert dropped_error(image + 1, image, torch.ones_like(image)) == 0


def test_flips_are_the_four_equally_often():
    torch.manual_seed(0)
    counts = Counter(tuple(draw_flip()) for _ in range(800))
    assert set(counts) == {(), (-2,), (-1,), (-2, -1)}
    assert chisquare(list(counts.values())).pvalue > 1e-3


class Shown(nn.Module):
    """Stands in for the network: gives what it was shown, and keeps it."""

    def __init__(self, *_, **__):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen = []
        Shown.last = self

    def forward(self, image: Tensor, known: Tensor) -> Tensor:
        self.seen.append((image, known, torch.is_grad_enabled()))
        return image * known * self.weight


def test_result_is_the_mean_over_masks_in_the_place_of_the_image(monkeypatch):
    """The mean of an image shown in part is the image times the share that is shown."""
    monkeypatch.setattr(self2self, "PartialConvUNet", Shown)
    image = torch.rand(1, 3, 40, 24)
    passes = 400
    restored = restore(
        image, iterations=1, learning_rate=1e-12, passes=passes, keep_probability=0.7
    )
    error = (restored - 0.7 * image) / (image * (0.7 * 0.3 / passes) ** 0.5)
    assert error.std().item() == pytest.approx(1, rel=0.05)
    assert abs(error.mean().item()) < 0.1


def test_masks_and_flips_are_new_in_every_step_and_pass(monkeypatch):
    monkeypatch.setattr(self2self, "PartialConvUNet", Shown)
    image = torch.rand(1, 3, 24, 24)
    restore(image, iterations=12, passes=12)
    seen = Shown.last.seen
    assert [grad for _, _, grad in seen] == [True] * 12 + [False] * 12
    assert len({known.numpy().tobytes() for _, known, _ in seen}) == 24
    allowed = [image.flip(axes) for axes in ([], [-2], [-1], [-2, -1])]
    for part in (seen[:12], seen[12:]):
        found = {
            number
            for given, _, _ in part
            for number, flipped in enumerate(allowed)
            if torch.equal(given, flipped)
        }
        assert len(found) > 1
        assert all(any(torch.equal(given, flipped) for flipped in allowed) for given, _, _ in part)


def test_the_noisy_image_is_not_clipped(monkeypatch):
    monkeypatch.setattr(self2self, "PartialConvUNet", Shown)
    image = with_noise(photograph(0, 150, 32), NOISE_STD)
    assert image.min() < 0
    restore(image, **TINY)
    assert all(given.min() == image.min() for given, _, _ in Shown.last.seen)


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep_probability": 1.0},
        {"dropout": -0.1},
        {"dropout": 1.0},
        {"iterations": 0},
        {"passes": 0},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(UnpairedError, match=next(iter(wrong))):
        create("self2self", **wrong)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_network_computes_in_the_precision_of_the_settings(monkeypatch, precision):
    monkeypatch.setattr(devices, "has_bf16", lambda device: True)
    seen, forward = [], self2self.PartialConvUNet.forward

    def recorded(network, *given):
        seen.append(torch.is_autocast_enabled("cpu"))
        return forward(network, *given)

    monkeypatch.setattr(self2self.PartialConvUNet, "forward", recorded)
    create("self2self", **TINY, precision=precision).restore(Observation(torch.rand(1, 3, 32, 32)))
    assert set(seen) == {precision == "bf16"}
