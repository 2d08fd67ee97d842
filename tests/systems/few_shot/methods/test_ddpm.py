"""The diffusion model: its loss, its uses, and a tiny training that learns."""

from __future__ import annotations

import pytest
import torch

from tests.systems.few_shot.portraits import portrait_pack
from unpaired.core.errors import UnpairedError
from unpaired.learning.diffusion import to_signed
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.systems.few_shot.methods.ddpm import DDPM, DDPMConfig

TINY = {
    "widths": "16 32",
    "blocks": 1,
    "attention_px": None,
    "groups": 4,
    "squeeze_px": 2,
    "scales": True,
    "patch_px": 32,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "beta2": 0.99,
    "schedule": "warmup_cosine",
    "half_life_images": 200,
}


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(k) for k in range(count)]


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return portrait_pack(tmp_path_factory.mktemp("packs") / "pack.h5", range(40))


@pytest.fixture(scope="module")
def trained(pack):
    torch.manual_seed(0)
    method = DDPM(DDPMConfig(images_seen=2400, **TINY))
    samples = method.samples([pack], seed=1, noise=None, noise_draw="fresh")
    result = train(method, samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    return method.eval().requires_grad_(False), result


def test_it_starts_as_one_that_knows_nothing(pack):
    """A network of zeros is wrong by the whole noise, whose mean square is 1."""
    method = DDPM(DDPMConfig(images_seen=8, **TINY))
    samples = method.samples([pack], seed=1, noise=None, noise_draw="fresh")
    batch = {"image": torch.stack([samples[k]["image"] for k in range(32)])}
    batch["sample"] = torch.arange(32)
    loss = method.losses(batch, TrainingState(1, 0, 0, 0.0))["loss"]
    assert loss.item() == pytest.approx(1.0, abs=0.02)


def test_it_learns_to_take_noise_off(trained, pack):
    method, result = trained
    assert result.history[-1]["loss"] < 0.25
    picture = to_signed(torch.from_numpy(pack.read_unit(3)).permute(2, 0, 1)[None])
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    times = torch.tensor([100])
    found = method.predict(method.noise_schedule.noisy(picture, noise, times), times)
    kept = method.noise_schedule.kept_at(times)
    rescaled = method.noise_schedule.noisy(picture, noise, times) / kept.sqrt()
    assert (found - picture).square().mean() < 0.25 * (rescaled - picture).square().mean()


def test_denoising_asks_at_the_time_of_that_noise(trained):
    method, _ = trained
    noisy = torch.randn(2, 3, 32, 32)
    time = method.noise_schedule.time_of(0.5)
    times = torch.full((2,), time)
    kept = method.noise_schedule.kept_at(times)
    torch.testing.assert_close(
        method.denoise(noisy, 0.5), method.predict(kept.sqrt() * noisy, times)
    )


def test_a_projection_of_one_step_is_denoising_of_what_was_noised(trained):
    method, _ = trained
    picture, start = torch.rand(2, 3, 32, 32) * 2 - 1, torch.tensor([80, 120])
    found = method.project(picture, start, 1, eta=0.0, generators=generators(2))
    noise = torch.stack([torch.randn(3, 32, 32, generator=g) for g in generators(2)])
    noisy = method.noise_schedule.noisy(picture, noise, start)
    torch.testing.assert_close(found, method.predict(noisy, start))
    silent = method.project(picture, start, 1, eta=0.0, generators=generators(2), adds_noise=False)
    kept = method.noise_schedule.kept_at(start)
    torch.testing.assert_close(silent, method.predict(kept.sqrt() * picture, start))


def test_clipped_predictions_let_gradients_pass(trained):
    method, _ = trained
    noisy = (3 * torch.randn(1, 3, 32, 32)).requires_grad_()
    picture = method.predict(noisy, torch.tensor([900]))
    assert picture.abs().max() <= 1 + 1e-5
    picture.sum().backward()
    assert (noisy.grad != 0).float().mean() > 0.99


def test_samples_are_pictures_and_the_same_for_the_same_draws(trained):
    method, _ = trained
    first, again = (method.sample(generators(2), 8) for _ in range(2))
    torch.testing.assert_close(first, again)
    assert first.shape == (2, 3, 32, 32)
    assert first.abs().max() <= 1 + 1e-5


def test_a_size_that_the_network_cannot_take_is_told():
    with pytest.raises(UnpairedError, match="patch_px = 30 is no multiple of 4"):
        DDPM(DDPMConfig(images_seen=8, **TINY | {"patch_px": 30}))


def test_attention_is_where_features_have_its_side():
    method = DDPM(DDPMConfig(images_seen=8, **TINY | {"attention_px": 8}))
    assert [block.has_attention for block in method.network.down_blocks] == [False, True]
    with pytest.raises(UnpairedError, match="attention_px = 5: features have sides of 16, 8 px"):
        DDPM(DDPMConfig(images_seen=8, **TINY | {"attention_px": 5}))
