from __future__ import annotations

import pytest
import torch
from torch import nn

from unpaired.core.errors import UnpairedError
from unpaired.imaging.tiling import restore_tiled
from unpaired.learning.method import Observation, TrainingState
from unpaired.systems.denoising.methods.noise2self import (
    Noise2Self,
    Noise2SelfConfig,
    grid_at,
    interpolate,
)


def state(step: int) -> TrainingState:
    return TrainingState(seed=1, step=step, images_seen=0, fraction=0.0)


def make(**settings):
    """A small network whose layers, normalization included, are far from where they start."""
    torch.manual_seed(0)
    method = Noise2Self(Noise2SelfConfig(**({"width": 4, "depth": 3} | settings)))
    for module in method.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.3)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.bias)
    return method.eval()


def test_defaults():
    method = Noise2Self(Noise2SelfConfig())
    assert sum(parameter.numel() for parameter in method.parameters()) == 225_408
    assert method.phases()[0].optimizer.defaults["lr"] == 1e-3
    assert (method.multiple_px, method.margin_px) == (1, 9)
    assert method.read_out == "invariant"


def test_interpolation_of_a_case_by_hand():
    image = torch.tensor([[1.0, 2, 3], [4, 100, 6], [7, 8, 9]])[None, None]
    center = (2 + 4 + 6 + 8 + 0.5 * (1 + 3 + 7 + 9)) / 6
    corner = (2 + 4 + 0.5 * 100) / 2.5
    edge = (1 + 3 + 100 + 0.5 * (4 + 6)) / 4
    result = interpolate(image)[0, 0]
    assert result[1, 1].item() == pytest.approx(center)
    assert result[0, 0].item() == pytest.approx(corner)
    assert result[0, 1].item() == pytest.approx(edge)


def test_interpolation_keeps_constants_at_the_borders_of_every_channel():
    image = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(2, 3, 7, 5)
    assert torch.allclose(interpolate(image), image, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(interpolate(image), image, atol=1e-6)


def test_phases_mask_every_pixel_once_per_cycle():
    for grid_px in (2, 3, 4):
        counts, first = torch.zeros(2, 12, 12), []
        for step in range(2 * grid_px**2):
            counts[step // grid_px**2][grid_at(step, grid_px)] += 1
            rows, columns = grid_at(step, grid_px)[1:]
            first.append((rows.start, columns.start))
        assert torch.equal(counts, torch.ones(2, 12, 12))
        assert first[1] == (1, 0)  # Rows change first.


@pytest.mark.parametrize("global_residual", [False, True])
@pytest.mark.parametrize("grid_px", [2, 3, 4])
def test_no_pixel_of_the_invariant_read_out_depends_on_its_own_value(grid_px, global_residual):
    method = make(grid_px=grid_px, global_residual=global_residual)
    height, width = 9, 10
    image = torch.rand(1, 3, height, width)
    pixels = torch.arange(height * width)
    changed = image.expand(len(pixels), -1, -1, -1).clone()
    changed[pixels, :, pixels // width, pixels % width] += torch.rand(len(pixels), 3)

    def own_change(read_out):
        method.choose_read_out(read_out)
        difference = method.restore(Observation(changed)) - method.restore(Observation(image))
        assert difference.abs().amax((1, 2, 3)).min() > 1e-3  # Others do depend on it.
        return difference[pixels, :, pixels // width, pixels % width].abs().amax(1)

    assert own_change("invariant").max() < 1e-5
    assert own_change("direct").median() > 1e-3


def test_the_two_read_outs_written_out():
    method = make()
    image = torch.rand(1, 3, 10, 11)
    expected = torch.zeros_like(image)
    with torch.no_grad():
        for row in range(4):
            for column in range(4):
                mask = torch.zeros(10, 11)
                mask[row::4, column::4] = 1
                given = image * (1 - mask) + interpolate(image) * mask
                expected += method.network(given) * mask
        direct = method.network(image)
    assert torch.allclose(method.restore(Observation(image)), expected, atol=1e-6)
    method.choose_read_out("direct")
    assert torch.equal(method.restore(Observation(image)), direct)


@pytest.mark.parametrize("step", [0, 6, 21])
def test_loss_is_the_mean_squared_error_of_the_masked_pixels(step):
    method = make()
    noisy = torch.rand(2, 3, 16, 12)
    mask = torch.zeros(16, 12)
    mask[step % 4 :: 4, step % 16 // 4 :: 4] = 1
    given = noisy * (1 - mask) + interpolate(noisy) * mask
    error = ((method.network(given) - noisy) * mask).square().sum() / (2 * 3 * mask.sum())
    batch = {"noisy": noisy, "sample": torch.arange(2)}
    assert method.losses(batch, state(step))["loss"].item() == pytest.approx(error.item(), rel=1e-5)
    assert torch.equal(batch["noisy"], noisy)


def test_the_loss_does_not_show_the_network_the_masked_pixels():
    method = make()
    noisy = torch.rand(1, 3, 16, 16, requires_grad=True)
    grid = grid_at(5, 4)
    given = []
    method.network.register_forward_hook(lambda module, inputs, output: given.append(inputs[0]))
    method.losses({"noisy": noisy, "sample": torch.arange(1)}, state(5))
    (gradient,) = torch.autograd.grad(given[0].sum(), noisy)
    assert gradient[grid].abs().max() == 0
    assert (gradient != 0).sum() == 3 * 15 * 16


def test_global_residual_starts_at_the_interpolation():
    method = Noise2Self(Noise2SelfConfig(width=4, global_residual=True)).eval()
    image = torch.rand(1, 3, 12, 10)
    assert torch.allclose(method.restore(Observation(image)), interpolate(image), atol=1e-6)


@pytest.mark.parametrize("read_out", ["invariant", "direct"])
def test_tiles_give_what_the_whole_image_gives(read_out):
    """Which pixels are masked together does not depend on where a tile starts."""
    method = make()
    method.choose_read_out(read_out)
    image = torch.rand(1, 3, 41, 37)
    tiled = restore_tiled(
        lambda tile: method.restore(Observation(tile)),
        image,
        tile_px=19,
        margin_px=method.margin_px,
        multiple_px=method.multiple_px,
    )
    assert torch.allclose(tiled, method.restore(Observation(image)), atol=1e-5)


@pytest.mark.parametrize("settings", [{"grid_px": 1}, {"depth": 1}])
def test_bad_settings_are_told(settings):
    with pytest.raises(UnpairedError, match="must be at least 2"):
        Noise2SelfConfig(**settings)
