from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import generators_for
from unpaired.data.noise import get_noise
from unpaired.learning.method import Observation, TrainingState
from unpaired.learning.training import train
from unpaired.systems.denoising.methods.dbsn import DBSN, DBSNConfig
from unpaired.systems.denoising.methods.posterior import JITTER


def state(phase: str) -> TrainingState:
    return TrainingState(seed=1, step=0, images_seen=0, fraction=0.0, phase=phase)


def small(**settings) -> DBSN:
    torch.manual_seed(0)
    return DBSN(DBSNConfig(**{"width": 8, "blocks": 1} | settings))


def noisy_images(count: int = 2, side: int = 12) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def deviations(method: DBSN, noisy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and both standard deviations, B x 3 x H x W, from the networks' raw outputs."""
    mean, features = method.network(noisy)
    if method.config.noise_model == "gaussian":
        raw = method.noise_std(noisy).mean((2, 3), keepdim=True).expand_as(noisy)
    else:
        raw = method.noise_std(mean)
    noise = torch.log(1 + torch.exp(raw.double() - 4)) + 1e-3
    return mean.double(), method.clean_std(features).double(), noise


def test_parameters_and_protocol():
    method = DBSN(DBSNConfig())
    parts = (method.network, method.clean_std, method.noise_std)
    counts = [sum(parameter.numel() for parameter in part.parameters()) for part in parts]
    assert counts == [6_612_675, 4_259, 3_395]
    assert sum(parameter.numel() for parameter in method.parameters()) == 6_620_329
    assert method.sees == ("noisy",)
    assert method.knows == ()
    assert method.read_outs == ("pme", "mu")
    assert (method.config.batch_size, method.config.patch_px) == (1, 96)


def test_two_phases_of_120_epochs_each():
    mean, joint = DBSN(DBSNConfig(width=4, blocks=0)).phases()
    assert (mean.name, joint.name) == ("mean", "joint")
    assert mean.images_seen == joint.images_seen == 120 * 44_328
    for phase in (mean, joint):
        assert phase.optimizer.defaults["lr"] == 3e-4
        assert phase.optimizer.defaults["betas"] == (0.9, 0.999)
        assert phase.schedule(0.5) == pytest.approx(1e-3)


@pytest.mark.parametrize(("total", "share", "parts"), [(10, 0.3, (3, 7)), (2, 0.01, (1, 1))])
def test_the_phases_share_the_images_as_told(total, share, parts):
    phases = small(images_seen=total, mean_share=share).phases()
    assert tuple(phase.images_seen for phase in phases) == parts


def test_the_first_phase_moves_the_mean_alone():
    method = small()
    first, second = method.phases()
    network = {id(parameter) for parameter in method.network.parameters()}
    everything = {id(parameter) for parameter in method.parameters()}
    assert {id(p) for g in first.optimizer.param_groups for p in g["params"]} == network
    assert {id(p) for g in second.optimizer.param_groups for p in g["params"]} == everything


def test_loss_of_the_mean_phase_is_the_squared_error_and_trains_no_variance():
    method = small()
    noisy = noisy_images()
    loss = method.losses({"noisy": noisy}, state("mean"))["loss"]
    assert loss.item() == pytest.approx((method.network(noisy)[0] - noisy).square().mean().item())
    loss.backward()
    assert all(parameter.grad is not None for parameter in method.network.parameters())
    for stack in (method.clean_std, method.noise_std):
        assert all(parameter.grad is None for parameter in stack.parameters())


@pytest.mark.parametrize("noise_model", ["gaussian", "poisson"])
@pytest.mark.parametrize("likelihood", ["plain", "constrained"])
def test_joint_loss_equals_the_formula_written_out(noise_model, likelihood):
    """Independent channels: a sum over them of one-dimensional likelihoods, without constants."""
    method = small(noise_model=noise_model, likelihood=likelihood)
    noisy = noisy_images()
    loss = method.losses({"noisy": noisy}, state("joint"))["loss"]
    mean, clean, noise = deviations(method, noisy)
    total = clean**2 + noise**2
    terms = (noisy - mean) ** 2 / total
    if likelihood == "plain":
        terms = terms + torch.log(total)
    else:
        terms = terms + torch.log(noise**2) + clean**2 / noise**2
    expected = terms.sum(1).mean() / 2
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("noise_model", ["gaussian", "poisson"])
def test_the_joint_phase_trains_everything(noise_model):
    method = small(noise_model=noise_model)
    method.losses({"noisy": noisy_images()}, state("joint"))["loss"].backward()
    for part in (method.network, method.clean_std, method.noise_std):
        assert all(parameter.grad.abs().max() > 0 for parameter in part.parameters())


def test_the_constrained_likelihood_alone_tells_noise_from_prior():
    """Same sum of the variances: the plain loss is the same, the constrained one prefers noise."""

    def loss(likelihood: str, clean_share: float) -> float:
        method = small(likelihood=likelihood)
        noisy = noisy_images()
        one = torch.ones(2, 3, 1, 1, dtype=torch.float64)
        variances = 0.01 * clean_share * one, 0.01 * (1 - clean_share) * one
        method.variances = lambda *_: variances
        return method.losses({"noisy": noisy}, state("joint"))["loss"].item()

    assert loss("plain", 0.2) == pytest.approx(loss("plain", 0.8))
    assert loss("constrained", 0.0) < loss("constrained", 0.2) < loss("constrained", 0.8)
    assert loss("constrained", 0.0) == pytest.approx(loss("plain", 0.0))


def test_noise_is_one_number_per_image_or_follows_the_mean():
    noisy = noisy_images()
    gaussian, poisson = (small(noise_model=model) for model in ("gaussian", "poisson"))
    mean, features = gaussian.network(noisy)
    clean, noise = gaussian.variances(noisy, mean, features)
    assert clean.shape == (2, 3, 12, 12)
    assert noise.shape == (2, 3, 1, 1)
    assert noise.dtype == clean.dtype == torch.float64
    _, noise = poisson.variances(noisy, mean, features)
    _, unmoved = poisson.variances(noisy + 1, mean, features)
    assert noise.shape == (2, 3, 12, 12)
    assert torch.equal(noise, unmoved)
    _, moved = poisson.variances(noisy, mean + 1, features)
    assert not torch.equal(noise, moved)


def test_noise_starts_at_about_a_fiftieth_and_has_a_floor():
    method = small()
    noisy = noisy_images()
    mean, features = method.network(noisy)
    nn.init.zeros_(method.noise_std.last.weight)
    _, noise = method.variances(noisy, mean, features)
    assert noise[0, 0, 0, 0].item() ** 0.5 == pytest.approx(math.log1p(math.exp(-4)) + 1e-3)
    nn.init.constant_(method.noise_std.last.bias, -100.0)
    _, noise = method.variances(noisy, mean, features)
    assert noise.min().item() ** 0.5 == pytest.approx(1e-3)


def test_mu_does_not_see_the_pixel_and_pme_does():
    method = small(width=4, global_residual=True)
    nn.init.normal_(method.network.tail.last.weight)
    image = noisy_images(1)
    changed = image.clone()
    changed[..., 5, 7] += 1

    def change(read_out: str) -> Tensor:
        method.choose_read_out(read_out)
        before, after = (method.restore(Observation(view)) for view in (image, changed))
        return (after - before)[0].abs().amax(0)

    mu, pme = change("mu"), change("pme")
    assert mu[5, 7] == 0
    assert mu[5, 8] > 0
    assert pme[5, 7] > 0


@pytest.mark.parametrize("noise_model", ["gaussian", "poisson"])
def test_pme_weighs_both_by_their_variances(noise_model):
    method = small(noise_model=noise_model)
    nn.init.constant_(method.clean_std.last.bias, 0.1)
    noisy = noisy_images()
    with torch.no_grad():
        mean, clean, noise = deviations(method, noisy)
    clean_variance, noise_variance = clean**2 + JITTER, noise**2 + JITTER
    weighted = clean_variance * noisy + noise_variance * mean
    expected = weighted / (clean_variance + noise_variance)
    restored = method.restore(Observation(noisy))
    torch.testing.assert_close(restored, expected.float(), rtol=0, atol=1e-5)


def test_pme_is_near_the_noisy_image_where_the_noise_is_small():
    method = small()
    noisy = noisy_images()
    nn.init.zeros_(method.clean_std.last.weight)
    nn.init.constant_(method.clean_std.last.bias, 0.2)
    mean = method.network(noisy)[0].detach()

    def distances(raw: float) -> tuple[float, float]:
        nn.init.zeros_(method.noise_std.last.weight)
        nn.init.constant_(method.noise_std.last.bias, raw)
        restored = method.restore(Observation(noisy))
        return (restored - noisy).abs().max().item(), (restored - mean).abs().max().item()

    gap = (mean - noisy).abs().max().item()
    assert distances(-10.0)[0] < 1e-3 * gap
    assert distances(60.0)[1] < 1e-3 * gap


def test_only_a_noise_of_the_whole_image_needs_the_whole_image():
    gaussian, poisson = (small(noise_model=model) for model in ("gaussian", "poisson"))
    assert gaussian.margin_px is None
    assert poisson.margin_px == 8
    gaussian.choose_read_out("mu")
    assert gaussian.margin_px == 8
    assert gaussian.multiple_px == 1


def test_wrong_settings_are_told_in_one_line():
    with pytest.raises(UnpairedError, match="no noise_model 'poison'; did you mean 'poisson'"):
        DBSNConfig(noise_model="poison")
    with pytest.raises(UnpairedError, match="no likelihood 'plane'; did you mean 'plain'"):
        DBSNConfig(likelihood="plane")
    for share in (0.0, 1.0):
        with pytest.raises(UnpairedError, match="mean_share"):
            DBSNConfig(mean_share=share)


class Waves:
    """Smooth patches with Gaussian noise of 0.1; ``clean`` is what was there before."""

    def clean(self, sample: int, side: int = 32) -> Tensor:
        (generator,) = generators_for(0, [sample], "waves", "cpu")
        phase, tilt = torch.rand(2, 3, 1, 1, generator=generator) * 6
        axis = torch.arange(side) / side
        return 0.5 + 0.3 * torch.sin(phase + tilt * axis[:, None] + (6 - tilt) * axis)

    def __getitem__(self, sample: int) -> dict[str, Tensor | int]:
        (generator,) = generators_for(0, [sample], "noise", "cpu")
        clean = self.clean(sample)
        level = get_noise("gauss25").level_min
        return {
            "noisy": clean + level * torch.randn(clean.shape, generator=generator),
            "sample": sample,
        }


def test_a_training_of_seconds_gains_seven_decibels():
    method = small(
        images_seen=480,
        batch_size=8,
        learning_rate=1e-2,
        schedule="warmup_cosine",
        likelihood="constrained",
        global_residual=True,
    )
    waves = Waves()
    result = train(method, waves, seed=1, device="cpu", precision="fp32")
    assert {row["phase"] for row in result.history} == {"mean", "joint"}
    tests = range(10_000, 10_008)
    clean = torch.stack([waves.clean(sample) for sample in tests])
    noisy = torch.stack([waves[sample]["noisy"] for sample in tests])

    def psnr_db(image: Tensor) -> float:
        return -10 * math.log10((image - clean).square().mean().item())

    gains = {}
    for read_out in method.read_outs:
        method.choose_read_out(read_out)
        gains[read_out] = psnr_db(method.restore(Observation(noisy))) - psnr_db(noisy)
    assert gains["mu"] > 7
    assert gains["pme"] > 7
