from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch

from unpaired.networks.lud_vae import LowPass, LUDVAENet

SMALL = {
    "width": 8,
    "residual_width": 4,
    "residual_blocks": 1,
    "code_dim": 4,
    "codes": 8,
    "blur_kernel_px": 5,
    "blur_std_px": 1.5,
}


def make(**overrides) -> LUDVAENet:
    torch.manual_seed(0)
    return LUDVAENet(3, **(SMALL | overrides)).eval()


def noise_of(network: LUDVAENet, batch=1, height=32, width=40) -> list[torch.Tensor]:
    return [torch.randn(batch, c, height // px, width // px) for c, px in network.latents]


@pytest.mark.parametrize(("kernel_px", "std_px"), [(5, 1.5), (9, 4.0), (21, 10.0)])
def test_the_low_pass_is_a_truncated_gaussian(kernel_px, std_px):
    image = np.random.default_rng(0).random((30, 37))
    axis = np.arange(kernel_px) - kernel_px // 2
    kernel = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * std_px**2))
    expected = scipy.ndimage.convolve(image, kernel / kernel.sum(), mode="mirror")
    found = LowPass(kernel_px, std_px)(torch.from_numpy(image)[None, None].expand(2, 3, -1, -1))
    assert np.allclose(found[1, 2].numpy(), expected, atol=1e-6)


def test_a_kernel_of_one_pixel_changes_nothing():
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(LowPass(1, 10.0)(image), image)


def test_codes_see_the_low_passed_image_only():
    """Two images with the same low-passed one have the same codes: the invariance of Equation 8."""
    network = make(blur_kernel_px=3, blur_std_px=1e6)  # The mean of 3 x 3.
    image = torch.rand(1, 3, 33, 33)[..., :24, :24]
    # Columns 1, -2, 1 add up to nothing over any three; a multiple of three keeps the reflection.
    pattern = torch.tensor([1.0, -2, 1]).repeat(8)
    changed = image + 0.05 * pattern
    inner = slice(1, -1)
    low, other = (network.low_pass(i)[..., inner, inner] for i in (image, changed))
    assert torch.allclose(low, other, atol=1e-6)
    codes = network.encode_image(image)
    assert torch.equal(codes.low, network.low_pass(image))
    _, eighth = network.image_encoder.features(codes.low)
    assert torch.equal(
        network.top_codebook(network.image_encoder.top(eighth)).vectors, codes.top[0]
    )


@pytest.mark.parametrize("global_residual", [False, True])
def test_no_latent_noise_adds_nothing_and_t_times_as_much_adds_t_times(global_residual):
    network = make(global_residual=global_residual)
    with torch.no_grad():
        codes = network.encode_image(torch.rand(1, 3, 32, 40))
        noise = noise_of(network)
        added = network.decode_noise(codes, noise)
        thrice = network.decode_noise(codes, [3 * level for level in noise])
        nothing = network.decode_noise(codes, [0 * level for level in noise])
    assert added.std() > 0
    assert torch.allclose(thrice, 3 * added, atol=1e-5 * added.abs().max().item())
    assert nothing.abs().max() == 0
    assert not [name for name, _ in network.noise_decoder.named_parameters() if "bias" in name]


def test_the_branches_meet_as_a_sum_and_as_a_product():
    network = make()
    with torch.no_grad():
        codes = network.encode_image(torch.rand(1, 3, 32, 40))
        top, bottom = noise_of(network)
        weight = network.top_meeting.weight[:, :, 0, 0]
        m, a = top.chunk(2, dim=1)
        product = a * torch.tanh(codes.top.vectors)
        met = torch.einsum("oi,bihw->bohw", weight, torch.cat([m, product], dim=1))
        m, a = bottom.chunk(2, dim=1)
        product = a * torch.tanh(codes.bottom.vectors)
        other = network.bottom_meeting(torch.cat([m, product], dim=1))
        expected = network.noise_decoder(met, other)
        found = network.decode_noise(codes, [top, bottom])
    assert torch.allclose(found, expected, atol=1e-6)


