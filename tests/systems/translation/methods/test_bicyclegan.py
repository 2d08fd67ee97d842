"""BicycleGAN: every loss against a plain formulation, what gets gradients, and small trainings."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import l1_loss, mse_loss

from tests.systems.translation.facades import facade_pack, small
from unpaired.core.errors import UnpairedError
from unpaired.learning.method import TrainingState
from unpaired.learning.training import Checkpointing, train
from unpaired.networks.bicyclegan import TO_ALL, TO_INPUT
from unpaired.systems.translation.methods.bicyclegan import (
    CRITICS,
    DRAWN,
    ENCODED,
    GENERATOR,
    VARIANTS,
    kl_to_normal,
)


def batch_of(count: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    keys = ("input", "output", "other_output")
    found = {key: torch.rand(count, 3, 32, 32, generator=generator) for key in keys}
    return found | {"sample": torch.arange(count)}


def state_of(turn: str) -> TrainingState:
    return TrainingState(1, 0, 0, 0.0, "train", turn)


def noise_of(path: str, samples: torch.Tensor) -> torch.Tensor:
    generators = state_of(GENERATOR).generators(samples, path)
    return torch.stack([torch.randn(8, generator=one) for one in generators])


def fooled(critic, picture, wanted: float) -> torch.Tensor:
    return sum(mse_loss(one, torch.full_like(one, wanted)) for one in critic(picture))


@pytest.mark.parametrize("variant", VARIANTS)
def test_losses_are_those_of_a_plain_formulation(variant):
    """Path by path, with weights switched by requires_grad as the authors' code does it."""
    method, batch = small(variant), batch_of()
    found = method.losses(batch, state_of(GENERATOR))
    a, b, other = (2 * batch[key] - 1 for key in ("input", "output", "other_output"))
    loss, made = torch.zeros(()), {}
    if variant in ("bicyclegan", "cae_gan", "cvae_gan", "cvae_gan_pp"):
        mean, log_variance = method.encoder(b)
        z = mean
        if variant != "cae_gan":
            z = mean + noise_of(ENCODED, batch["sample"]) * log_variance.exp().sqrt()
            kl = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum()
            torch.testing.assert_close(found["kl"], kl)
            loss = loss + 0.01 * kl
        made[ENCODED] = method.generator(a, z)
        loss = loss + fooled(method.critics[ENCODED], made[ENCODED], 1.0)
        loss = loss + 10 * (made[ENCODED] - b).abs().mean()
    if variant not in ("cae_gan", "cvae_gan"):
        z = noise_of(DRAWN, batch["sample"])
        made[DRAWN] = method.generator(a, z)
        loss = loss + fooled(method.critics[DRAWN], made[DRAWN], 1.0)
        if variant == "pix2pix_noise":
            loss = loss + 10 * l1_loss(made[DRAWN], b)
        if variant in ("bicyclegan", "clr_gan"):
            latent = (method.encoder(made[DRAWN])[0] - z).abs().mean()
            torch.testing.assert_close(found["latent"], latent)
            loss = loss + 0.5 * latent
    torch.testing.assert_close(found["loss"], loss)
    critics = method.losses(batch, state_of(CRITICS))["loss"]
    real = {ENCODED: b, DRAWN: other}
    plain = sum(
        fooled(method.critics[path], picture.detach(), 0.0)
        + fooled(method.critics[path], real[path], 1.0)
        for path, picture in made.items()
    )
    torch.testing.assert_close(critics, plain)


def test_divergence_is_summed_over_batch_and_code():
    mean, log_variance = torch.randn(4, 8), torch.randn(4, 8)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(kl_to_normal(mean, log_variance), expected)
    assert kl_to_normal(torch.zeros(4, 8), torch.zeros(4, 8)) == 0


def gradients(network) -> list[bool]:
    return [w.grad is not None and bool((w.grad != 0).any()) for w in network.parameters()]


def test_the_latent_loss_holds_the_encoder_but_in_clr_gan():
    batch = batch_of()
    for variant in ("bicyclegan", "clr_gan"):
        method = small(variant)
        method.losses(batch, state_of(GENERATOR))["latent"].backward()
        assert any(gradients(method.encoder)) == (variant == "clr_gan"), variant
        assert any(gradients(method.generator))


def test_a_turn_gives_gradients_to_its_own_networks_alone():
    method, batch = small(), batch_of()
    method.losses(batch, state_of(GENERATOR))["loss"].backward()
    assert not any(gradients(method.critics))
    assert any(gradients(method.encoder.log_variance))
    method.zero_grad()
    method.losses(batch, state_of(CRITICS))["loss"].backward()
    assert all(any(gradients(critic)) for critic in method.critics.values())
    assert not any(gradients(method.generator))
    assert not any(gradients(method.encoder))


def test_variants_hold_the_networks_that_they_use_and_see_no_more():
    have = {v: (small(v).can_encode, sorted(small(v).critics)) for v in VARIANTS}
    assert have == {
        "bicyclegan": (True, [DRAWN, ENCODED]),
        "pix2pix_noise": (False, [DRAWN]),
        "cae_gan": (True, [ENCODED]),
        "cvae_gan": (True, [ENCODED]),
        "cvae_gan_pp": (True, [DRAWN, ENCODED]),
        "clr_gan": (True, [DRAWN]),
    }


def test_what_a_batch_holds(tmp_path):
    pack = facade_pack(tmp_path / "pack.h5", range(5))
    for variant in VARIANTS:
        sample = small(variant).samples([pack], seed=1)[0]
        assert ("other_output" in sample) == VARIANTS[variant].draws
    samples = small(flips=True).samples([pack], seed=1)
    for number in range(20):
        sample = samples[number]
        assert not torch.equal(sample["output"], sample["other_output"])


