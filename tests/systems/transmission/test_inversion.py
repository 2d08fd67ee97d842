"""Fitting a generator layer by layer: its schedule, its constraints, and what it finds."""

from __future__ import annotations

import math

import pytest
import torch

from tests.systems.transmission import tiny
from unpaired.core.errors import UnpairedError
from unpaired.systems.transmission.inversion import (
    OneRound,
    Rounds,
    Spheres,
    geodesic_cross,
    invert,
    onto_l1_ball,
    rate,
)
from unpaired.systems.transmission.methods.inverse_jscc import start


def generators(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + number) for number in range(count)]


def pictures_of(model, count: int, seed: int) -> torch.Tensor:
    latents, noises = start(model, generators(count, seed))
    with torch.no_grad():
        return model.network(model.to_w(latents), noises)


class ErrorTo:
    """The mean squared error to pictures; keeps what it was asked."""

    def __init__(self, target: torch.Tensor) -> None:
        self.target, self.asked, self.errors = target, [], []

    def __call__(self, picture):
        error = (picture - self.target).square().mean(dim=(1, 2, 3))
        self.asked.append(picture.detach().clone())
        self.errors.append(error.detach().clone())
        return error, error


def found_by(model, distance, count: int, *, seed: int = 0, rate: float = 0.1, **rounds):
    latents, noises = start(model, generators(count, seed))
    return invert(model, distance, latents, noises, Rounds(**rounds, learning_rate=rate))


def test_the_learning_rate_rises_for_a_twentieth_and_falls_for_three_quarters():
    assert [rate(one) for one in (0.0, 0.025, 0.05, 0.15, 0.25)] == pytest.approx([0, 0.5, 1, 1, 1])
    # A half of a cosine from 0.25 to 1.
    assert rate(0.625) == pytest.approx(0.5)
    assert rate(0.5) == pytest.approx(0.5 - 0.5 * math.cos(math.pi * 2 / 3))
    assert rate(0.999) == pytest.approx(0, abs=1e-4)


def test_the_cross_term_is_the_squared_angle_between_rows():
    row = torch.randn(1, 8)
    same = torch.stack([row[0], row[0]])[None]
    assert geodesic_cross(same).item() == pytest.approx(0, abs=1e-4)
    # Half of the pairs are a row with itself.
    opposite = torch.stack([row[0], -row[0]])[None]
    assert geodesic_cross(opposite).item() == pytest.approx(math.pi**2 / 2, rel=1e-3)
    square = torch.eye(2, 16)[None]
    assert geodesic_cross(square).item() == pytest.approx((math.pi / 2) ** 2 / 2 * 2, rel=1e-3)
    both = geodesic_cross(torch.cat([square, 3 * square]))
    assert both[0].item() == pytest.approx(both[1].item(), rel=1e-3)


def test_the_l1_ball_gives_its_nearest_point():
    given = torch.tensor([[3.0, -1.0], [2.0, 1.5], [0.2, -0.3]])
    expected = torch.tensor([[2.0, 0.0], [1.25, 0.75], [0.2, -0.3]])
    torch.testing.assert_close(onto_l1_ball(given, 2.0), expected)
    drawn = torch.Generator().manual_seed(0)
    offset = torch.randn(3, 2, 4, generator=drawn)
    found = onto_l1_ball(offset, 1.5)
    torch.testing.assert_close(found.abs().sum(dim=(1, 2)), torch.full((3,), 1.5))
    # No other point of the ball is nearer: of a thousand, of which most are near to it.
    others = found + 0.05 * torch.randn(1000, 3, 2, 4, generator=drawn)
    others = others * (1.5 / others.abs().sum(dim=(2, 3), keepdim=True)).clamp(max=1)
    apart = (others - offset).square().sum(dim=(2, 3))
    assert (apart >= (found - offset).square().sum(dim=(1, 2)) - 1e-5).all()
    assert not onto_l1_ball(offset, 0.0).any()


def test_spheres_keep_every_row_of_latents_and_every_map_of_noise_as_long_as_it_was():
    latents, noise = torch.randn(2, 3, 4), torch.randn(2, 1, 5, 5)
    lengths = latents.norm(dim=2), noise.norm(dim=(2, 3))
    spheres = Spheres([latents, noise])
    latents.mul_(torch.rand(2, 3, 4))
    noise.add_(2)
    spheres.project()
    torch.testing.assert_close(latents.norm(dim=2), lengths[0])
    torch.testing.assert_close(noise.norm(dim=(2, 3)), lengths[1])


