"""The formulas of SUD²: on a mixture whose denoiser is known in closed form, and on gradients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.learning.diffusion import Schedule, chain, draw, spaced, to_signed
from unpaired.learning.method import TrainingState
from unpaired.systems.few_shot.methods.cyclegan import CRITICS, GENERATORS, CycleGAN, CycleGANConfig
from unpaired.systems.few_shot.methods.cyclegan_ssl import CycleGANSSL
from unpaired.systems.few_shot.methods.ddpm import DDPM, DDPMConfig
from unpaired.systems.few_shot.methods.decorrelation import correlations, decorrelation
from unpaired.systems.few_shot.methods.pseudo_labels import PseudoLabelConfig
from unpaired.systems.few_shot.methods.sud import SUD, SUDConfig
from unpaired.systems.few_shot.methods.sud2 import SUD2, SUD2Config
from unpaired.systems.few_shot.methods.sud_noise import SUDNoise, SUDNoiseConfig

NETWORK = {"widths": "8 16", "blocks": 1, "groups": 4, "squeeze_px": 2}
TINY = {**NETWORK, "images_seen": 16, "batch_size": 4, "patch_px": 16, "validate_every_images": 16}


@dataclass
class Mixture:
    """Points of a plane: three Gaussians. Its denoiser, score and density are known.

    It has what the methods ask of a diffusion model; points are pictures of 2 x 1 x 1.
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        self.modes = torch.tensor([[1.2, 0.9], [-1.1, 0.7], [0.1, -1.3]])
        self.shares = torch.tensor([0.5, 0.3, 0.2])
        self.noise_schedule = Schedule()
        self.config = SimpleNamespace(timesteps=1000)

    def denoise(self, noisy: torch.Tensor, std: float) -> torch.Tensor:
        """E[x | x + N(0, std^2)]: the mean over modes of each one's own."""
        points = noisy.flatten(1)
        variance = self.std**2 + std**2
        squares = torch.cdist(points, self.modes) ** 2
        weights = torch.softmax(self.shares.log() - squares / (2 * variance), dim=1)
        shrunk = (self.std**2 * points[:, None] + std**2 * self.modes) / variance
        return (weights[..., None] * shrunk).sum(1).view_as(noisy)

    def blurred_log_density(self, points: torch.Tensor, std: float) -> torch.Tensor:
        variance = self.std**2 + std**2
        squares = torch.cdist(points, self.modes) ** 2
        return torch.logsumexp(self.shares.log() - squares / (2 * variance), dim=1)

    def mode_of_blurred(self, std: float) -> torch.Tensor:
        """The highest point of the density with noise of ``std``, on a fine grid."""
        axis = torch.linspace(-2, 2, 401)
        grid = torch.cartesian_prod(axis, axis)
        return grid[self.blurred_log_density(grid, std).argmax()]

    def project(self, picture, start, steps, *, eta, generators, adds_noise=True):
        def predict(noisy, times):
            kept = self.noise_schedule.kept_at(times)
            stds = ((1 - kept) / kept).sqrt().flatten()
            rescaled = noisy / kept.sqrt()
            each = [self.denoise(x[None], float(s)) for x, s in zip(rescaled, stds, strict=True)]
            return torch.cat(each)

        noise = draw(generators, tuple(picture.shape[1:])) * float(adds_noise)
        noisy = self.noise_schedule.noisy(picture, noise, start)
        about = {"eta": eta, "generators": generators}
        return chain(self.noise_schedule, predict, noisy, spaced(start, steps), **about)


