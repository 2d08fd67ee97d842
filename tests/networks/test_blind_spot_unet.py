from __future__ import annotations

import pytest
import torch

from tests.networks.checks import assert_bf16_output_is_finer_than_8_bits
from unpaired.networks.blind_spot_unet import BlindSpotUNet
from unpaired.networks.neighbors import mean_of_neighbors

NEIGHBORS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]


def network(channels: int = 1, outputs: int = 1, **options) -> BlindSpotUNet:
    torch.manual_seed(0)
    made = BlindSpotUNet(channels, outputs, width=4, **options)
    torch.nn.init.normal_(made.last.weight)
    for parameter in made.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return made


def picture(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def changes(made: BlindSpotUNet, image: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """How the outputs change with the pixels ``indices``, perturbed one by one: N x H x W."""
    batch = image.repeat(len(indices) + 1, 1, 1, 1)
    plane = batch.flatten(2)
    plane[torch.arange(len(indices)), :, indices] += 3.0
    output = made(plane.view_as(batch))
    return (output[:-1] - output[-1]).abs().amax(1)


# Every pixel of a square; of an oblong image every seventh, which meets all rows and columns.
@pytest.mark.parametrize(
    ("height", "width", "every", "global_residual"),
    [(32, 32, 1, False), (32, 32, 1, True), (64, 32, 7, False)],
)
def test_no_output_sees_its_own_pixel_and_all_see_their_neighbors(
    height, width, every, global_residual
):
    made = network(2, 5, global_residual=global_residual)
    image = picture(1, 2, height, width)
    with torch.no_grad():
        for indices in torch.arange(0, height * width, every).split(64):
            changed = changes(made, image, indices)
            here = torch.arange(len(indices))
            rows, columns = indices // width, indices % width
            assert changed[here, rows, columns].max() == 0
            inside = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
            for down, right in NEIGHBORS:
                seen = changed[here[inside], rows[inside] + down, columns[inside] + right]
                assert (seen > 1e-4).all()


def test_one_part_of_the_features_sees_the_rows_above_only():
    made = network()
    image = picture(1, 1, 64, 64).requires_grad_()
    upright = made.half_plane(image)
    (gradient,) = torch.autograd.grad(upright[0, :, 20].abs().sum(), image)
    rows = gradient[0, 0].abs().amax(1) > 0
    assert rows[:20].any()
    assert not rows[20:].any()
    assert rows[19]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 32)])
def test_turning_the_image_turns_the_features_and_permutes_them(height, width):
    """The four directions share their weights."""
    made = network(3, 2)
    image = picture(2, 3, height, width)
    parts = made.features(image).chunk(4, dim=1)
    turned = made.features(image.rot90(1, (2, 3))).chunk(4, dim=1)
    for turns, part in enumerate(turned):
        # Turned once more before the same half plane is seen.
        expected = parts[(turns + 1) % 4].rot90(1, (2, 3))
        torch.testing.assert_close(part, expected, rtol=1e-4, atol=1e-4)


def test_two_passes_over_an_oblong_image_give_what_four_single_ones_give():
    made = network()
    image = picture(2, 1, 32, 64)
    singles = [
        made.half_plane(image.rot90(turns, (2, 3))).rot90(-turns, (2, 3)) for turns in range(4)
    ]
    torch.testing.assert_close(made.features(image), torch.cat(singles, 1), rtol=1e-4, atol=1e-4)


def test_parameters():
    assert sum(p.numel() for p in BlindSpotUNet(3, 9).parameters()) == 1_269_129


def test_global_residual_starts_at_the_mean_of_the_neighbors():
    image = torch.rand(1, 3, 32, 64)
    output = BlindSpotUNet(3, 9, width=4, global_residual=True)(image)
    assert torch.equal(output[:, :3], mean_of_neighbors(image))
    assert output[:, 3:].abs().max() == 0


def test_he_gives_the_last_layer_gain_one():
    torch.manual_seed(0)
    made = BlindSpotUNet(3, 9)
    assert made.half_plane.bottleneck.weight.std().item() == pytest.approx(
        (2 / 432) ** 0.5, rel=0.05
    )
    assert made.last.weight.std().item() == pytest.approx((1 / 96) ** 0.5, rel=0.15)


def test_margin_covers_the_receptive_field():
    """The center's gradient must vanish beyond the margin, and not long before it."""
    torch.manual_seed(0)
    made = BlindSpotUNet(1, 1, width=4, negative_slope=1.0)
    size = 704
    image = torch.rand(1, 1, size, size, requires_grad=True)
    # This row reaches farthest up: it is the last of its pooling cells.
    center = size // 2 - 1
    made(image)[0, 0, center, center].backward()
    reach = image.grad[0, 0].abs().amax(1).nonzero().ravel()
    assert 280 < center - reach.min().item() <= made.margin_px
    assert 280 < reach.max().item() - center <= made.margin_px


def test_bf16_output_is_finer_than_8_bits():
    torch.manual_seed(0)
    assert_bf16_output_is_finer_than_8_bits(BlindSpotUNet(3, 9, width=16, global_residual=True))
