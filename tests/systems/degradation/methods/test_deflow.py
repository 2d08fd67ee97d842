from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from tests.systems.degradation import small
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.method import Observation, TrainingState
from unpaired.learning.training import Checkpointing, train
from unpaired.learning.weights import load_model, save_model
from unpaired.systems.degradation.synthesis import draw_levels, synthesize

SMALL = small.SMALL["deflow"] | {"patch_px": 16, "batch_size": 2}


def state(fraction: float = 0.5) -> TrainingState:
    return TrainingState(seed=1, step=0, images_seen=0, fraction=fraction)


def make(**overrides):
    torch.manual_seed(0)
    return create("deflow", **(SMALL | overrides))


def moved(method):
    """The method with couplings that change something, and a shift that is one."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            std = 0.1 if "steered" in name or "shift" in name else 0.01
            parameter += std * torch.randn(parameter.shape, generator=generator)
    return method


def batch_for(method, samples=(3, 8)) -> dict[str, torch.Tensor]:
    side = method.config.patch_px
    generator = torch.Generator().manual_seed(5)
    pictures = [torch.rand(len(samples), 3, side, side, generator=generator) for _ in range(2)]
    keys = ("noisy", "unpaired_clean")
    return dict(zip(keys, pictures, strict=True)) | {"sample": torch.tensor(samples)}


def test_defaults_are_the_papers():
    config = make().Config()
    assert (config.levels, config.steps, config.width, config.encoder_blocks) == (3, 16, 128, 23)
    assert (config.patch_px, 2 * config.batch_size) == (160, 8)
    assert config.images_seen / config.batch_size == 100_000
    (phase,) = make(learning_rate=config.learning_rate).phases()
    assert phase.optimizer.defaults["lr"] == 1e-4
    assert phase.optimizer.defaults["betas"] == (0.9, 0.99)
    rates = [phase.schedule(done) for done in (0, 0.49, 0.5, 0.75, 0.9, 0.95)]
    assert rates == [1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"patch_px": 20}, "patch_px must be a multiple of 8, not 20"),
        ({"global_residual": True}, "leave it out"),
        ({"condition_reduction": 3}, "a power of 2, not 3"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, told):
    with pytest.raises(UnpairedError, match=told):
        make(**wrong)


def test_the_likelihood_written_out():
    """Bits per pixel and channel of pictures of 32 levels of gray: shift, flow, base."""
    method = moved(make(levels=1)).double()
    picture = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    net = method.network
    conditions = net.condition(picture, torch.zeros(1, 3, 4, 4, dtype=torch.float64))
    (latents,), log_det = net(picture, conditions)
    shift = net.shift[0]
    factor = shift.factor.tril()
    identity = torch.eye(len(factor), dtype=torch.float64)
    bases = {
        False: MultivariateNormal(torch.zeros_like(shift.mean), identity),
        True: MultivariateNormal(shift.mean, identity + factor @ factor.T),
    }
    for is_noisy, base in bases.items():
        nats = base.log_prob(latents.movedim(1, -1)).sum() + log_det.sum()
        expected = 5 - nats / math.log(2) / 768
        found = method.bits_per_dimension(picture, conditions, is_noisy=is_noisy)
        assert found.item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_loss_is_the_mean_of_both_kinds():
    method = moved(make())
    losses = method.losses(batch_for(method), state())
    both = [losses[f"bits_per_dimension_{kind}"].item() for kind in ("clean", "noisy")]
    assert losses["loss"].item() == pytest.approx(sum(both) / 2)
    losses["loss"].backward()
    without = [n for n, p in method.named_parameters() if p.grad is None]
    assert not without


def test_clean_pictures_teach_the_shift_nothing():
    method = moved(make())
    losses = method.losses(batch_for(method), state())
    losses["bits_per_dimension_clean"].backward()
    assert [p.grad for p in method.network.shift.parameters()] == [None] * 6


def test_noise_and_orientation_belong_to_the_sample_not_to_the_batch():
    method = moved(make())
    together = batch_for(method)
    alone = [{key: value[n : n + 1] for key, value in together.items()} for n in (0, 1)]
    mean = sum(method.losses(batch, state())["loss"] for batch in alone) / 2
    assert method.losses(together, state())["loss"].item() == pytest.approx(mean.item(), rel=1e-5)


def test_a_shift_of_nothing_gives_the_picture_back():
    method = moved(make()).eval()
    clean = torch.rand(3, 3, 32, 16)
    generators = [torch.Generator().manual_seed(n) for n in range(3)]
    noise = method.draw_noise(clean, generators)
    assert (method.degrade(clean, noise, 0.0) - clean).abs().max() < 1e-4
    assert (method.degrade(clean, noise, 1.0) - clean).abs().max() > 1e-2


def test_with_a_linear_flow_what_is_added_is_the_shift_through_its_inverse():
    """Couplings that start as the identity leave actnorms and rotations: mean and covariance."""
    method = make(levels=1, steps=1).eval()
    with torch.no_grad():
        shift = method.network.shift[0]
        shift.mean += 0.2
        shift.factor += 0.1 * torch.randn(12, 12, generator=torch.Generator().manual_seed(2))
        clean = torch.rand(1, 3, 64, 64)
        noise = method.draw_noise(clean, [torch.Generator().manual_seed(3)])
        added = {t: method.degrade(clean, noise, t) - clean for t in (1.0, 2.0)}
        conditions = method.network.condition(clean, torch.zeros(1, 3, 16, 16))
        shifted = [t * shift.sample(noise[1]) for t in (1.0, 2.0)]
        zero = method.network.inverse([torch.zeros_like(noise[1])], conditions)
        for t, own in zip((1.0, 2.0), shifted, strict=True):
            expected = method.network.inverse([own], conditions) - zero
            assert torch.allclose(added[t], expected, atol=1e-5)
    assert torch.allclose(2 * added[1.0], added[2.0], atol=1e-5)


def test_restoring_is_deterministic_and_takes_a_known_shift_away():
    method = make(levels=1, steps=1).eval()
    with torch.no_grad():
        method.network.shift[0].mean += 1.0
        method.network.shift[0].factor.zero_()
    clean = torch.rand(1, 3, 32, 32)
    noisy = method.degrade(clean, method.draw_noise(clean, [torch.Generator()]), 1.0)
    once, again = (method.restore(Observation(noisy)) for _ in range(2))
    assert torch.equal(once, again)
    assert (noisy - clean).abs().mean() > 0.1
    assert torch.allclose(once, clean, atol=1e-5)


def test_pairs_are_made_with_the_heat_of_one_at_any_size(tmp_path):
    method = moved(make()).eval()
    assert draw_levels(method, (1,))["t"] == 1.0
    image = torch.rand(1, 3, 37, 50)
    made = synthesize(method, image, key=(1,), t=1.0).noisy
    assert made.shape == image.shape
    assert not torch.equal(made, synthesize(method, image, key=(2,), t=1.0).noisy)
    save_model(tmp_path / "model.safetensors", "deflow", method)
    _, loaded = load_model(tmp_path / "model.safetensors")
    # The memory layout of a loaded model is another, and with it the rounding.
    assert torch.allclose(synthesize(loaded, image, key=(1,), t=1.0).noisy, made, atol=1e-4)


STD, GRAIN = 0.08, 0.04


class FlatPictures:
    """Clean pictures are gray with a fine grain; noisy ones have white noise besides."""

    def __getitem__(self, sample: int) -> dict[str, torch.Tensor | int]:
        rng = np.random.default_rng([7, sample])
        return {
            "noisy": torch.from_numpy(flat(rng) + STD * normal(rng)),
            "unpaired_clean": torch.from_numpy(flat(rng)),
            "sample": sample,
        }


def normal(rng, side_px=16):
    return rng.standard_normal((3, side_px, side_px), dtype=np.float32)


def flat(rng, side_px=16):
    gray = rng.uniform(0.3, 0.7, (3, 1, 1)).astype(np.float32)
    return gray + np.float32(GRAIN) * normal(rng, side_px)


SHORT = {
    "levels": 1,
    "condition_reduction": 8,
    "encoder_blocks": 1,
    "batch_size": 8,
    "images_seen": 880,
    "learning_rate": 0.02,
    "schedule": "warmup_cosine",
}


@pytest.mark.long
def test_seconds_of_training_learn_the_noise():
    """And no likelihood is above that of the true distribution, as a wrong determinant's would be.

    A normal variable of deviation s takes log2(32 s sqrt(2 pi e)) bits.
    """
    method, samples = make(**SHORT), FlatPictures()
    method.prepare(samples, 1)
    history = train(method, samples, seed=1, precision="fp32").history
    method.eval()
    clean = torch.from_numpy(flat(np.random.default_rng(5), 96))[None]
    added = synthesize(method, clean, key=(1,), t=1.0).noisy - clean
    assert added.std().item() == pytest.approx(STD, rel=0.25)
    neighbors = torch.stack([added[..., 1:].ravel(), added[..., :-1].ravel()])
    assert abs(torch.corrcoef(neighbors)[0, 1]) < 0.25
    uniform = 1 / 32 / 12**0.5
    for kind, parts in (("clean", (GRAIN, uniform)), ("noisy", (GRAIN, STD, uniform))):
        least = math.log2(32 * math.hypot(*parts) * math.sqrt(2 * math.pi * math.e))
        assert least - 0.1 < float(history[-1][f"bits_per_dimension_{kind}"]) < least + 0.6


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    samples = FlatPictures()

    class Killed(RuntimeError):
        pass

    class Killing(FlatPictures):
        def __getitem__(self, sample):
            if sample >= 9:
                raise Killed
            return super().__getitem__(sample)

    def prepared(**overrides):
        method = make(images_seen=16, **overrides)
        method.prepare(samples, 1)
        return method

    options = {"seed": 1, "precision": "fp32"}
    whole = prepared()
    expected = train(whole, samples, **options)
    checkpointing = Checkpointing(tmp_path / "work", {"spec": 1}, every_seconds=0.0)
    checkpointing.folder.mkdir()
    with pytest.raises(Killed):
        train(prepared(), Killing(), **options, checkpointing=checkpointing)
    other = create("deflow", **SMALL, images_seen=16)  # Other weights, rotations and no start.
    resumed = train(other, samples, **options, checkpointing=checkpointing)
    states = other.state_dict(), whole.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert resumed.history == expected.history
