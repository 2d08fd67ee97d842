"""Algorithm 1: its steps, its gradients, its step sizes."""

from __future__ import annotations

import itertools

import pytest
import torch
from diffusers import DDPMScheduler

from tests.systems.transmission import tiny
from unpaired.core.errors import UnpairedError
from unpaired.learning.diffusion import Schedule, draw, spaced, to_signed
from unpaired.systems.transmission.guidance import (
    distance,
    guided_chain,
    papers_zeta,
    scaled_zeta,
)

SCHEDULE = Schedule()


class Known:
    """A diffusion model of pictures that are all one picture: what it predicts is that."""

    noise_schedule = SCHEDULE

    def __init__(self, picture: torch.Tensor) -> None:
        self.picture = picture

    def predict(self, noisy, times):
        return self.picture + 0 * noisy


def generators(count: int = 2) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(k) for k in range(count)]


def chain(prior, take_back, received, *, zeta=1.0, steps=8, start=500, eta=1.0, norm="l2"):
    noisy = draw(generators(len(received)), tuple(received.shape[1:]))
    times = spaced(torch.full((len(received),), start), steps)
    about = {"zeta": zeta, "norm": norm, "eta": eta, "generators": generators(len(received))}
    return guided_chain(prior, take_back, received, noisy, times, **about)


def test_without_guidance_every_step_is_that_of_ddpm_as_diffusers_has_it():
    """All times one after another, by the posterior, and not by what Equation 11 prints."""
    torch.manual_seed(0)
    prior, seen = tiny.prior(timesteps=20), []
    given = prior.predict

    def spy(noisy, times):
        picture = given(noisy, times)
        seen.append((int(times[0]), noisy.detach().clone(), picture.detach()))
        return picture

    prior.predict = spy
    start = torch.randn(1, 3, 16, 16)
    about = {"zeta": 0.0, "norm": "l2", "eta": 1.0, "generators": generators(1)}
    guided_chain(prior, lambda x, y: y, start, start, spaced(torch.tensor([19]), 20), **about)
    assert [time for time, *_ in seen] == list(range(19, -1, -1))
    scheduler = DDPMScheduler(20, beta_start=1e-4, beta_end=0.02, clip_sample=True)
    own = generators(1)
    for (time, noisy, _), (_, after, _) in itertools.pairwise(seen):
        # What diffusers is given is the noise; it clips x_0 as the chain does.
        told = prior.network(noisy, torch.tensor([time])).detach()
        step = scheduler.step(told, time, noisy, generator=torch.Generator().manual_seed(0))
        mean = step.prev_sample - _noise_of_diffusers(scheduler, time, noisy)
        variance = scheduler._get_variance(time)
        expected = mean + variance**0.5 * draw(own, tuple(noisy.shape[1:]))
        torch.testing.assert_close(after, expected, atol=2e-5, rtol=1e-4)


def _noise_of_diffusers(scheduler, time, noisy):
    drawn = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(0))
    return scheduler._get_variance(time) ** 0.5 * drawn


def test_an_identity_that_received_its_own_picture_is_not_moved():
    """With INN = identity, x_0' = y; where y is x_0, the gradient is zero, at the root too."""
    picture = 0.5 * torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    found = chain(Known(picture), lambda own, received: received, picture, zeta=50.0)
    torch.testing.assert_close(found, picture)


