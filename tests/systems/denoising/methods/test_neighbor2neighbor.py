from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from tests.systems.denoising.methods.pictures import photograph, psnr_db, with_noise
from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import generators_for
from unpaired.learning.create import create
from unpaired.learning.method import Observation, TrainingState
from unpaired.learning.steps import take_step
from unpaired.systems.denoising.methods.neighbor2neighbor import (
    NEIGHBOR_PAIRS,
    draw_fixed_places,
    draw_neighbor_pairs,
    subsample,
)


def state(fraction: float = 0.0) -> TrainingState:
    return TrainingState(seed=1, step=0, images_seen=0, fraction=fraction)


def generators(count: int, seed: int = 0) -> list[torch.Generator]:
    return generators_for(seed, range(count), "test", "cpu")


def test_parameters():
    for channels, count in ((3, 1_259_475), (4, 1_260_868)):
        method = create("neighbor2neighbor", channels=channels)
        assert sum(parameter.numel() for parameter in method.parameters()) == count


def test_the_network_of_residual_groups():
    method = create("neighbor2neighbor_rrg", channels=4)
    assert sum(parameter.numel() for parameter in method.parameters()) == 2_836_100
    assert (method.multiple_px, method.margin_px) == (1, None)


@pytest.mark.long
def test_residual_groups_learn_from_noisy_images_alone():
    torch.manual_seed(0)
    method = create("neighbor2neighbor_rrg", width=8, global_residual=True, learning_rate=3e-3)
    clean = photograph(40, 100, 64)
    noisy = with_noise(clean, 0.1)
    (phase,) = method.phases()
    for sample in range(80):
        batch = {"noisy": noisy, "sample": torch.tensor([sample])}
        take_step(
            lambda batch=batch: method.losses(batch, state(0.5)),
            phase.optimizer,
            factor=1.0,
            device=torch.device("cpu"),
            precision="fp32",
        )
    restored = method.restore(Observation(noisy))
    assert psnr_db(restored, clean) > psnr_db(noisy, clean) + 2


