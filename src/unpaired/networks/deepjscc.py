"""DeepJSCC (Tung and Gündüz 2022; Erdemir et al. 2023): a picture as the symbols of a channel.

Strided residual blocks with generalized divisive normalization (Ballé et al. 2016), attention
(Cheng et al. 2020), and attention features (Xu et al. 2022) that tell every level how noisy the
channel is. The decoder mirrors the encoder. The names of blocks are the usual ones of learned
compression.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError

PEDESTAL = 2.0**-36  # So that the root of 0 still has a gradient (Ballé's reparametrization).
BETA_MIN = 1e-6
GAMMA_START = 0.1
ATTENTION_AT = 2  # Halvings before the features that attention looks at.


class LowerBound(torch.autograd.Function):
    """max(x, bound), with the gradient of x where descent would raise x, or x is above the bound.

    That of `clamp` is 0 at the bound and below, so what starts there would never move.
    """

    @staticmethod
    def forward(ctx, values: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(values >= bound)
        return values.clamp(min=bound)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (is_above,) = ctx.saved_tensors
        return gradient * (is_above | (gradient < 0)), None


class GDN(nn.Module):
    """Generalized divisive normalization: y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2).

    inverse: multiplies by the root in place of dividing. Parameters are stored as square roots.
    """

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta = nn.Parameter((torch.ones(channels) + PEDESTAL).sqrt())
        self.gamma = nn.Parameter((GAMMA_START * torch.eye(channels) + PEDESTAL).sqrt())

    def forward(self, features: Tensor) -> Tensor:
        beta = LowerBound.apply(self.beta, (BETA_MIN + PEDESTAL) ** 0.5) ** 2 - PEDESTAL
        gamma = LowerBound.apply(self.gamma, PEDESTAL**0.5) ** 2 - PEDESTAL
        norm = functional.conv2d(features.square(), gamma[:, :, None, None], beta)
        return features * (norm.sqrt() if self.inverse else norm.rsqrt())


class AttentionFeatures(nn.Module):
    """Scales channels by their means over the picture and the SNR of the channel in dB."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels + 1, channels),
            nn.LeakyReLU(),
            nn.Linear(channels, channels),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor, snr_db: Tensor) -> Tensor:
        """snr_db: B, one for each picture."""
        told = torch.cat([features.mean(dim=(2, 3)), snr_db[:, None]], dim=1)
        return features * self.layers(told)[:, :, None, None]


class ResidualBlock(nn.Module):
    """Two convolutions beside the input, which a 1 x 1 convolution widens where it must."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Identity() if width_in == width else nn.Conv2d(width_in, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        inner = functional.leaky_relu(self.conv1(features))
        return functional.leaky_relu(self.conv2(inner)) + self.skip(features)


class ResidualBlockWithStride(nn.Module):
    """Half the side: a strided convolution, another, and GDN."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.normalize = GDN(width)
        self.skip = nn.Conv2d(width_in, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.conv2(functional.leaky_relu(self.conv1(features)))
        # That is a stride of 2, whose gradient in channels_last damages memory in PyTorch 2.15.
        return self.normalize(inner) + self.skip(features[..., ::2, ::2])


class ResidualBlockUpsample(nn.Module):
    """Twice the side: sub-pixel convolutions, another, and inverse GDN."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, 4 * width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.normalize = GDN(width, inverse=True)
        self.skip = nn.Conv2d(width_in, 4 * width, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        inner = functional.leaky_relu(functional.pixel_shuffle(self.conv1(features), 2))
        skipped = functional.pixel_shuffle(self.skip(features), 2)
        return self.normalize(self.conv2(inner)) + skipped


class ResidualUnit(nn.Module):
    """A bottleneck of half the width, of attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.layers = nn.Sequential(
            nn.Conv2d(width, half, 1),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(half, width, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(self.layers(features) + features)


class AttentionBlock(nn.Module):
    """Adds features, gated place by place by a mask."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*(ResidualUnit(width) for _ in range(3)))
        self.mask = nn.Sequential(
            *(ResidualUnit(width) for _ in range(3)), nn.Conv2d(width, width, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.features(features) * self.mask(features).sigmoid()


class Told(nn.ModuleList):
    """Layers one after another, of which some are told the SNR."""

    def forward(self, features: Tensor, snr_db: Tensor) -> Tensor:
        for layer in self:
            is_told = isinstance(layer, AttentionFeatures)
            features = layer(features, snr_db) if is_told else layer(features)
        return features


def encoder(channels: int, widths: Sequence[int], symbol_channels: int) -> Told:
    """Return what makes symbols of pictures: B x channels x H x W -> B x M x H / s x W / s.

    widths: of every halving but the last, which gives ``symbol_channels``, M; s is 2 to the power
    of one more than their number. Power is not normalized.
    """
    _require_sound(widths, symbol_channels)
    layers: list[nn.Module] = []
    before = channels
    for level, width in enumerate(widths, 1):
        layers += [ResidualBlockWithStride(before, width), AttentionFeatures(width)]
        if level == ATTENTION_AT:
            layers.append(AttentionBlock(width))
        layers.append(ResidualBlock(width, width))
        before = width
    layers += [
        ResidualBlockWithStride(before, symbol_channels),
        AttentionFeatures(symbol_channels),
        AttentionBlock(symbol_channels),
    ]
    return Told(layers)


def decoder(channels: int, widths: Sequence[int], symbol_channels: int) -> Told:
    """Return what makes pictures of received symbols; the arguments are those of `encoder`.

    No activation bounds its output: pictures are not clipped.
    """
    _require_sound(widths, symbol_channels)
    before = widths[-1]
    layers: list[nn.Module] = [
        AttentionBlock(symbol_channels),
        ResidualBlock(symbol_channels, before),
    ]
    for level, width in reversed(list(enumerate(widths, 1))):
        layers += [ResidualBlockUpsample(before, width), AttentionFeatures(width)]
        if level == ATTENTION_AT:
            layers.append(AttentionBlock(width))
        layers.append(ResidualBlock(width, width))
        before = width
    layers += [
        ResidualBlockUpsample(before, channels),
        AttentionFeatures(channels),
        ResidualBlock(channels, channels),
    ]
    return Told(layers)


def _require_sound(widths: Sequence[int], symbol_channels: int) -> None:
    if not widths or min(widths) < 2 or symbol_channels < 2:
        raise UnpairedError(
            f"a codec of widths {list(widths)} and {symbol_channels} channels of symbols: there "
            "must be a width, and each must be 2 at least"
        )