def moved(method, steps: int = 400, count: int = 200, rate: float = 0.05) -> torch.Tensor:
    """Return free points after steps down the loss |f - label|^2, each counted by itself."""
    points = 1.6 * torch.randn(count, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    batch = {"sample": torch.arange(count)}
    for step in range(steps):
        batch["sample"] = batch["sample"] + count
        with torch.no_grad():
            label = method.labels(points, batch, TrainingState(1, step, 0, 0.5))
        points = points - rate * 2 * (points - label)
    return points.flatten(1)


def of_mixture(method, mixture=None):
    method.others["prior"] = mixture or Mixture()
    return method


def test_points_under_sud_climb_the_blurred_density_to_its_mode_and_become_one():
    """Theorem 3.1 and Corollary 3.2: with a large sigma there is one mode, between the data."""
    mixture = Mixture()
    found = moved(of_mixture(SUD(SUDConfig(noise_std=1.0, **TINY))))
    mode = mixture.mode_of_blurred(1.0)
    assert (found - mode).norm(dim=1).max() < 0.02
    assert found.std(dim=0).sum() < 0.01
    # That is no place where pictures are (Corollary 3.3).
    assert (mode - mixture.modes).norm(dim=1).min() > 0.15


def test_with_a_small_sigma_points_become_the_modes_near_them():
    mixture = Mixture()
    found = moved(of_mixture(SUD(SUDConfig(noise_std=0.2, **TINY))), steps=800)
    nearest = torch.cdist(found, mixture.modes).min(dim=1).values
    assert nearest.max() < 0.05
    assert found.std(dim=0).sum() > 0.5


def test_their_spread_shrinks_step_by_step():
    method = of_mixture(SUD(SUDConfig(noise_std=1.0, **TINY)))
    spreads = [moved(method, steps=steps).std(dim=0).sum().item() for steps in (0, 20, 60, 150)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < 0.1 * spreads[0]


def test_with_injected_noise_points_end_nearer_the_modes_of_the_data():
    """Corollary 3.3 and Equation 9: the fixed point is no longer the blurred density's mode."""
    mixture = Mixture()
    heaviest = mixture.modes[0]
    settings = {"noise_std": 0.8, **TINY}
    plain = moved(of_mixture(SUD(SUDConfig(**settings))))
    injected = moved(of_mixture(SUDNoise(SUDNoiseConfig(injected_std=0.8, **settings))))
    (before, after) = ((p.mean(dim=0) - heaviest).norm() for p in (plain, injected))
    assert abs(after - before) > 0.02  # The two are not the same formula.
    density = mixture.blurred_log_density
    assert density(injected.mean(0)[None], 0.0) > density(plain.mean(0)[None], 0.0)


def test_an_injected_label_is_the_blurred_denoiser():
    """E over nu of D(f + nu), against many draws: the noise is on what goes in alone."""
    mixture = Mixture()
    method = of_mixture(SUDNoise(SUDNoiseConfig(noise_std=0.5, injected_std=0.5, **TINY)))
    points = torch.tensor([0.4, -0.2]).view(1, 2, 1, 1).expand(4000, -1, -1, -1)
    batch = {"sample": torch.arange(4000)}
    label = method.labels(points, batch, TrainingState(1, 0, 0, 0.5)).mean(dim=0)
    white = 0.5 * torch.randn(20_000, 2, 1, 1, generator=torch.Generator().manual_seed(3))
    expected = mixture.denoise(points[:1] + white, 0.5).mean(dim=0)
    assert (label - expected).norm() < 0.05
    assert (label - mixture.denoise(points[:1], 0.5)[0]).norm() > 0.1


@pytest.mark.parametrize(("eta", "is_one_step"), [(1.0, True), (0.0, False)])
def test_labels_by_an_ancestral_chain_are_those_of_one_step_in_the_mean(eta, is_one_step):
    points = torch.tensor([0.9, 0.1]).view(1, 2, 1, 1).expand(3000, -1, -1, -1)
    batch = {"sample": torch.arange(3000)}
    about = {"time_min": 0.25, "time_max": 0.25, **TINY}
    means = {}
    for steps in (1, 5):
        config = SUD2Config(reverse_steps=steps, eta=eta, **about)
        label = of_mixture(SUD2(config)).labels(points, batch, TrainingState(1, 0, 0, 0.5))
        means[steps] = label.mean(dim=0).flatten()
    assert ((means[5] - means[1]).norm() < 0.05) == is_one_step


def test_noise_is_what_the_row_without_noise_lacks():
    """At one time, equal outputs have equal labels without noise, and different ones with it."""
    points = torch.tensor([0.9, 0.1]).view(1, 2, 1, 1).expand(50, -1, -1, -1)
    batch, spreads = {"sample": torch.arange(50)}, {}
    for adds_noise in (True, False):
        about = {"time_min": 0.1, "time_max": 0.1, "reverse_steps": 3}
        method = of_mixture(SUD2(SUD2Config(adds_noise=adds_noise, **about, **TINY)))
        label = method.labels(points, batch, TrainingState(1, 0, 0, 0.5))
        spreads[adds_noise] = label.std(dim=0).max().item()
    assert spreads[True] > 0.02
    assert spreads[False] < 1e-6


# ---- Gradients


class FreeOutputs:
    """Stands for the network: outputs that are leaves, so that the gradient at f(y) can be seen."""

    def __init__(self, method, count: int) -> None:
        torch.manual_seed(0)
        self.outputs = (0.3 * torch.randn(count, 3, 16, 16)).requires_grad_()
        self.latent = torch.randn(count, 8, 4, 4)
        method.reconstruct = lambda measured: (self.outputs, self.latent)


def batch_of(count: int = 4) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    keys = ("pair_measured", "pair_clean", "measured", "picture")
    batch = {key: torch.rand(count, 3, 16, 16, generator=generator) for key in keys}
    return batch | {"sample": torch.arange(count)}


def prior() -> DDPM:
    torch.manual_seed(2)
    method = DDPM(DDPMConfig(**NETWORK, attention_px=None, images_seen=4, patch_px=16))
    for value in method.network.parameters():
        torch.nn.init.normal_(value, std=0.1)
    return method


def test_the_gradient_is_equation_3_and_none_goes_into_the_denoiser():
    method, denoiser = SUD(SUDConfig(supervision_weight=0.7, noise_std=0.5, **TINY)), prior()
    method.receive("prior", denoiser)
    denoiser.requires_grad_(True)  # Even so.
    free, batch = FreeOutputs(method, 8), batch_of()
    method.losses(batch, TrainingState(1, 0, 0, 0.9))["loss"].backward()
    pairs, unpaired = free.outputs.detach().chunk(2)
    label = denoiser.denoise(unpaired, 0.5).detach()
    pixels = unpaired.numel()
    expected = 0.7 * 2 * (unpaired - label) / pixels
    torch.testing.assert_close(free.outputs.grad[4:], expected)
    of_pairs = 2 * (pairs - to_signed(batch["pair_clean"])) / pixels
    torch.testing.assert_close(free.outputs.grad[:4], of_pairs)
    assert all(value.grad is None for value in denoiser.parameters())


@pytest.mark.parametrize("make", [lambda c: SUD2(SUD2Config(reverse_steps=3, **c))])
def test_no_parameter_of_the_prior_gets_a_gradient_through_a_chain(make):
    method, denoiser = make({**TINY, "decorrelation_weight": 0.0}), prior()
    method.receive("prior", denoiser)
    denoiser.requires_grad_(True)
    free, batch = FreeOutputs(method, 8), batch_of()
    state = TrainingState(1, 0, 0, 0.9)
    losses = method.losses(batch, state)
    losses["loss"].backward()
    assert all(value.grad is None for value in denoiser.parameters())
    with torch.no_grad():
        label = method.labels(free.outputs[4:], batch, state)
    expected = 0.1 * 2 * (free.outputs.detach()[4:] - label) / label.numel()
    torch.testing.assert_close(free.outputs.grad[4:], expected)


def test_the_weight_of_labels_grows_over_its_share_of_the_training():
    method = SUD(SUDConfig(supervision_weight=2.0, ramp_share=0.5, **TINY))
    method.receive("prior", prior())
    FreeOutputs(method, 8)
    for fraction, weight in ((0.0, 0.0), (0.25, 1.0), (0.5, 2.0), (0.9, 2.0)):
        losses = method.losses(batch_of(), TrainingState(1, 0, 0, fraction))
        expected = losses["paired"] + weight * losses["supervision"]
        torch.testing.assert_close(losses["loss"], expected)


def test_labels_of_cyclegan_are_what_it_makes_of_the_measurement():
    torch.manual_seed(0)
    labeler = CycleGAN(CycleGANConfig(width=4, blocks=1, critic_width=4, patch_px=16))
    method = CycleGANSSL(PseudoLabelConfig(**TINY))
    method.receive("labeler", labeler)
    free, batch = FreeOutputs(method, 8), batch_of()
    method.losses(batch, TrainingState(1, 0, 0, 0.9))["loss"].backward()
    label = labeler.to_picture(to_signed(batch["measured"])).detach()
    expected = 2 * (free.outputs.detach()[4:] - label) / label.numel()
    torch.testing.assert_close(free.outputs.grad[4:], expected)


# ---- Decorrelation


def test_correlations_are_those_of_numpy():
    latent = torch.randn(5, 3, 2, 2, dtype=torch.float64)
    expected = torch.corrcoef(latent.flatten(1))[~torch.eye(5, dtype=torch.bool)]
    torch.testing.assert_close(correlations(latent), expected)


@pytest.mark.parametrize("count", [2, 5, 12])
def test_the_signed_mean_is_bounded_by_its_gram_matrix(count):
    for seed in range(20):
        latent = torch.randn(count, 7, generator=torch.Generator().manual_seed(seed)).double()
        assert decorrelation(latent, "signed") >= -1 / (count - 1) - 1e-6
    # Latents that cancel reach the bound.
    spread = torch.eye(count, 40).double()
    spread = spread - spread.mean(dim=0)
    assert decorrelation(spread[:, :count], "signed") == pytest.approx(-1 / (count - 1), abs=1e-6)


def test_forms_are_what_they_are_called():
    latent = torch.randn(6, 20)
    of = correlations(latent)
    for form, expected in {
        "square": of.square(),
        "signed": of,
        "absolute": of.abs(),
        "positive": functional.relu(of),
    }.items():
        torch.testing.assert_close(decorrelation(latent, form), expected.mean())
    with pytest.raises(UnpairedError, match="did you mean 'square'"):
        decorrelation(latent, "squared")


@pytest.mark.parametrize("form", ["square", "signed", "absolute", "positive"])
def test_latents_that_are_the_same_are_penalized_most(form):
    latent = torch.randn(1, 30).expand(4, 30)
    assert decorrelation(latent, form) == pytest.approx(1, abs=1e-5)


def test_the_penalty_is_part_of_the_loss():
    method = SUD(SUDConfig(decorrelation_weight=0.5, **TINY))
    method.receive("prior", prior())
    batch = batch_of()
    losses = method.losses(batch, TrainingState(1, 0, 0, 0.0))
    latent = method.reconstruct(to_signed(batch["measured"]))[1]
    expected = decorrelation(latent, "square")
    torch.testing.assert_close(losses["penalty"], expected)
    torch.testing.assert_close(losses["loss"], losses["paired"] + 0.5 * expected)
    torch.testing.assert_close(losses["latent_correlation"], correlations(latent).mean())


def test_descending_the_penalty_decorrelates():
    latent = (torch.randn(6, 30) + 2 * torch.randn(6, 1) * torch.randn(30)).requires_grad_()
    penalty = partial(decorrelation, latent, "square")
    first = penalty().item()
    optimizer = torch.optim.Adam([latent], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        penalty().backward()
        optimizer.step()
    assert penalty().item() < 0.3 * first


def test_descending_the_penalty_takes_away_what_latents_share():
    latent = (torch.randn(6, 30) + 20 * torch.randn(30)).requires_grad_()
    optimizer = torch.optim.Adam([latent], lr=0.5)
    assert correlations(latent).mean() > 0.9
    for _ in range(200):
        optimizer.zero_grad()
        decorrelation(latent, "square").backward()
        optimizer.step()
    assert correlations(latent).mean() < 0.1


# ---- CycleGAN


@pytest.fixture
def gan():
    torch.manual_seed(0)
    config = CycleGANConfig(
        width=4,
        blocks=1,
        critic_width=4,
        critic_layers=2,
        history_images=3,
        patch_px=16,
        batch_size=2,
    )
    method = CycleGAN(config)
    (phase,) = method.phases()
    assert list(phase.turns) == [GENERATORS, CRITICS]
    return method


def test_losses_of_cyclegan_are_its_equations(gan):
    batch = batch_of(2)
    y, x = to_signed(batch["measured"]), to_signed(batch["picture"])
    own = gan.losses(batch, TrainingState(1, 0, 0, 0.0, turn=GENERATORS))
    forth, back = gan.to_picture, gan.to_measured
    fake_x, fake_y = forth(y), back(x)
    expected = (gan.of_pictures(fake_x) - 1).square().mean()
    expected += (gan.of_measured(fake_y) - 1).square().mean()
    expected += 10 * ((back(fake_x) - y).abs().mean() + (forth(fake_y) - x).abs().mean())
    expected += 5 * ((forth(x) - x).abs().mean() + (back(y) - y).abs().mean())
    torch.testing.assert_close(own["loss"], expected)
    critics = gan.losses(batch, TrainingState(1, 0, 0, 0.0, turn=CRITICS))
    expected = (gan.of_pictures(x) - 1).square().mean() + gan.of_pictures(fake_x).square().mean()
    expected += (gan.of_measured(y) - 1).square().mean() + gan.of_measured(fake_y).square().mean()
    torch.testing.assert_close(critics["loss"], expected / 2)


def test_critics_teach_no_generator(gan):
    batch = batch_of(2)
    gan.losses(batch, TrainingState(1, 0, 0, 0.0, turn=GENERATORS))
    gan.losses(batch, TrainingState(1, 0, 0, 0.0, turn=CRITICS))["loss"].backward()
    assert all(value.grad is None for value in gan.to_picture.parameters())
    assert all(value.grad is not None for value in gan.of_pictures.parameters())


def test_a_history_is_filled_and_then_swaps_half_of_the_time(gan):
    history = gan.histories["picture"]
    shown = []
    for number in range(200):
        image = torch.full((1, 3, 16, 16), float(number))
        drawn = [torch.Generator().manual_seed(number)]
        shown.append(history.swapped(image, drawn)[0, 0, 0, 0].item())
    assert shown[:3] == [0, 1, 2]
    new = sum(value == number for number, value in enumerate(shown[3:], 3))
    assert 70 < new < 130
    assert all(value <= number for number, value in enumerate(shown))


def test_published_weights_of_cyclegan_hold_no_history(gan):
    gan.finish()
    assert not [name for name in gan.state_dict() if "histor" in name]


# ---- Bad settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"time_min": 0.0}, "must rise between 0 and 1"),
        ({"time_max": 1.0}, "must rise between 0 and 1"),
        ({"time_min": 0.2}, "must rise between 0 and 1"),
        ({"reverse_steps": 0}, "must be 1 at least"),
        ({"ramp_share": 0.0}, "ramp_share must lie"),
    ],
)
def test_settings_that_make_no_sense_are_told(settings, message):
    with pytest.raises(UnpairedError, match=message):
        SUD2(SUD2Config(**TINY | settings))


def test_a_sigma_of_zero_is_told():
    with pytest.raises(UnpairedError, match=r"noise_std = 0\.0 must be positive"):
        SUD(SUDConfig(noise_std=0.0, **TINY))
    with pytest.raises(UnpairedError, match="injected_std"):
        SUDNoise(SUDNoiseConfig(injected_std=0.0, **TINY))


def test_a_prior_of_other_pictures_is_told():
    method = SUD2(SUD2Config(**TINY))
    for other, message in (({"patch_px": 32}, "32 px with 3"), ({"channels": 1}, "16 px with 1")):
        settings = {**NETWORK, "attention_px": None, "images_seen": 4, "patch_px": 16} | other
        with pytest.raises(UnpairedError, match=f"pictures of {message}"):
            method.receive("prior", DDPM(DDPMConfig(**settings)))


def test_more_steps_than_there_are_times_are_told():
    settings = {**NETWORK, "attention_px": None, "images_seen": 4, "patch_px": 16, "timesteps": 100}
    with pytest.raises(UnpairedError, match="leaves no 5 reverse_steps"):
        SUD2(SUD2Config(reverse_steps=5, **TINY)).receive("prior", DDPM(DDPMConfig(**settings)))


def test_without_a_prior_nothing_is_learned():
    method = SUD(SUDConfig(**TINY))
    with pytest.raises(UnpairedError, match="no prior was given"):
        method.losses(batch_of(), TrainingState(1, 0, 0, 0.5))