@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_round_moves_what_its_block_and_those_behind_it_take(block):
    model = tiny.generator(side_px=32)
    latents, noises = start(model, generators(2))
    begun = latents.clone(), [one.clone() for one in noises]
    inside = None
    if block:
        with torch.no_grad():
            inside = model.network.run(model.to_w(latents), noises, last=block - 1)
            features = inside.features.clone()
    target = pictures_of(model, 2, seed=9)
    rounds = Rounds([8], 0.1, 0.0)
    OneRound(model, ErrorTo(target), latents, noises, block, inside, rounds).run(8)
    moved = (latents != begun[0]).any(dim=2).any(dim=0).tolist()
    first = max(0, 2 * block - 1)
    assert moved == [number >= first for number in range(model.network.latents)]
    changed = [not torch.equal(one, before) for one, before in zip(noises, begun[1], strict=True)]
    # So many noises are free in a round; those of earlier blocks have no part in the picture.
    own = range(2 * block - 1 if block else 0, 5 + 2 * block)
    assert changed == [number in own for number in range(len(noises))]
    if block:
        assert not torch.equal(inside.features, features)
    assert not any(one.requires_grad for one in (latents, *noises))


def test_rounds_have_their_steps_and_each_begins_where_the_last_one_ended():
    model = tiny.generator()
    distance = ErrorTo(pictures_of(model, 1, seed=9))
    found_by(model, distance, 1, steps=[3, 0, 2], cross_weight=0.0)
    assert len(distance.asked) == 5
    # The first step of a round has a rate of 0, so its second picture is its first.
    torch.testing.assert_close(distance.asked[0], distance.asked[1])
    torch.testing.assert_close(distance.asked[3], distance.asked[4])
    # A round alone from a rate of 0 leaves the picture alone: nothing jumps between rounds.
    still = ErrorTo(distance.target)
    found_by(model, still, 1, steps=[1, 1, 1], cross_weight=0.0)
    for later in still.asked[1:]:
        torch.testing.assert_close(later, still.asked[0])


def test_a_picture_of_the_generator_is_found_and_better_with_every_round():
    model = tiny.generator()
    distance = ErrorTo(pictures_of(model, 2, seed=9))
    found = found_by(model, distance, 2, steps=[60, 40, 40], cross_weight=0.0)
    errors = torch.stack(distance.errors).mean(dim=1)
    rounds = [errors[:60].min(), errors[60:100].min(), errors[100:].min()]
    assert rounds[0] < 0.5 * errors[0]
    assert rounds[1] < 0.8 * rounds[0]
    assert rounds[2] < rounds[1]
    # Each picture is the best one of its last round.
    least = torch.stack(distance.errors)[100:].min(dim=0).values
    torch.testing.assert_close((found - distance.target).square().mean(dim=(1, 2, 3)), least)


def test_it_is_the_same_every_time_and_alone_or_in_a_batch():
    model = tiny.generator()
    target = pictures_of(model, 2, seed=9)
    about = {"steps": [6, 4], "cross_weight": 0.01}
    both = found_by(model, ErrorTo(target), 2, **about)
    assert torch.equal(both, found_by(model, ErrorTo(target), 2, **about))
    alone = found_by(model, ErrorTo(target[1:]), 1, seed=1, **about)
    torch.testing.assert_close(alone, both[1:], atol=1e-3, rtol=1e-3)


def test_a_ball_holds_features_near_to_where_their_round_began():
    model = tiny.generator()
    latents, noises = start(model, generators(2))
    with torch.no_grad():
        inside = model.network.run(model.to_w(latents), noises, last=0)
    begun, target = inside.features.clone(), pictures_of(model, 2, seed=9)
    fit = OneRound(
        model, ErrorTo(target), latents, noises, 1, inside, Rounds([0, 9], 0.1, 0.0, [2.0])
    )
    fit.run(9)
    went = (inside.features - begun).abs().sum(dim=(1, 2, 3))
    assert (went <= 2.0 + 1e-4).all()
    assert (went > 1.0).all()


def test_what_cannot_be_fitted_is_one_line():
    model = tiny.generator()
    target = pictures_of(model, 2, seed=9)
    with pytest.raises(UnpairedError, match="4 rounds of 4 steps: this generator has 3 blocks"):
        found_by(model, ErrorTo(target), 2, steps=[1, 1, 1, 1], cross_weight=0.0)
    target[1, 0, 0, 0] = torch.nan
    told = r"round 1, step 1 of 2: the distance of pictures 1 of this batch is not finite"
    with pytest.raises(UnpairedError, match=told):
        found_by(model, ErrorTo(target), 2, steps=[2], cross_weight=0.0)
