"""The networks of BicycleGAN (Zhang 2018, section 4.3.5): generators by codes, encoders, critics.

Sizes that the thesis does not print are those of the authors' code. Instance normalization has
neither weights nor running statistics, so training and use are alike but for dropout.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.networks.cyclegan import PatchCritic

TO_ALL, TO_INPUT = "add_to_all", "add_to_input"
SLOPE = 0.2
WIDEST = 8  # times the width of the first layer, in the U-Net
WIDEST_ENCODER = 4
DROPPED_BLOCKS = 3  # inner blocks of the U-Net's way up that drop out


class Down(nn.Module):
    """Half the size: leaky ReLU, convolution, normalization. The code passes the leaky ReLU too."""

    def __init__(
        self, channels: int, width: int, code_dim: int, *, is_first: bool, normalizes: bool
    ) -> None:
        super().__init__()
        self.code_dim, self.is_first = code_dim, is_first
        self.convolution = nn.Conv2d(channels + code_dim, width, 4, stride=2, padding=1)
        self.normalization = nn.InstanceNorm2d(width) if normalizes else nn.Identity()

    def forward(self, features: Tensor, code: Tensor) -> Tensor:
        if self.code_dim:
            features = with_code(features, code)
        if not self.is_first:
            features = functional.leaky_relu(features, SLOPE)
        return self.normalization(self.convolution(features))


class UNetGenerator(nn.Module):
    """An output for a picture and a code: B x C x H x W in [-1, 1] and B x Z.

    levels: how often the size is halved; sides are multiples of 2 ** levels. With 256 px and 8
    levels the innermost map is 1 x 1, and has no normalization. injection: the code joins the input
    of every level on the way down (`TO_ALL`), or of the first one alone (`TO_INPUT`). dropout: in
    three inner blocks on the way up, in training.
    """

    def __init__(
        self,
        channels: int = 3,
        outputs: int = 3,
        *,
        code_dim: int = 8,
        width: int = 64,
        levels: int = 8,
        injection: str = TO_ALL,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.multiple_px = 2**levels
        self.dropout = dropout
        widths = [width * min(2**level, WIDEST) for level in range(levels)]
        self.downs = _way_down(channels, widths, code_dim, injection, normalizes_last=False)
        self.ups = nn.ModuleList()
        for level in reversed(range(levels)):
            given = widths[level] * (1 if level == levels - 1 else 2)
            wanted = widths[level - 1] if level else outputs
            self.ups.append(nn.ConvTranspose2d(given, wanted, 4, stride=2, padding=1))
        self.normalizations = nn.ModuleList(nn.InstanceNorm2d(w) for w in reversed(widths[:-1]))
        # Counted from the inside; the innermost block never drops out.
        dropped = min(DROPPED_BLOCKS, max(0, levels - DROPPED_BLOCKS - 2))
        self._dropped = range(1, 1 + dropped)

    def forward(self, picture: Tensor, code: Tensor) -> Tensor:
        *skips, features = _down(self.downs, picture, code)
        for number, up in enumerate(self.ups):
            if number:
                features = torch.cat([features, skips.pop()], dim=1)
            features = up(functional.relu(features))
            if number < len(self.normalizations):
                features = self.normalizations[number](features)
            if number in self._dropped:
                features = functional.dropout(features, self.dropout, self.training)
        return torch.tanh(features)


class RejoinedUNetGenerator(nn.Module):
    """The same for small pictures and short trainings: sharp edges come soon. It is ours.

    Few levels; the nearest neighbor and a convolution in place of transposed ones; picture and code
    join once more, at full size, before the last two convolutions. No dropout.
    """

    def __init__(
        self,
        channels: int = 3,
        outputs: int = 3,
        *,
        code_dim: int = 8,
        width: int = 64,
        levels: int = 3,
        injection: str = TO_ALL,
    ) -> None:
        super().__init__()
        self.multiple_px = 2**levels
        widths = [width * min(2**level, WIDEST) for level in range(levels)]
        self.downs = _way_down(channels, widths, code_dim, injection, normalizes_last=True)
        self.ups = nn.ModuleList()
        for level in reversed(range(1, levels)):
            given = widths[level] * (1 if level == levels - 1 else 2)
            self.ups.append(nn.Conv2d(given, widths[level - 1], 3, padding=1))
        self.normalizations = nn.ModuleList(nn.InstanceNorm2d(w) for w in reversed(widths[:-1]))
        self.last_up = nn.Conv2d(2 * width, width, 1)
        self.join = nn.Conv2d(width + channels + code_dim, width, 3, padding=1)
        self.last = nn.Conv2d(width, outputs, 1)

    def forward(self, picture: Tensor, code: Tensor) -> Tensor:
        *skips, features = _down(self.downs, picture, code)
        for up, normalization in zip(self.ups, self.normalizations, strict=True):
            features = normalization(up(_doubled(functional.relu(features))))
            features = torch.cat([features, skips.pop()], dim=1)
        # A 1 x 1 convolution and the nearest neighbor commute: at half the size it is cheaper.
        features = _doubled(functional.relu(self.last_up(functional.relu(features))))
        joined = with_code(torch.cat([features, picture], dim=1), code)
        return torch.tanh(self.last(functional.relu(self.join(joined))))


class ResnetEncoder(nn.Module):
    """E_ResNet: mean and logarithm of the variance of a code, B x Z each, of B x C x H x W.

    blocks: 4 for 256 px; each halves the size.
    """

    def __init__(
        self, channels: int = 3, *, code_dim: int = 8, width: int = 64, blocks: int = 4
    ) -> None:
        super().__init__()
        widths = [width * min(number + 1, WIDEST_ENCODER) for number in range(blocks + 1)]
        self.first = nn.Conv2d(channels, width, 4, stride=2, padding=1)
        self.blocks = nn.Sequential(*(EncoderBlock(*pair) for pair in pairwise(widths)))
        self.mean = nn.Linear(widths[-1], code_dim)
        self.log_variance = nn.Linear(widths[-1], code_dim)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        features = functional.leaky_relu(self.blocks(self.first(picture)), SLOPE)
        pooled = features.mean(dim=(2, 3))
        return self.mean(pooled), self.log_variance(pooled)


class EncoderBlock(nn.Module):
    """Half the size: two convolutions behind their activations, beside a shortcut."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.InstanceNorm2d(channels),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.InstanceNorm2d(channels),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, width, 3, padding=1),
            nn.AvgPool2d(2),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, width, 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features) + self.shortcut(features)