def test_noise_depends_on_the_image_by_the_product_alone():
    network = make()
    with torch.no_grad():
        one, other = (network.encode_image(torch.rand(1, 3, 32, 40)) for _ in range(2))
        assert not torch.equal(one.bottom.vectors, other.bottom.vectors)
        noise = noise_of(network)
        additive = [
            torch.cat([level.chunk(2, dim=1)[0], 0 * level.chunk(2, dim=1)[1]], 1)
            for level in noise
        ]
        same = [network.decode_noise(codes, additive) for codes in (one, other)]
        differ = [network.decode_noise(codes, noise) for codes in (one, other)]
    assert torch.equal(*same)
    assert not torch.equal(*differ)


def test_latents_have_the_announced_shapes():
    network = make()
    posteriors, latents = network.encode_noise(torch.rand(2, 3, 32, 40), noise_of(network, batch=2))
    shapes = [(2, 8, 4, 5), (2, 8, 8, 10)]
    assert [tuple(p.mean.shape) for p in posteriors] == shapes
    assert [tuple(sample.shape) for sample in latents] == shapes


def test_posteriors_start_nearly_certain():
    posteriors, _ = make().encode_noise(torch.rand(1, 3, 32, 40), noise_of(make()))
    for posterior in posteriors:
        assert posterior.log_std.exp().max() < 0.05


def test_features_keep_their_size_through_all_layers():
    network = make(width=64, residual_width=32, code_dim=32, residual_blocks=2)
    image = torch.rand(1, 3, 64, 64)
    features = network.image_encoder.features(image)
    outputs = network.image_encoder.bottom(features[0], network.image_encoder.top(features[1]))
    assert all(0.3 < values.std() < 4 for values in (*features, outputs))
    assert 0.03 < network.image_decoder(*noise_of_dim(network, 32)).std() < 0.5


def noise_of_dim(network, dim) -> list[torch.Tensor]:
    return [level[:, :dim] for level in noise_of(network)]


def test_global_residual_adds_the_low_passed_image():
    network = make(global_residual=True)
    with torch.no_grad():
        codes = network.encode_image(torch.rand(1, 3, 32, 40))
        correction = network.image_decoder(codes.top.vectors, codes.bottom.vectors)
        found = network.decode_image(codes)
    assert torch.allclose(found, codes.low + correction)


def test_global_residual_starts_with_latents_and_noise_of_the_right_size():
    network = make(code_dim=48, global_residual=True)
    noise = 0.1 * torch.randn(1, 3, 64, 64)
    drawn = noise_of(network, height=64, width=64)
    with torch.no_grad():
        posteriors, _ = network.encode_noise(noise, drawn)
        codes = network.encode_image(torch.rand(1, 3, 64, 64))
        additive = [torch.cat([d.chunk(2, 1)[0], 0 * d.chunk(2, 1)[1]], 1) for d in drawn]
        added = network.decode_noise(codes, additive)
        # Low frequencies are the image branch's.
        flat, _ = network.encode_noise(torch.full((1, 3, 64, 64), 0.7), drawn)
    assert 0.5 < posteriors[1].mean.std() < 2
    assert 0.05 < added.std() < 0.2
    assert flat[1].mean.std() < 0.1 * posteriors[1].mean.std()


def test_margin_covers_the_receptive_field():
    """The gradient of single pixels must vanish beyond the margin, and not long before it."""
    network = make().double()
    for parameter in network.parameters():
        parameter.data.abs_().add_(1e-3)  # No ReLU closes, nothing cancels.
    size, furthest = 256, 0
    for center in (124, 125, 126, 127, 128, 131):
        image = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
        network.decode_image(network.encode_image(image))[0, 0, center, center].backward()
        reach = image.grad[0].abs().amax((0, 1)).nonzero().ravel()
        furthest = max(furthest, center - reach.min().item(), reach.max().item() - center)
    assert network.margin_px - 24 < furthest <= network.margin_px


def test_bf16_output_is_in_fp32():
    network = make()
    with torch.autocast("cpu", torch.bfloat16):
        codes = network.encode_image(torch.rand(1, 3, 32, 40))
        posteriors, latents = network.encode_noise(torch.rand(1, 3, 32, 40), noise_of(network))
        assert network.decode_image(codes).dtype == torch.float32
        assert network.decode_noise(codes, latents).dtype == torch.float32
        assert {p.log_std.dtype for p in posteriors} == {torch.float32}