@pytest.mark.parametrize("injection", [TO_ALL, TO_INPUT])
@pytest.mark.parametrize("length", [2, 8, 256])
def test_codes_of_any_length_are_used(injection, length):
    method = small(injection=injection, code_dim=length, encoder="cnn").eval()
    picture = torch.rand(1, 3, 32, 32)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2, 1)]
    with torch.no_grad():
        first, second, again = method.sampled(picture, generators)
        assert method.encode(picture).shape == (1, length)
    assert not torch.allclose(first, second, atol=1e-4)
    torch.testing.assert_close(first, again)


def test_gray_inputs_are_the_same_however_they_are_colored():
    method = small(input_channels=1).eval()
    code, gray = torch.randn(1, 8), torch.rand(1, 1, 32, 32)
    tinted = torch.cat([gray, gray, gray], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(
            method.translate(tinted, code),
            (method.generator(2 * gray - 1, code) + 1) / 2,
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_training_comes_out_the_same_and_its_last_batch_may_be_odd(tmp_path):
    pack = facade_pack(tmp_path / "pack.h5", range(5))
    found = []
    for _ in range(2):
        method = small(images_seen=7, batch_size=3)
        samples = method.samples([pack], seed=1)
        result = train(method, samples, seed=1, device="cpu", on_step=lambda: None)
        assert result.images_seen == 9
        found.append(method.state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_a_training_lays_weights_out_as_the_method_says(tmp_path):
    pack = facade_pack(tmp_path / "pack.h5", range(5))
    for generator, levels, layout in (
        ("unet", 5, torch.contiguous_format),
        ("rejoined_unet", 2, torch.channels_last),
    ):
        method = small(generator=generator, levels=levels, images_seen=2)
        assert method.memory_format(torch.device("cuda")) == torch.channels_last
        train(method, method.samples([pack], seed=1), seed=1, device="cpu", on_step=lambda: None)
        weight = method.generator.downs[1].convolution.weight
        assert weight.is_contiguous(memory_format=layout), generator


def test_losses_and_gradients_do_not_depend_on_the_layout():
    found = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        method = small(generator="unet", levels=5).eval().to(memory_format=layout)
        batch = {
            key: value.to(memory_format=layout) if value.ndim == 4 else value
            for key, value in batch_of().items()
        }
        losses = [method.losses(batch, state_of(turn))["loss"] for turn in (GENERATOR, CRITICS)]
        sum(losses).backward()
        gradients = torch.cat([weight.grad.flatten() for weight in method.parameters()])
        found[layout] = torch.stack(losses).detach(), gradients
    (losses, gradients), (other_losses, other_gradients) = found.values()
    torch.testing.assert_close(losses, other_losses, rtol=1e-4, atol=0)
    assert (gradients - other_gradients).norm() < 1e-4 * gradients.norm()


class Dying:
    """Samples of which one cannot be had, as if the process were killed there."""

    def __init__(self, samples, last: int) -> None:
        self.samples, self.last = samples, last

    def __getitem__(self, sample: int):
        if sample > self.last:
            raise KeyboardInterrupt
        return self.samples[sample]


def test_a_killed_training_ends_in_the_same_weights(tmp_path):
    pack = facade_pack(tmp_path / "pack.h5", range(5))
    found = []
    for last in (None, 3):
        checkpointing = Checkpointing(tmp_path / f"work{last}", {}, every_seconds=0)
        how = {"seed": 1, "device": "cpu", "checkpointing": checkpointing}
        if last is not None:
            method = small(images_seen=8, batch_size=2)
            samples = Dying(method.samples([pack], seed=1), last)
            with pytest.raises(KeyboardInterrupt):
                train(method, samples, on_step=lambda: None, **how)
            assert checkpointing.path.is_file()
        method = small(images_seen=8, batch_size=2)
        result = train(method, method.samples([pack], seed=1), on_step=lambda: None, **how)
        assert result.images_seen == 8
        found.append(method.state_dict())
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


@pytest.mark.long
def test_an_encoder_learns_what_its_pairs_differ_in(tmp_path):
    """Reconstructions by codes must be far better than those by codes of other pictures."""
    pack = facade_pack(tmp_path / "pack.h5", range(40))
    method = small(
        "cvae_gan", width=12, images_seen=400, batch_size=4, learning_rate=2e-3, kl_weight=1e-3
    )
    train(method, method.samples([pack], seed=1), seed=1, device="cpu", on_step=lambda: None)
    given, truth = (
        torch.stack([torch.from_numpy(pack.read_unit(i, key)).permute(2, 0, 1) for i in range(16)])
        for key in ("input", "output")
    )
    with torch.no_grad():
        codes = method.eval().encode(truth)
        own = (method.translate(given, codes) - truth).abs().mean()
        foreign = (method.translate(given, codes.roll(1, 0)) - truth).abs().mean()
    assert own < 0.7 * foreign


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "cvae"}, "no variant 'cvae'"),
        ({"encoder": "vgg"}, "no encoder 'vgg'"),
        ({"injection": "all"}, "no injection 'all'"),
        ({"generator": "resnet"}, "no generator 'resnet'"),
        ({"patch_px": 30}, "multiple of 4"),
        ({"input_channels": 2}, "input_channels must be 1 or 3"),
    ],
)
def test_settings_that_do_not_fit_are_told(changes, message):
    with pytest.raises(UnpairedError, match=message):
        small(**changes)


def test_without_an_encoder_no_style_can_be_taken():
    with pytest.raises(UnpairedError, match="pix2pix_noise has no encoder"):
        small("pix2pix_noise").encode(torch.rand(1, 3, 32, 32))