class ConvEncoder(nn.Module):
    """E_CNN: as `ResnetEncoder`, of 1 + ``blocks`` plain convolutions that halve the size."""

    def __init__(
        self, channels: int = 3, *, code_dim: int = 8, width: int = 64, blocks: int = 4
    ) -> None:
        super().__init__()
        widths = [width * min(2**number, WIDEST_ENCODER) for number in range(blocks + 1)]
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1)]
        layers.append(nn.LeakyReLU(SLOPE))
        for before, wide in pairwise(widths):
            layers.append(nn.Conv2d(before, wide, 4, stride=2, padding=1))
            layers += [nn.InstanceNorm2d(wide), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
        self.mean = nn.Linear(widths[-1], code_dim)
        self.log_variance = nn.Linear(widths[-1], code_dim)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.layers(picture).mean(dim=(2, 3))
        return self.mean(pooled), self.log_variance(pooled)


class TwoScaleCritic(nn.Module):
    """Two maps of opinions: on patches of the picture, and of the picture at half the size.

    The second has half the width, and weights of its own. With 3 layers of stride 2 patches have 70
    px and 140. It sees the output alone, not what it was made of.
    """

    def __init__(self, channels: int = 3, *, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchCritic(channels, width=wide, layers=layers) for wide in (width, width // 2)
        )
        self.halving = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(self, picture: Tensor) -> list[Tensor]:
        first, second = self.scales
        return [first(picture), second(self.halving(picture))]


def with_code(features: Tensor, code: Tensor) -> Tensor:
    """Return B x C x H x W features with a code, B x Z, behind them at every place."""
    spread = code[:, :, None, None].expand(-1, -1, *features.shape[-2:])
    return torch.cat([features, spread.to(features.dtype)], dim=1)


def initialize(module: nn.Module, gain: float) -> None:
    """Draw all weights as Xavier does, from normal numbers; shifts are 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_normal_(part.weight, gain)
            nn.init.zeros_(part.bias)


def _way_down(
    channels: int, widths: list[int], code_dim: int, injection: str, *, normalizes_last: bool
) -> nn.ModuleList:
    levels = len(widths)
    return nn.ModuleList(
        Down(
            widths[level - 1] if level else channels,
            widths[level],
            code_dim if injection == TO_ALL or not level else 0,
            is_first=not level,
            normalizes=bool(level) and (level < levels - 1 or normalizes_last),
        )
        for level in range(levels)
    )


def _down(downs: nn.ModuleList, picture: Tensor, code: Tensor) -> list[Tensor]:
    """Return what every level made, the innermost last."""
    found, features = [], picture
    for down in downs:
        features = down(features, code)
        found.append(features)
    return found


def _doubled(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2, mode="nearest")
