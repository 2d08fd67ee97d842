from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.data.noise import get_noise
from unpaired.data.samples import CropSamples
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.systems.perceptual.methods.distorting_autoencoder import pink

STATE = TrainingState(seed=1, step=0, images_seen=0, fraction=0.0)
NARROW = {"layers": 2, "first_channels": 8}


def method_of(**options):
    torch.manual_seed(0)
    return create("distorting_autoencoder", **(NARROW | options))


def batch_of(count: int = 2) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {"image": torch.rand(count, 3, 32, 32), "sample": torch.arange(count)}


def test_it_sees_clean_images_alone():
    method = method_of()
    assert method.sees == ("image",)
    assert method.knows == ()
    assert method.config.images_seen == 1_300_000


def test_loss_is_the_weighted_sum_of_its_parts():
    method, batch = method_of(l1_weight=2.0, feature_weight=0.3, adversarial_weight=0.1), batch_of()
    losses = method.losses(batch, STATE)
    output = method.network(batch["image"])
    assert losses["l1"].item() == pytest.approx((output - batch["image"]).abs().mean().item())
    cosines = [
        functional.cosine_similarity(a, b).mean()
        for a, b in zip(method.features(output), method.features(batch["image"]), strict=True)
    ]
    # Of unit vectors the squared distance is twice one less the cosine.
    expected = sum(2 - 2 * cosine.item() for cosine in cosines)
    assert losses["features"].item() == pytest.approx(expected, rel=1e-2)
    real, fake = method.discriminator(batch["image"]), method.discriminator(output)
    assert losses["adversarial"].item() == pytest.approx((fake - 1).square().mean().item())
    both = functional.mse_loss(real, torch.ones_like(real)) + fake.square().mean()
    assert losses["discriminator"].item() == pytest.approx(both.item() / 2)
    total = 2 * losses["l1"] + 0.3 * losses["features"] + 0.1 * losses["adversarial"]
    assert losses["loss"].item() == pytest.approx((total + losses["discriminator"]).item())


def test_generator_and_discriminator_each_follow_their_own_loss():
    method = method_of(l1_weight=0.0, adversarial_weight=1.0)
    generator, discriminator = (
        list(part.parameters()) for part in (method.network, method.discriminator)
    )
    losses = method.losses(batch_of(), STATE)
    both = [*generator, *discriminator]
    for name, other in (("adversarial", discriminator), ("discriminator", generator)):
        gradients = torch.autograd.grad(losses[name], both, retain_graph=True, allow_unused=True)
        moved = {id(p) for p, g in zip(both, gradients, strict=True) if g is not None}
        assert moved
        assert not moved & {id(parameter) for parameter in other}


def test_gray_and_downsampled_inputs():
    clean = batch_of()["image"]
    gray = method_of(corruption="gray").corrupt(clean, [])
    assert torch.equal(gray[:, 0], gray[:, 2])
    luma = 0.299 * clean[:, 0] + 0.587 * clean[:, 1] + 0.114 * clean[:, 2]
    torch.testing.assert_close(gray[:, 1], luma)
    small = method_of(corruption="downsampling", corruption_level=4.0).corrupt(clean, [])
    assert small.shape == clean.shape
    torch.testing.assert_close(small.mean((2, 3)), clean.mean((2, 3)), atol=0.02, rtol=0)
    assert small.std() < 0.5 * clean.std()
    assert torch.equal(method_of().corrupt(clean, []), clean)


@pytest.mark.parametrize("corruption", ["white_noise", "pink_noise"])
def test_noise_has_the_level_and_a_key_per_sample(corruption):
    method = method_of(corruption=corruption, corruption_level=0.1)
    batch = batch_of(4)
    noisy = method.corrupt(batch["image"], STATE.generators(batch["sample"], "corruption"))
    noise = noisy - batch["image"]
    assert noise.std().item() == pytest.approx(0.1, rel=0.05)
    last = method.corrupt(batch["image"][3:], STATE.generators(batch["sample"][3:], "corruption"))
    assert torch.equal(last[0], noisy[3])
    assert not torch.equal(noise[0], noise[1])


def test_pink_noise_has_a_slope_of_minus_one():
    torch.manual_seed(0)
    power = torch.fft.fft2(pink(torch.randn(16, 3, 64, 64))).abs().square().mean((0, 1))
    frequency = torch.hypot(torch.fft.fftfreq(64)[:, None], torch.fft.fftfreq(64)[None])
    used = (frequency > 0.05) & (frequency < 0.5)
    x, y = frequency[used].log(), power[used].log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    assert slope.item() == pytest.approx(-1, abs=0.05)


@pytest.mark.long
def test_a_short_training_restores_but_leaves_artifacts(train_pack):
    """The corrupted input is 14 dB from the clean image, the product nearer, but far from equal."""
    options = {"images_seen": 1600, "batch_size": 8, "patch_px": 32, "learning_rate": 3e-3}
    method = method_of(corruption="white_noise", corruption_level=0.2, **options)
    samples = CropSamples(
        train_pack, sees=("image",), patch_px=32, seed=1, noise=get_noise("gauss25")
    )
    train(method, samples, seed=1, device="cpu", precision="fp32")
    method.eval()
    clean = torch.stack([samples[10_000 + k]["image"] for k in range(32)])
    generators = [torch.Generator().manual_seed(k) for k in range(32)]
    errors = [
        (picture - clean).square().mean().item()
        for picture in (
            method.distort(clean, generators),
            method.corrupt(clean, [torch.Generator().manual_seed(k) for k in range(32)]),
        )
    ]
    assert 5e-4 < errors[0] < 0.5 * errors[1]


def test_an_adversarial_training_stays_finite(train_pack):
    options = {"images_seen": 160, "batch_size": 8, "patch_px": 32, "learning_rate": 3e-3}
    method = method_of(adversarial_weight=0.3, feature_weight=1.0, **options)
    samples = CropSamples(
        train_pack, sees=("image",), patch_px=32, seed=1, noise=get_noise("gauss25")
    )
    result = train(method, samples, seed=1, device="cpu", precision="fp32")
    assert result.history[-1]["discriminator"] < 1
    assert result.history[-1]["l1"] < result.history[0]["l1"]


def test_distortions_are_keyed_and_in_range():
    method = method_of(corruption="pink_noise", corruption_level=0.2).eval()
    clean = batch_of()["image"]
    results = [
        method.distort(clean, [torch.Generator().manual_seed(seed)] * 2) for seed in (0, 0, 1)
    ]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert results[0].min() >= 0
    assert results[0].max() <= 1


def test_settings_that_make_no_sense():
    with pytest.raises(UnpairedError, match="no corruption 'gry'; did you mean 'gray'"):
        method_of(corruption="gry")
    with pytest.raises(UnpairedError, match="all losses have weight 0"):
        method_of(l1_weight=0.0)
