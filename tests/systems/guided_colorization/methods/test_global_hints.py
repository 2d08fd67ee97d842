"""The Global Hints Network: indicators, what is given in training, and a training that uses it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.ab_bins import BINS
from unpaired.imaging.color.hints import color_histogram, mean_saturation
from unpaired.imaging.color.lab import lab_to_rgb, rgb_to_lab
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.systems.guided_colorization.methods.global_hints import with_indicator
from unpaired.systems.guided_colorization.methods.guided import huber

STATE = TrainingState(seed=1, step=0, images_seen=0, fraction=0.0)
GRAY = 100 * torch.rand(2, 1, 18, 25, generator=torch.Generator().manual_seed(0))


def made(**config):
    torch.manual_seed(0)
    method = create("global_hints", **({"width": 4} | config))
    torch.nn.init.normal_(method.network.out.weight, std=0.3)
    return method.eval()


def test_missing_statistics_are_zeros_with_an_indicator_of_zero():
    given = with_indicator(torch.tensor([[0.2, 0.8], [0.5, 0.5]]), torch.tensor([True, False]))
    assert torch.equal(given, torch.tensor([[0.2, 0.8, 1.0], [0.0, 0.0, 0.0]]))


def test_both_statistics_change_the_colors_and_one_of_each_picture_is_its_own():
    method = made()
    histogram = torch.eye(BINS)[[120, 250]]
    plain = method.colorize(GRAY)
    assert plain.shape == (2, 2, 18, 25)
    of_one = method.colorize(GRAY, histogram=histogram)
    assert not torch.allclose(of_one, plain, atol=1e-3)
    alone = method.colorize(GRAY[1:], histogram=histogram[1])
    assert torch.allclose(of_one[1:], alone, atol=1e-4)
    # A saturation of 0 is not the same as none.
    assert not torch.allclose(method.colorize(GRAY, saturation=0.0), plain, atol=1e-4)
    each = method.colorize(GRAY, saturation=torch.tensor([0.1, 0.9]))
    assert torch.allclose(each[:1], method.colorize(GRAY[:1], saturation=0.1), atol=1e-4)


def test_statistics_that_are_none_are_refused():
    method = made()
    for wrong in ({"histogram": torch.ones(BINS)}, {"histogram": -torch.eye(BINS)[0]}):
        with pytest.raises(UnpairedError, match="shares that sum to 1"):
            method.colorize(GRAY, **wrong)
    for saturation in (-0.1, 1.1, float("nan")):
        with pytest.raises(UnpairedError, match="between 0"):
            method.colorize(GRAY, saturation=saturation)
    with pytest.raises(UnpairedError, match="no distribution"):
        method.colorize(GRAY, temperature=0.5)


def test_each_statistic_is_given_half_the_time_apart_from_the_other():
    shown = made().shown(torch.arange(2000), seed=1).numpy().astype(int)
    cells = np.bincount(2 * shown[:, 0] + shown[:, 1], minlength=4)
    assert stats.chisquare(cells).pvalue > 1e-3
    assert np.array_equal(shown[7], made().shown(torch.tensor([7]), seed=1)[0].numpy())


def test_loss_is_hubers_with_the_statistics_of_the_very_patch():
    method = made()
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = torch.cat([images, images.flip(-1)], dim=-1)  # A mirror image of itself.
    batch = {"image": images, "sample": torch.arange(6)}
    lab = rgb_to_lab(images)
    shown = method.shown(batch["sample"], 1)
    histogram = color_histogram(lab[:, 1:]) * shown[:, :1]
    saturation = mean_saturation(images)[:, None] * shown[:, 1:]
    found = method.network(
        lab[:, :1],
        torch.cat([histogram, shown[:, :1]], 1),
        torch.cat([saturation, shown[:, 1:]], 1),
    )
    assert 0 < shown.sum() < 12
    assert torch.allclose(
        method.losses(batch, STATE)["loss"], huber(found.ab, lab[:, 1:]), rtol=1e-4
    )


def test_a_timing_batch_can_be_trained_on():
    method = made(patch_px=16).train()
    batch = method.timing_batch(torch.device("cpu"))
    assert method.losses(batch, STATE)["loss"].isfinite()


class Tints:
    """Flat pictures of one of two colors, which lightness does not tell."""

    def __getitem__(self, sample: int) -> dict:
        lab = torch.tensor([60.0, 40.0 if sample % 2 else -40.0, 10.0]).view(1, 3, 1, 1)
        image = lab_to_rgb(lab.expand(-1, -1, 16, 16))[0]
        return {"image": image, "sample": sample}


@pytest.mark.long
def test_a_short_training_takes_the_color_from_the_histogram():
    torch.manual_seed(0)
    method = create(
        "global_hints",
        width=4,
        patch_px=16,
        batch_size=8,
        images_seen=8 * 300,
        learning_rate=5e-3,
        beta2=0.99,
        schedule="warmup_cosine",
    )
    train(method, Tints(), seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    method.eval()
    plain, told = 0.0, 0.0
    for sample in (0, 1):
        lab = rgb_to_lab(Tints()[sample]["image"][None])
        light, ab = lab[:, :1], lab[:, 1:]
        plain += float((method.colorize(light) - ab).norm(dim=1).mean())
        given = method.colorize(light, histogram=color_histogram(ab))
        told += float((given - ab).norm(dim=1).mean())
    # Told nothing, it gives one answer for two tints, 80 apart; the loss does not mind which.
    assert plain > 79
    assert told < 0.2 * plain
