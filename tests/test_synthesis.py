from __future__ import annotations

import pytest
import torch

from unpaired import synthesis
from unpaired.errors import UnpairedError
from unpaired.methods import create
from unpaired.methods.base import Observation
from unpaired.networks.latents import LatentLevel
from unpaired.synthesis import draw_t, noise_window, synthesize

SMALL = {
    "lud_vae": {
        "width": 8,
        "residual_width": 4,
        "residual_blocks": 1,
        "code_dim": 4,
        "codes": 8,
        "blur_kernel_px": 5,
        "blur_std_px": 1.5,
    },
    "lud_vae_public": {"width": 4},
}


@pytest.fixture(params=list(SMALL))
def method(request):
    torch.manual_seed(0)
    return create(request.param, **SMALL[request.param]).eval()


def image(height=70, width=61):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("size", [(70, 61), (64, 64), (9, 13)])
def test_a_pair_has_the_size_of_the_image_and_is_finite(method, size):
    for generation_method in (2, 3):
        pair = synthesize(
            method, image(*size), key=(1,), t=2.0, generation_method=generation_method
        )
        for part in (pair.clean, pair.noisy):
            assert part.shape == (1, 3, *size)
            assert part.isfinite().all()


def test_the_noise_is_a_function_of_the_key(method):
    one, again, other = (
        synthesize(method, image(), key=key, t=1.0).noisy for key in ((1, "a"), (1, "a"), (1, "b"))
    )
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_the_global_random_state_does_not_matter(method):
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(synthesize(method, image(), key=(1,), t=1.0).noisy)
    assert torch.equal(*made)


def test_method_3_keeps_the_clean_image_and_method_2_the_noisy_one(method):
    pair = synthesize(method, image(), key=(1,), t=1.0)
    assert torch.equal(pair.clean, image())
    pair = synthesize(method, image(), key=(1,), t=1.0, generation_method=2)
    assert torch.equal(pair.noisy, image())


def test_method_2_is_the_image_decoded_without_noise(method):
    seen = image(64, 64)
    found = [
        synthesize(method, seen, key=key, t=t, generation_method=2).clean
        for key, t in (((1,), 1.0), ((2,), 3.0))
    ]
    assert torch.equal(*found)
    assert torch.equal(found[0], method.restore(Observation(seen)))


def test_method_3_is_the_methods_own_degradation_with_one_draw(method):
    seen = image(64, 72)
    noise = [
        noise_window((1, "noise level", number), level, 0, 0, 64, 72)
        for number, level in enumerate(method.noise_levels)
    ]
    expected = method.degrade(seen, noise, 3.0)
    assert torch.equal(synthesize(method, seen, key=(1,), t=3.0).noisy, expected)


@pytest.mark.parametrize("size", [(151, 190), (40, 260)])
def test_tiles_equal_the_whole(method, size):
    method.double()
    seen = image(*size).double()
    tiled = synthesize(method, seen, key=(1,), t=2.0, tile_px=32).noisy
    whole = synthesize(method, seen, key=(1,), t=2.0).noisy
    assert torch.allclose(tiled, whole, atol=1e-9)


@pytest.mark.parametrize("t", [0.99, 4.01, float("nan"), -1.0])
def test_a_noise_level_out_of_range_is_refused(method, t):
    with pytest.raises(
        UnpairedError, match=r"^the noise level t must lie between 1.0 and 4.0; got"
    ):
        synthesize(method, image(), key=(1,), t=t)


def test_generation_method_1_is_refused(method):
    with pytest.raises(UnpairedError, match="generation methods 2 and 3; got 1"):
        synthesize(method, image(), key=(1,), t=1.0, generation_method=1)


def test_levels_of_images_are_uniform_and_belong_to_the_key():
    levels = torch.tensor([draw_t((1, n)) for n in range(2000)])
    assert draw_t((1, 5)) == pytest.approx(levels[5].item())
    assert 1 <= levels.min() < 1.01
    assert 3.99 < levels.max() <= 4
    assert levels.mean().item() == pytest.approx(2.5, abs=0.06)


def test_a_window_shows_the_same_noise_wherever_it_is_cut():
    level = LatentLevel(2, 4)
    whole = noise_window((1,), level, 0, 0, 600, 800)
    assert whole.shape == (1, 2, 150, 200)
    part = noise_window((1,), level, 240, 512, 88, 80)
    assert torch.equal(part, whole[..., 60:82, 128:148])
    assert whole.mean().abs() < 0.02
    assert whole.std().item() == pytest.approx(1, abs=0.02)
    blocks = whole[..., :128, :192].unfold(2, 64, 64).unfold(3, 64, 64).flatten(4).squeeze(0)
    rows = blocks.reshape(-1, 64 * 64)
    correlations = torch.corrcoef(rows) - torch.eye(len(rows))
    assert correlations.abs().max() < 0.08


def test_memory_of_the_noise_is_that_of_the_window(monkeypatch):
    drawn = []
    block = synthesis._block
    monkeypatch.setattr(synthesis, "_block", lambda *a: drawn.append(a) or block(*a))
    noise_window((1,), LatentLevel(1, 1), 6400, 6400, 128, 64)
    assert [(row, column) for *_, row, column in drawn] == [(100, 100), (101, 100)]
