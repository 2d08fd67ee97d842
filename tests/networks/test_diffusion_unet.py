"""The U-Net of diffusion models against diffusers', which is another implementation."""

from __future__ import annotations

import pytest
import torch

from unpaired.core.errors import UnpairedError
from unpaired.networks.diffusion_unet import DiffusionUNet, widths_of

diffusers = pytest.importorskip("diffusers", reason="needs diffusers (extra 'test')")


def theirs(**changes):
    settings = {
        "sample_size": 16,
        "block_out_channels": (8, 16, 24),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 2,
        "attention_head_dim": None,
        "downsample_padding": 0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "norm_eps": 1e-6,
        "norm_num_groups": 4,
    }
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(**settings | changes)
    with torch.no_grad():  # So that no part is silent.
        for value in network.parameters():
            value.add_(0.05 * torch.randn_like(value))
    return network.eval()


OURS = {"widths": (8, 16, 24), "blocks": 2, "attention": (1,), "groups": 4}


@pytest.mark.parametrize(
    ("changes", "own"),
    [
        ({}, {}),
        ({"attention_head_dim": 8}, {"heads": 2, "widths": (8, 16, 16)}),
        (
            {
                "resnet_time_scale_shift": "scale_shift",
                "add_attention": False,
                "down_block_types": ("DownBlock2D",) * 3,
                "up_block_types": ("UpBlock2D",) * 3,
            },
            {"scales": True, "attention": ()},
        ),
        ({"layers_per_block": 1}, {"blocks": 1}),
    ],
)
def test_the_same_weights_give_the_same_noise(changes, own):
    if "heads" in own:
        changes = changes | {"block_out_channels": (8, 16, 16)}
    other, ours = theirs(**changes), DiffusionUNet(3, **OURS | own)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in other.state_dict().items()
    }
    ours.load_state_dict(other.state_dict())
    picture, times = torch.randn(3, 3, 16, 16), torch.tensor([0, 17, 999])
    with torch.no_grad():
        expected, found = other(picture, times).sample, ours(picture, times)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_squares_are_put_into_channels_and_back():
    about = {"widths": (8, 16), "blocks": 1, "groups": 4, "timed": False}
    squeezed = DiffusionUNet(3, squeeze_px=2, **about)
    plain = DiffusionUNet(12, **about)
    torch.nn.init.normal_(squeezed.conv_out.weight, std=0.1)
    plain.load_state_dict(squeezed.state_dict())
    picture = torch.randn(1, 3, 12, 12)
    expected = plain(torch.nn.functional.pixel_unshuffle(picture, 2))
    found = torch.nn.functional.pixel_unshuffle(squeezed(picture), 2)
    torch.testing.assert_close(found, expected)
    assert expected.abs().max() > 0.01


def test_without_a_time_it_starts_at_zero_and_its_latent_is_the_innermost():
    network = DiffusionUNet(3, widths=(8, 16, 24), blocks=1, groups=4, squeeze_px=2, timed=False)
    picture = torch.randn(2, 3, 16, 16)
    output, latent = network.with_latent(picture)
    assert not output.any()
    assert latent.shape == (2, 24, 2, 2)
    assert network.multiple_px == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": 8}, "widths must be a list"),
        ({"widths": [8, 0]}, "must be positive"),
        ({"widths": [8, 6]}, "groups = 4 must divide all widths, but not 6"),
        ({"attention": [3]}, "there is no level 3 of 3"),
        ({"attention": [1], "heads": 3}, "heads = 3 must divide the width 16"),
    ],
)
def test_settings_that_make_no_network_are_told(settings, message):
    with pytest.raises(UnpairedError, match=message):
        DiffusionUNet(3, **OURS | settings)


def test_widths_are_numbers_with_spaces():
    assert widths_of("32 64  96") == [32, 64, 96]
    for wrong in ("32, 64", "wide", 32):
        with pytest.raises(UnpairedError, match="with spaces between them"):
            widths_of(wrong)
