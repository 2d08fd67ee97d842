"""The networks of CycleGAN (Zhu et al. 2017): residual generators, and critics of patches."""

from __future__ import annotations

from torch import Tensor, nn

DEVIATION = 0.02  # of initial weights


class ResnetGenerator(nn.Module):
    """B x C x H x W in [-1, 1] in and out; sides are multiples of 4.

    width: of the first layer. blocks: 9 for 256 px, 6 for smaller pictures (their section 7.1).
    """

    multiple_px = 4

    def __init__(self, channels: int = 3, *, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7)]
        layers += _normal(width)
        for wide in (width, 2 * width):
            layers += [nn.Conv2d(wide, 2 * wide, 3, stride=2, padding=1), *_normal(2 * wide)]
        layers += [GeneratorBlock(4 * width) for _ in range(blocks)]
        for wide in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(wide, wide // 2, 3, stride=2, padding=1, output_padding=1)
            layers += [up, *_normal(wide // 2)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        self.apply(_initialize)

    def forward(self, picture: Tensor) -> Tensor:
        return self.layers(picture)


class GeneratorBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            *_normal(width),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


class PatchCritic(nn.Module):
    """One number for every patch: near 1 for real ones. With three layers a patch has 70 px.

    layers: with stride 2.
    """

    def __init__(self, channels: int = 3, *, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        wide = width
        stack: list[nn.Module] = [nn.Conv2d(channels, wide, 4, stride=2, padding=1)]
        stack.append(nn.LeakyReLU(0.2))
        for number in range(1, layers + 1):
            before, wide = wide, width * min(2**number, 8)
            stride = 2 if number < layers else 1
            stack.append(nn.Conv2d(before, wide, 4, stride=stride, padding=1))
            stack += [nn.InstanceNorm2d(wide), nn.LeakyReLU(0.2)]
        stack.append(nn.Conv2d(wide, 1, 4, padding=1))
        self.layers = nn.Sequential(*stack)
        self.apply(_initialize)

    def forward(self, picture: Tensor) -> Tensor:
        return self.layers(picture)


def _normal(width: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(width), nn.ReLU()]


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, DEVIATION)
        nn.init.zeros_(module.bias)