def test_pairs_are_the_eight_adjacent_ones():
    assert len(set(NEIGHBOR_PAIRS)) == 8
    for first, second in NEIGHBOR_PAIRS:
        rows, columns = abs(first // 2 - second // 2), abs(first % 2 - second % 2)
        assert rows + columns == 1


def test_every_cell_gives_two_of_its_own_pixels_equally_often():
    image = torch.zeros(4, 3, 128, 96)
    first, second = draw_neighbor_pairs(image, generators(4))
    width = 96
    cells = torch.arange(64)[:, None] * 48 + torch.arange(48)
    counts = Counter()
    for one, two in zip(first, second, strict=True):
        corners = [
            (
                (index // width) // 2 * 48 + (index % width) // 2,
                (index // width) % 2 * 2 + index % 2,
            )
            for index in (one, two)
        ]
        assert torch.equal(corners[0][0], cells.ravel())
        assert torch.equal(corners[1][0], cells.ravel())
        counts.update(zip(corners[0][1].tolist(), corners[1][1].tolist(), strict=True))
    assert set(counts) == set(NEIGHBOR_PAIRS)
    assert chisquare([counts[pair] for pair in NEIGHBOR_PAIRS]).pvalue > 1e-3


def test_draws_of_neighboring_cells_and_images_are_independent():
    first, _ = draw_neighbor_pairs(torch.zeros(2, 1, 256, 256), generators(2))
    corner = ((first // 256) % 2 * 2 + first % 2).view(2, 128, 128).double()
    for a, b in ((corner[0], corner[1]), (corner[:, :, 1:], corner[:, :, :-1])):
        correlation = torch.corrcoef(torch.stack((a.ravel(), b.ravel())))[0, 1]
        assert abs(correlation) < 0.03


def test_fixed_places_are_two_of_four_the_same_in_every_cell():
    first, second = draw_fixed_places(torch.zeros(600, 1, 8, 8), generators(600))
    places = [(index // 8) % 2 * 2 + index % 2 for index in (first, second)]
    for place in places:
        assert torch.equal(place, place[:, :1].expand_as(place))
    counts = Counter(zip(places[0][:, 0].tolist(), places[1][:, 0].tolist(), strict=True))
    assert set(counts) == set(permutations(range(4), 2))
    assert chisquare(list(counts.values())).pvalue > 1e-3
    cells = (first // 8) // 2 * 4 + (first % 8) // 2
    assert torch.equal(cells, torch.arange(16).expand_as(cells))


def test_the_subsampler_of_the_settings_is_used():
    method = create("neighbor2neighbor", width=8, subsampler="fix_location", gamma=0.0)
    noisy, sample = torch.rand(1, 3, 64, 64), torch.tensor([5])
    loss = method.losses({"noisy": noisy, "sample": sample}, state())["loss"]
    first, second = draw_fixed_places(noisy, state().generators(sample, "neighbor_pairs"))
    f = method.network
    expected = (f(subsample(noisy, first)) - subsample(noisy, second)).square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(UnpairedError, match="did you mean 'random'"):
        create("neighbor2neighbor", subsampler="randon")


def test_subsample_takes_the_same_pixel_of_every_channel():
    base = torch.arange(64.0).view(1, 1, 8, 8)
    image = torch.cat((base, base + 100, base + 200), 1)
    index, _ = draw_neighbor_pairs(image, generators(1))
    picked = subsample(image, index)
    assert picked.shape == (1, 3, 4, 4)
    assert torch.equal(picked[:, 1], picked[:, 0] + 100)
    assert torch.equal(picked[:, 2], picked[:, 0] + 200)
    assert torch.equal(picked[0, 0].ravel().long(), index[0])


@pytest.mark.parametrize(
    ("fraction", "gamma"), [(0.0, 0.02), (0.0099, 0.02), (0.01, 0.04), (0.5, 1.02), (0.9999, 2.0)]
)
def test_gamma_grows_by_epoch_to_its_final_value(fraction, gamma):
    assert create("neighbor2neighbor").gamma_at(fraction) == pytest.approx(gamma)


@pytest.mark.parametrize("images_seen", [100 * 44_328, 2800])
def test_gamma_grows_with_the_first_image_of_every_epoch(images_seen):
    """Also where the binary fraction falls short: 100 times 0.29 is below 29."""
    method = create("neighbor2neighbor", width=4, images_seen=images_seen)
    per_epoch = images_seen // 100
    for epoch in range(100):
        first = epoch * per_epoch
        assert method.gamma_at(first / images_seen) == 2.0 * (epoch + 1) / 100
        assert method.gamma_at((first + per_epoch - 1) / images_seen) == 2.0 * (epoch + 1) / 100


def test_regularizer_vanishes_for_the_ideal_denoiser():
    """Equation 4: for a clean ramp the ideal denoiser is the identity, on every sub-image too."""
    method = create("neighbor2neighbor", width=8)
    method.network = nn.Identity()
    ramp = torch.arange(64.0)[None, None, None].expand(2, 3, 64, 64) / 64
    losses = method.losses({"noisy": ramp, "sample": torch.arange(2)}, state(0.99))
    assert losses["regularizer"] == 0
    assert losses["reconstruction"] > 0


def test_loss_equals_the_papers_formula_written_out():
    method = create("neighbor2neighbor", width=8, gamma=3.0)
    torch.manual_seed(0)
    for parameter in method.parameters():
        nn.init.normal_(parameter, std=0.1)
    noisy = torch.rand(2, 3, 64, 64)
    sample = torch.tensor([5, 9])
    losses = method.losses({"noisy": noisy, "sample": sample}, state(0.5))
    pairs = draw_neighbor_pairs(noisy, state().generators(sample, "neighbor_pairs"))
    g1, g2 = (lambda image, side=side: subsample(image, side) for side in pairs)
    f = method.network
    gamma = 3.0 * 0.51
    rec = ((f(g1(noisy)) - g2(noisy)) ** 2).mean()
    reg = ((f(g1(noisy)) - g2(noisy) - (g1(f(noisy)) - g2(f(noisy)))) ** 2).mean()
    assert losses["loss"].item() == pytest.approx((rec + gamma * reg).item(), rel=1e-5)


def test_no_gradient_through_the_full_image():
    method = create("neighbor2neighbor", width=8)
    calls = []
    forward = method.network.forward

    def recording(image):
        calls.append((image.shape[-1], torch.is_grad_enabled()))
        return forward(image)

    method.network.forward = recording
    batch = {"noisy": torch.rand(1, 3, 64, 64), "sample": torch.tensor([0])}
    method.losses(batch, state())["loss"].backward()
    assert calls == [(64, False), (32, True)]


def test_masks_belong_to_the_sample_not_to_the_batch():
    method = create("neighbor2neighbor", width=8)
    noisy = torch.rand(2, 3, 64, 64)
    together = method.losses({"noisy": noisy, "sample": torch.tensor([3, 4])}, state())
    alone = [
        method.losses({"noisy": noisy[n : n + 1], "sample": torch.tensor([3 + n])}, state())
        for n in (0, 1)
    ]
    mean = sum(losses["loss"] for losses in alone) / 2
    assert together["loss"].item() == pytest.approx(mean.item(), rel=1e-5)
