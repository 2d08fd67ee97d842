"""LUD-VAE: an image branch with two codebooks and a noise branch that meets it (section 3.3).

Both branches have the layout of the two-level VQ-VAE-2 (Razavi et al. 2019): latent variables at an
eighth of the image's sides ("top") and at a quarter ("bottom"), the second encoded given the first.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.networks.codebook import Codebook, Quantized
from unpaired.networks.latents import START_LOG_STD, Gaussian, LatentLevel

TOP_PX, BOTTOM_PX = 8, 4


class LowPass(nn.Module):
    """Convolution with a Gaussian of ``kernel_px`` x ``kernel_px``, the operator h (Equation 10).

    B x C x H x W -> the same; borders are extended by reflection. A kernel of one pixel changes
    nothing.
    """

    def __init__(self, kernel_px: int, std_px: float) -> None:
        super().__init__()
        self.reach_px = kernel_px // 2
        distance = torch.arange(kernel_px, dtype=torch.float64) - self.reach_px
        weights = torch.exp(-((distance / std_px) ** 2) / 2)
        self.register_buffer("weights", (weights / weights.sum()).float(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        channels = image.shape[1]
        weights = self.weights.to(image.dtype).expand(channels, 1, -1)
        padded = functional.pad(image, [self.reach_px] * 4, mode="reflect")
        with torch.autocast(image.device.type, enabled=False):
            rows = functional.conv2d(padded, weights[:, :, None], groups=channels)
            return functional.conv2d(rows, weights[..., None], groups=channels)


class Codes(NamedTuple):
    """What the image branch knows of an image: both levels, and the low-passed image itself."""

    top: Quantized
    bottom: Quantized
    low: Tensor

    def second_half(self) -> Codes:
        """Return the codes of the second half of the batch."""
        top, bottom = (
            level._replace(vectors=level.vectors.chunk(2)[1]) for level in (self.top, self.bottom)
        )
        return Codes(top, bottom, self.low.chunk(2)[1])


class LUDVAENet(nn.Module):
    """Both branches; images are B x C x H x W with sides that are multiples of ``multiple_px``.

    What the paper does not say is VQ-VAE-2's, or, for the meeting of the branches, taken from an
    early version of the authors' code: at each level the noise latents are a and m, and with the
    image's code z they become a linear map of m and a * tanh(z). The noise decoder has no biases,
    so it is positively homogeneous: no latent noise is no noise, and t times as much is t times.

    width, residual_width: feature channels, and those inside a residual block. residual_blocks: in
    every encoder and decoder. code_dim: entries of a code, and of a and of m. codes: in a codebook.
    global_residual: both branches get a short way round their layers. The image decoder's output is
    added to the low-passed image; the noise encoder sees what the low-pass takes away, and a linear
    map of 4 x 4 pixels to bottom latents and one back work beside the noise branch. Not in the
    paper, where such a network learns little in less than thousands of steps.
    start_noise_std: with global_residual, of the noise that latents of N(0, I) are at first, in
    units of the [0, 1] range.
    """

    multiple_px = TOP_PX

    def __init__(
        self,
        channels: int,
        *,
        width: int,
        residual_width: int,
        residual_blocks: int,
        code_dim: int,
        codes: int,
        blur_kernel_px: int,
        blur_std_px: float,
        global_residual: bool = False,
        start_noise_std: float = 0.1,
    ) -> None:
        super().__init__()
        sizes = (width, residual_width, residual_blocks)
        self.global_residual = global_residual
        self.low_pass = LowPass(blur_kernel_px, blur_std_px)
        # Strided convolutions, 3x3 ones and residual blocks of both encoders and both decoders.
        self.margin_px = self.low_pass.reach_px + 60 + 24 * residual_blocks
        self.latents = (LatentLevel(2 * code_dim, TOP_PX), LatentLevel(2 * code_dim, BOTTOM_PX))

        self.image_encoder = _Encoder(channels, sizes, code_dim, outputs=code_dim)
        self.top_codebook = Codebook(codes, code_dim)
        self.bottom_codebook = Codebook(codes, code_dim)
        self.image_decoder = _Decoder(code_dim, sizes, channels, bias=True)

        self.noise_encoder = _Encoder(channels, sizes, 2 * code_dim, outputs=4 * code_dim)
        self.top_meeting = nn.Conv2d(2 * code_dim, code_dim, 1, bias=False)
        self.bottom_meeting = nn.Conv2d(2 * code_dim, code_dim, 1, bias=False)
        self.noise_decoder = _Decoder(code_dim, sizes, channels, bias=False)
        if global_residual:
            self.shortcut_in = nn.Conv2d(
                channels, 2 * code_dim, BOTTOM_PX, stride=BOTTOM_PX, bias=False
            )
            self.shortcut_out = nn.ConvTranspose2d(
                code_dim, channels, BOTTOM_PX, stride=BOTTOM_PX, bias=False
            )
        self._initialize(start_noise_std)

    def _initialize(self, start_noise_std: float) -> None:
        """Start with features of one size in all layers, faint images and certain posteriors.

        Of this the paper says nothing. PyTorch's own start lets features shrink from layer to
        layer, until a codebook cannot tell them apart.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                _initialize_he(module)
        for module in self.modules():
            if isinstance(module, _ResidualBlock):
                nn.init.zeros_(module.second.weight)
        self.image_decoder.last.weight.data.mul_(0.1)
        # Beside a linear map that learns at once, a random one would only be in its way.
        self.noise_decoder.last.weight.data.mul_(0.0 if self.global_residual else 0.1)
        if self.global_residual:
            # Noise of about this deviation becomes latents of N(0, I), and these noise of it.
            for shortcut, gain in (
                (self.shortcut_in, 1 / start_noise_std),
                (self.shortcut_out, start_noise_std),
            ):
                shortcut.weight.data.mul_(gain / math.sqrt(2))
        for outputs in (self.noise_encoder.top, self.noise_encoder.to_bottom):
            nn.init.zeros_(outputs.weight.chunk(2)[1])
            nn.init.constant_(outputs.bias.chunk(2)[1], START_LOG_STD)

    def encode_image(self, image: Tensor) -> Codes:
        """Return q(z | h(image)): the nearest codes."""
        low = self.low_pass(image)
        quarter, eighth = self.image_encoder.features(low)
        top = self.top_codebook(self.image_encoder.top(eighth))
        bottom = self.bottom_codebook(self.image_encoder.bottom(quarter, top.vectors))
        return Codes(top, bottom, low)

    def decode_image(self, codes: Codes) -> Tensor:
        """Return the clean image that the codes stand for."""
        image = self.image_decoder(codes.top.vectors, codes.bottom.vectors)
        return codes.low + image if self.global_residual else image

    def encode_noise(self, noisy: Tensor, noise: list[Tensor]) -> tuple[list[Gaussian], list]:
        """Return q(z_n | noisy) of both levels, and samples of them made of standard ``noise``."""
        seen = noisy - self.low_pass(noisy) if self.global_residual else noisy
        quarter, eighth = self.noise_encoder.features(seen)
        top = _gaussian(self.noise_encoder.top(eighth))
        top_sample = top.sample(noise[0])
        bottom = _gaussian(self.noise_encoder.bottom(quarter, top_sample))
        if self.global_residual:
            bottom = bottom._replace(mean=bottom.mean + self.shortcut_in(seen))
        return [top, bottom], [top_sample, bottom.sample(noise[1])]

    def decode_noise(self, codes: Codes, latents: list[Tensor]) -> Tensor:
        """Return what noise latents, of the shapes in ``self.latents``, add to the clean image."""
        top = self.top_meeting(_meet(codes.top.vectors, latents[0]))
        bottom = self.bottom_meeting(_meet(codes.bottom.vectors, latents[1]))
        added = self.noise_decoder(top, bottom)
        return added + self.shortcut_out(bottom) if self.global_residual else added


