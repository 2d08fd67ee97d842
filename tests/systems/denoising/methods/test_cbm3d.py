from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.systems.denoising.methods.pictures import photograph, psnr_db, with_noise
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.method import Observation
from unpaired.metrics.noise_level import estimate_noise_std
from unpaired.systems.denoising.methods.cbm3d import OPPONENT

NOISE_STD = 25 / 255


def restore(image: Tensor, **settings) -> Tensor:
    return create("cbm3d", **settings).restore(Observation(image))


@pytest.fixture(scope="module")
def clean() -> Tensor:
    return photograph(100, 100, 128)


@pytest.fixture(scope="module")
def observed(clean) -> Tensor:
    return with_noise(clean, NOISE_STD)


@pytest.fixture(scope="module")
def restored(observed) -> Tensor:
    return restore(observed)


def test_knows_nothing_and_needs_no_training_images():
    method = create("cbm3d")
    assert method.knows == ()
    assert method.sees == ()


def test_keeps_shape_and_type(observed, restored):
    assert restored.shape == observed.shape
    assert restored.dtype == torch.float32
    assert torch.isfinite(restored).all()


def test_color_gains(clean, observed, restored):
    assert psnr_db(restored, clean) > psnr_db(observed, clean) + 10.8


def test_joint_color_beats_channels_one_by_one(clean, observed, restored):
    alone = torch.cat([restore(channel) for channel in observed.split(1, dim=1)], dim=1)
    assert psnr_db(restored, clean) > psnr_db(alone, clean) + 1.4


def test_one_channel_gains(clean):
    luminance = clean.mean(dim=1, keepdim=True)
    image = with_noise(luminance, NOISE_STD)
    assert psnr_db(restore(image), luminance) > psnr_db(image, luminance) + 9


def test_estimated_noise_is_the_chen_estimate(observed, restored):
    estimate = estimate_noise_std(observed[0].permute(1, 2, 0).numpy())
    assert estimate == pytest.approx(NOISE_STD, rel=0.03)
    torch.testing.assert_close(restored, restore(observed, noise_std=estimate))


def test_a_given_noise_std_is_used(clean, observed):
    weak = restore(observed[..., :64, :64], noise_std=NOISE_STD / 5)
    right = restore(observed[..., :64, :64], noise_std=NOISE_STD)
    assert psnr_db(right, clean[..., :64, :64]) > psnr_db(weak, clean[..., :64, :64]) + 3


def test_red_and_blue_may_change_places(observed):
    # Only the sign of one opponent channel changes, and with it the rounding that settles which of
    # two equally good patches is taken; without the opponent space the mean change is 0.006.
    small = observed[..., :48, :48]
    swapped = restore(small.flip(1), noise_std=NOISE_STD).flip(1)
    assert (swapped - restore(small, noise_std=NOISE_STD)).abs().mean() < 5e-4


def test_scales_with_the_image(observed):
    small = observed[..., :48, :48]
    expected = restore(small, noise_std=NOISE_STD) / 4
    actual = restore(small / 4, noise_std=NOISE_STD / 4)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


def test_four_planes_are_filtered_each_by_itself(observed):
    planes = torch.cat([observed, observed[:, :1].flip(-1)], dim=1)[..., :32, :32]
    together = restore(planes, noise_std=NOISE_STD)
    alone = restore(planes[:, 3:], noise_std=NOISE_STD)
    torch.testing.assert_close(together[:, 3:], alone)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (1, 3, 8, 31), (1, 3, 17, 9)])
def test_any_size_from_one_patch_on(shape):
    image = 0.5 + NOISE_STD * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    result = restore(image, noise_std=NOISE_STD)
    assert result.shape == image.shape
    assert (result - 0.5).square().mean() < (image - 0.5).square().mean()


def test_a_flat_image_comes_back_as_it_is():
    flat = torch.full((1, 3, 24, 24), 0.25)
    torch.testing.assert_close(restore(flat), flat)


def test_an_image_too_small_to_estimate_is_refused():
    with pytest.raises(UnpairedError, match="cannot estimate the noise"):
        restore(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("noise_std", "told"),
    [
        (25, r"units of the \[0, 1\] range"),
        (-0.1, "must be 0 at least, not -0.1"),
        (float("nan"), "must be 0 at least, .* not nan"),
    ],
)
def test_a_noise_std_on_another_scale_is_refused(noise_std, told):
    with pytest.raises(UnpairedError, match=told):
        create("cbm3d", noise_std=noise_std)


def test_opponent_space_is_orthonormal_with_luminance_first():
    torch.testing.assert_close(OPPONENT @ OPPONENT.T, torch.eye(3))
    torch.testing.assert_close(OPPONENT[0], torch.full((3,), 3**-0.5))
