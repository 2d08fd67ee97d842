"""Schedules and chains against diffusers, and against closed forms."""

from __future__ import annotations

import pytest
import torch

from unpaired.core.errors import UnpairedError
from unpaired.learning.diffusion import Schedule, chain, implicit_mean, posterior, spaced

SCHEDULE = Schedule()


@pytest.fixture(scope="module")
def diffusers():
    return pytest.importorskip("diffusers", reason="needs diffusers (extra 'test')")


def pictures(count: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.rand(count, 3, 8, 8) * 2 - 1, torch.randn(count, 3, 8, 8)


def test_noising_is_that_of_diffusers(diffusers):
    picture, noise = pictures(4)
    times = torch.tensor([0, 10, 500, 999])
    scheduler = diffusers.DDPMScheduler(beta_schedule="linear")
    expected = scheduler.add_noise(picture, noise, times)
    torch.testing.assert_close(SCHEDULE.noisy(picture, noise, times), expected, atol=1e-5, rtol=0)
    again = SCHEDULE.clean(SCHEDULE.noisy(picture, noise, times)[:3], noise[:3], times[:3])
    torch.testing.assert_close(again, picture[:3], atol=1e-4, rtol=0)


@pytest.mark.parametrize("time", [999, 500, 20, 1])
def test_ancestral_steps_are_those_of_diffusers(diffusers, time):
    noisy, noise = pictures()
    scheduler = diffusers.DDPMScheduler(variance_type="fixed_small", clip_sample=True)
    scheduler.set_timesteps(1000)
    drawn = torch.Generator().manual_seed(7)
    expected = scheduler.step(noise, time, noisy, generator=drawn).prev_sample
    times = torch.full((2,), time)
    clean = SCHEDULE.clean(noisy, noise, times).clamp(-1, 1)
    mean, variance = posterior(SCHEDULE, noisy, clean, times, times - 1)
    white = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(mean + variance.sqrt() * white, expected, atol=2e-5, rtol=0)


def test_the_posterior_as_one_paper_prints_it_is_another_one():
    """CommIN's Eq. 11 has sqrt(alpha bar) where sqrt(alpha) belongs."""
    noise, noisy = pictures()
    times = torch.tensor([999, 999])
    clean = SCHEDULE.clean(noisy, noise, times).clamp(-1, 1)
    mean, _ = posterior(SCHEDULE, noisy, clean, times, times - 1)
    kept, before = SCHEDULE.kept_at(times), SCHEDULE.kept_at(times - 1)
    beta = 1 - kept / before
    printed = (kept.sqrt() * (1 - before) * noisy + before.sqrt() * beta * clean) / (1 - kept)
    assert (printed - mean).abs().max() > 2


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("time", [900, 300, 0])
def test_implicit_steps_are_those_of_diffusers(diffusers, eta, time):
    noisy, noise = pictures()
    scheduler = diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=True)
    scheduler.set_timesteps(10)
    drawn = torch.Generator().manual_seed(7)
    expected = scheduler.step(noise, time, noisy, eta=eta, generator=drawn).prev_sample
    times = torch.full((2,), time)
    earlier = torch.full((2,), max(time - 100, -1))
    clean = SCHEDULE.clean(noisy, noise, times)
    mean, variance = implicit_mean(SCHEDULE, noisy, clean, times, earlier, eta)
    white = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(mean + variance.sqrt() * white, expected, atol=1e-5, rtol=1e-5)


def test_an_implicit_step_with_eta_1_is_the_posterior():
    noisy, clean = pictures()
    times, earlier = torch.tensor([400, 30]), torch.tensor([350, 3])
    about = (SCHEDULE, noisy, clean, times, earlier)
    for found, expected in zip(implicit_mean(*about, 1.0), posterior(*about), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_posterior_over_several_steps_is_that_of_gaussians():
    """x_0, x_s and x_t of a unit Gaussian: the mean of x_s given both, by their covariances."""
    times, earlier = torch.tensor([600]), torch.tensor([200])
    kept, before = (float(SCHEDULE.kept_at(one)) for one in (times, earlier))
    between = (kept / before) ** 0.5
    # Covariances of (x_0, x_s, x_t) for x_0 of variance v; the posterior does not depend on v.
    v = 2.0
    own = before * v + 1 - before
    cov = torch.tensor(
        [
            [v, before**0.5 * v, kept**0.5 * v],
            [before**0.5 * v, own, between * own],
            [kept**0.5 * v, between * own, kept * v + 1 - kept],
        ],
        dtype=torch.float64,
    )
    given = [0, 2]
    weights = cov[1, given] @ torch.linalg.inv(cov[given][:, given])
    variance = cov[1, 1] - weights @ cov[given, 1]
    clean, noisy = torch.full((1, 1, 1, 1), 0.7), torch.full((1, 1, 1, 1), -0.4)
    mean, found = posterior(SCHEDULE, noisy, clean, times, earlier)
    assert mean.item() == pytest.approx(float(weights @ torch.tensor([0.7, -0.4]).double()), 1e-4)
    assert found.item() == pytest.approx(float(variance), 1e-4)


def gaussian_prior(noisy, times):
    """E[x_0 | x_t] for x_0 of N(0, 1)."""
    return SCHEDULE.kept_at(times).sqrt() * noisy


def labels(steps: int, eta: float, start: int = 250, count: int = 4000) -> torch.Tensor:
    generators = [torch.Generator().manual_seed(k) for k in range(count)]
    white = torch.stack([torch.randn(1, 1, 1, generator=g) for g in generators])
    times = torch.full((count,), start)
    noisy = SCHEDULE.noisy(torch.ones(count, 1, 1, 1), white, times)
    about = {"eta": eta, "generators": generators}
    return chain(SCHEDULE, gaussian_prior, noisy, spaced(times, steps), **about)


@pytest.mark.parametrize("steps", [3, 10])
def test_an_ancestral_chain_is_one_step_in_the_mean_and_an_implicit_one_is_not(steps):
    """E[x_0 | x_t] is the mean of what ancestral sampling draws, whatever the steps."""
    kept = float(SCHEDULE.kept[250])
    one_step = labels(1, 0.0).mean().item()
    assert one_step == pytest.approx(kept, abs=0.03)
    assert labels(steps, 1.0).mean().item() == pytest.approx(kept, abs=0.04)
    # DDIM contracts less, towards sqrt(kept) for many steps.
    expected = {3: 0.656, 10: 0.702}[steps]
    assert labels(steps, 0.0).mean().item() == pytest.approx(expected, abs=0.03)


def test_times_fall_from_the_start_to_above_zero():
    assert spaced(torch.tensor([100, 20]), 3).tolist() == [[100, 66, 33], [20, 13, 6]]
    assert spaced(torch.tensor([999]), 1000).tolist() == [list(range(999, -1, -1))]
    assert spaced(torch.tensor([999]), 1).tolist() == [[999]]


def test_times_and_levels_of_noise_belong_together():
    for std in (0.17, 0.5, 1.0):
        assert SCHEDULE.std_of(SCHEDULE.time_of(std)) == pytest.approx(std, rel=0.02)


def test_bad_schedules_are_one_line():
    with pytest.raises(UnpairedError, match="must rise between 0 and 1"):
        Schedule(1000, 0.02, 1e-4)
    with pytest.raises(UnpairedError, match="at least one step"):
        chain(SCHEDULE, gaussian_prior, torch.zeros(1), torch.zeros(1, 0), eta=0.0, generators=[])