@pytest.mark.parametrize("norm", ["l2", "squared"])
def test_the_last_step_moves_against_the_gradient_through_model_and_both_directions(norm):
    """One step to the end, x = x_0 - zeta grad, against differences of the distance itself."""
    torch.manual_seed(0)
    prior, inn = tiny.prior(), tiny.invertible(std=0.06)
    received = 2 * torch.rand(1, 3, 16, 16) - 1
    noisy, times = 0.1 * torch.randn(1, 3, 16, 16), torch.tensor([[100]])

    def of(given):
        picture = prior.predict(given, times[:, 0])
        # The clip passes gradients, so the difference is taken of what is not clipped.
        raw = prior.noise_schedule.clean(given, prior.network(given, times[:, 0]), times[:, 0])
        assert raw.abs().max() < 1
        return picture, distance(inn.take_back(picture, received), picture, norm).sum()

    with torch.no_grad():
        picture, _ = of(noisy)
        way = torch.randn_like(noisy)
        slope = (of(noisy + 1e-3 * way)[1] - of(noisy - 1e-3 * way)[1]) / 2e-3
    about = {"zeta": 1e-2, "norm": norm, "eta": 1.0, "generators": generators(1)}
    found = guided_chain(prior, inn.take_back, received, noisy, times, **about)
    moved = (picture - found) / 1e-2
    assert float((moved * way).sum()) == pytest.approx(float(slope), rel=1e-2)
    # Without the way through the inverse it would be another gradient.
    frozen = inn.take_back(picture, received).detach()
    given = noisy.clone().requires_grad_()
    cut = distance(frozen, prior.predict(given, times[:, 0]), norm).sum()
    (other,) = torch.autograd.grad(cut, given)
    assert (other - moved).norm() > 0.05 * moved.norm()


def test_guidance_brings_the_coarse_part_nearer_to_what_was_received():
    prior, inn = tiny.prior(), tiny.invertible()
    received = to_signed(tiny.pictures(4))
    unguided, guided = (
        chain(prior, inn.take_back, received, zeta=zeta, steps=12) for zeta in (0.0, 0.5)
    )
    with torch.no_grad():
        before, after = (inn.coarse_error(one, received) for one in (unguided, guided))
    assert (after < before).all()


def test_pictures_of_a_batch_do_not_touch_each_other():
    prior, inn = tiny.prior(), tiny.invertible()
    received = to_signed(tiny.pictures(2))
    both, first = (chain(prior, inn.take_back, some) for some in (received, received[:1]))
    torch.testing.assert_close(both[:1], first, atol=1e-5, rtol=1e-4)


def test_step_sizes_are_the_papers_and_are_rescaled():
    assert [papers_zeta(snr) for snr in (-5, -3, -1, 1, 3, 5)] == [0.3, 0.3, 0.4, 0.4, 0.5, 0.5]
    for norm in ("l2", "squared"):
        assert scaled_zeta(0.4, 3 * 256**2, 1000, norm) == pytest.approx(0.4)
    # An eighth of the side, and a twentieth of the steps.
    assert scaled_zeta(0.4, 3 * 32**2, 50, "l2") == pytest.approx(0.4 / 8 * 20)
    assert scaled_zeta(0.4, 3 * 32**2, 50, "squared") == pytest.approx(0.4 * 20)


@pytest.mark.parametrize("norm", ["l2", "squared"])
def test_a_step_moves_pixels_as_far_in_small_pictures_as_in_large_ones(norm):
    """Where every pixel is off by the same."""
    moves = []
    for side in (32, 256):
        picture = torch.full((1, 3, side, side), 0.2, requires_grad=True)
        distance(torch.zeros_like(picture), picture, norm).sum().backward()
        zeta = scaled_zeta(0.5, picture.numel(), 1000, norm)
        moves.append(float((zeta * picture.grad).abs().max()))
    assert moves[0] == pytest.approx(moves[1], rel=1e-4)


def test_the_norm_is_of_each_picture_and_its_square_is_the_square():
    first, second = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    second[1] *= 2
    torch.testing.assert_close(distance(first, second, "l2"), 48**0.5 * torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(distance(first, second, "squared"), torch.tensor([48.0, 192.0]))


def test_guidance_that_is_not_finite_stops_with_the_step():
    received = torch.zeros(2, 3, 8, 8)

    def broken(own, received):
        factor = torch.tensor([1.0, float("nan")]).view(2, 1, 1, 1)
        return own * 0.5 * factor

    class Line(Known):
        def predict(self, noisy, times):
            return 0.1 * noisy

    with pytest.raises(UnpairedError, match=r"step 1 of 8, t = 500: the guidance of pictures 1 of"):
        chain(Line(received), broken, received)