class _ResidualBlock(nn.Module):
    def __init__(self, width: int, residual_width: int, bias: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, residual_width, 3, padding=1, bias=bias)
        self.second = nn.Conv2d(residual_width, width, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.first(functional.relu(features))
        return features + self.second(functional.relu_(hidden))


def _stack(inputs: int, sizes: tuple[int, int, int], bias: bool = True) -> nn.Sequential:
    """Return a 3x3 convolution, the residual blocks and a ReLU."""
    width, residual_width, residual_blocks = sizes
    blocks = [_ResidualBlock(width, residual_width, bias) for _ in range(residual_blocks)]
    return nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1, bias=bias), *blocks, nn.ReLU())


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU())


def _up(inputs: int, outputs: int, bias: bool = True) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)


class _Encoder(nn.Module):
    """An image to ``outputs`` channels per level; latents of ``dim`` channels come back from it."""

    def __init__(
        self, channels: int, sizes: tuple[int, int, int], dim: int, *, outputs: int
    ) -> None:
        super().__init__()
        width = sizes[0]
        self.to_quarter = nn.Sequential(
            _down(channels, width // 2), _down(width // 2, width), _stack(width, sizes)
        )
        self.to_eighth = nn.Sequential(_down(width, width // 2), _stack(width // 2, sizes))
        self.top = nn.Conv2d(width, outputs, 1)
        self.from_top = nn.Sequential(_stack(dim, sizes), _up(width, dim))
        self.to_bottom = nn.Conv2d(dim + width, outputs, 1)

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return those at a quarter and at an eighth of the image's sides."""
        quarter = self.to_quarter(image)
        return quarter, self.to_eighth(quarter)

    def bottom(self, quarter: Tensor, top: Tensor) -> Tensor:
        """Return the outputs of the lower level, given the latents of the upper one."""
        return self.to_bottom(torch.cat([self.from_top(top), quarter], dim=1))


class _Decoder(nn.Module):
    """Latents of both levels, of ``dim`` channels each, to an image."""

    def __init__(self, dim: int, sizes: tuple[int, int, int], channels: int, *, bias: bool) -> None:
        super().__init__()
        width = sizes[0]
        self.up = _up(dim, dim, bias)
        self.body = nn.Sequential(
            _stack(2 * dim, sizes, bias), _up(width, width // 2, bias), nn.ReLU()
        )
        self.last = _up(width // 2, channels, bias)

    def forward(self, top: Tensor, bottom: Tensor) -> Tensor:
        features = self.body(torch.cat([self.up(top), bottom.to(top.dtype)], dim=1))
        # bf16 is as coarse as an 8-bit picture: the last sum over channels is taken in fp32.
        with torch.autocast(features.device.type, enabled=False):
            return self.last(features.to(self.last.weight.dtype))


def _initialize_he(convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Draw weights by He's rule from the number of inputs that an output really has."""
    taps = math.prod(convolution.kernel_size)
    if convolution.transposed:
        taps //= math.prod(convolution.stride)  # The others fall between the input's pixels.
    nn.init.normal_(convolution.weight, std=math.sqrt(2 / (taps * convolution.in_channels)))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def _gaussian(parameters: Tensor) -> Gaussian:
    """Split 2 C channels into means and logarithms of deviations; fp32 at least."""
    wide = torch.promote_types(parameters.dtype, torch.float32)
    return Gaussian(*parameters.to(wide).chunk(2, dim=1))


def _meet(code: Tensor, latent: Tensor) -> Tensor:
    """Join the noise m as it is with the noise a weighed by the image: B x 2 C x h x w."""
    additive, multiplied = latent.chunk(2, dim=1)
    return torch.cat([additive, multiplied * torch.tanh(code)], dim=1)
