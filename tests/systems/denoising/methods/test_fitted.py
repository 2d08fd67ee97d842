"""What holds for every method that fits a network to each image anew."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.systems.denoising.methods.pictures import photograph, psnr_db, with_noise
from unpaired.learning.create import create
from unpaired.learning.method import Observation

NOISE_STD = 50 / 255
TINY = {
    "dip": {"iterations": 3, "width": 4, "skip_width": 4, "input_channels": 4},
    "self2self": {"iterations": 6, "width": 6, "passes": 2, "learning_rate": 1e-2},
}
SECONDS = {
    "dip": {
        "iterations": 90,
        "width": 16,
        "skip_width": 16,
        "input_channels": 8,
        "perturbation_std": 0,
        "averaging": 0.9,
    },
    "self2self": {
        "iterations": 90,
        "width": 12,
        "learning_rate": 3e-3,
        "keep_probability": 0.9,
        "dropout": 0.1,
        "passes": 10,
    },
}

pytestmark = pytest.mark.parametrize("method", TINY)


def restore(method: str, image: Tensor, settings: dict | None = None) -> Tensor:
    return create(method, **(settings or TINY[method])).restore(Observation(image))


@pytest.fixture
def image() -> Tensor:
    return with_noise(photograph(0, 150, 64), NOISE_STD)


@pytest.mark.long
def test_gains(method):
    clean = photograph(0, 150, 96)
    noisy = with_noise(clean, NOISE_STD)
    assert psnr_db(restore(method, noisy, SECONDS[method]), clean) > psnr_db(noisy, clean) + 5


@pytest.mark.parametrize("shape", [(1, 1, 5, 3), (1, 3, 65, 31), (1, 4, 64, 96), (1, 3, 1, 1)])
def test_any_size_and_channels(method, shape):
    restored = restore(method, torch.rand(shape))
    assert restored.shape == shape
    assert restored.dtype == torch.float32
    assert torch.isfinite(restored).all()


def test_same_result_each_time_and_the_callers_random_state_is_untouched(method, image):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = restore(method, image)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(restore(method, image), first)


@pytest.mark.parametrize(
    "context", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_the_callers_modes_change_nothing(method, image, context):
    expected = restore(method, image)
    with context():
        assert torch.equal(restore(method, image.clone()), expected)


def test_the_input_is_left_as_it_is(method, image):
    copy = image.clone()
    restore(method, image)
    assert torch.equal(image, copy)
