"""The network of LUD-VAE's public code: no codebook, three levels at full resolution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unpaired.networks.latents import START_LOG_STD, Gaussian, LatentLevel

LEVELS = 3
# Given a level, its number (0 is the deepest) and its features: the noise latents to go on with.
Chooser = Callable[["_Level", int, Tensor], Tensor]


class PublicLUDVAENet(nn.Module):
    """A deterministic content path, and noise latents that enter it at three levels.

    Images are B x C x H x W of any size; every level has ``width`` latents per pixel. The deepest
    has the prior N(0, I); the others' priors start there and are learned, from what has been
    decoded so far.
    ``noise`` is standard normal, one B x width x H x W per level, the deepest first. ``content`` is
    what the content path sees of an image.
    """

    multiple_px = 1
    margin_px = 24  # Six blocks of four 3x3 convolutions: three to encode, three to decode.

    def __init__(self, channels: int, *, width: int = 128) -> None:
        super().__init__()
        self.latents = (LatentLevel(width, 1),) * LEVELS
        self.content_encoder = _Encoder(channels, width)
        self.noise_encoder = _Encoder(channels, width)
        self.levels = nn.ModuleList(
            [_Level(width), *(_InnerLevel(width) for _ in range(LEVELS - 1))]
        )
        self.last_block = _block(width)
        self.last = _pointwise(width, channels)

    def reconstruct(
        self, content: Tensor, image: Tensor, noise: list[Tensor], label: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return ``image`` as decoded from its content and its noise, and a divergence.

        label: B x 1 x 1 x 1, 1 for a noisy image and 0 for a clean one, to which no noise is given.
        The divergence of posteriors from priors is a sum over the noisy images, in nats.
        """
        seen = self.noise_encoder(image)
        divergences = []

        def from_posterior(level: _Level, number: int, features: Tensor) -> Tensor:
            posterior = level.posterior(features, seen[number])
            divergence = posterior.divergence(level.prior(features))
            divergences.append((divergence * label).sum())
            return posterior.sample(noise[number]) * label

        return self._decode(content, from_posterior), torch.stack(divergences).sum()

    def degrade(self, content: Tensor, noise: list[Tensor], t: float) -> Tensor:
        """Return images with noise drawn from the priors, every latent multiplied by ``t``."""
        return self._decode(
            content, lambda level, number, features: t * level.prior(features).sample(noise[number])
        )

    def clean(self, content: Tensor) -> Tensor:
        """Return images without noise."""
        return self._decode(content, lambda level, number, features: torch.zeros_like(features))

    def _decode(self, content: Tensor, choose: Chooser) -> Tensor:
        features = None
        for number, here in enumerate(self.content_encoder(content)):
            level = self.levels[number]
            features = level.enter(features, here)
            latents = choose(level, number, features).to(features.dtype)
            features = level.add_noise(torch.cat([features, latents], dim=1))
        features = self.last_block(features)
        # bf16 is as coarse as an 8-bit picture: the last sum over channels is taken in fp32.
        with torch.autocast(features.device.type, enabled=False):
            return self.last(features.to(self.last.weight.dtype))


def _convolution(inputs: int, outputs: int, kernel_px: int, *, rectified: bool) -> nn.Conv2d:
    """Return a convolution that keeps the size of features, ``rectified`` or not.

    From PyTorch's own start the features would shrink to less than a half in every layer.
    """
    convolution = nn.Conv2d(inputs, outputs, kernel_px, padding=kernel_px // 2)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu" if rectified else "linear")
    nn.init.zeros_(convolution.bias)
    return convolution


def _pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    return _convolution(inputs, outputs, 1, rectified=False)


def _block(width: int) -> nn.Sequential:
    """Return four 3x3 convolutions with ReLU between them."""
    layers: list[nn.Module] = [_convolution(width, width, 3, rectified=False)]
    for _ in range(3):
        layers += [nn.ReLU(inplace=True), _convolution(width, width, 3, rectified=True)]
    return nn.Sequential(*layers)


class _Encoder(nn.Module):
    """An image to the outputs of three blocks in a row, the last one first."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.head = _pointwise(channels, width)
        self.blocks = nn.ModuleList(_block(width) for _ in range(LEVELS))

    def forward(self, image: Tensor) -> list[Tensor]:
        outputs = [self.head(image)]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        return outputs[:0:-1]


class _GaussianHead(nn.Module):
    """Features to means and logarithms of deviations, in fp32 at least.

    The logarithms start at ``log_std`` everywhere.
    """

    def __init__(self, width: int, log_std: float) -> None:
        super().__init__()
        self.mean, self.log_std = (_pointwise(width, width) for _ in range(2))
        nn.init.zeros_(self.log_std.weight)
        nn.init.constant_(self.log_std.bias, log_std)

    def forward(self, features: Tensor) -> Gaussian:
        wide = torch.promote_types(features.dtype, torch.float32)
        return Gaussian(self.mean(features).to(wide), self.log_std(features).to(wide))


class _Level(nn.Module):
    """The deepest level: the content as it is, the posterior of the noisy image alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.posterior_head = _GaussianHead(width, START_LOG_STD)
        self.add_noise = _pointwise(2 * width, width)

    def enter(self, features: Tensor | None, content: Tensor) -> Tensor:
        """Return the level's features, from those of the level below and the content's."""
        return content

    def prior(self, features: Tensor) -> Gaussian:
        return Gaussian.standard(features)

    def posterior(self, features: Tensor, seen: Tensor) -> Gaussian:
        """Return the posterior of the noise, from what the noise encoder has ``seen``."""
        return self.posterior_head(seen)


class _InnerLevel(_Level):
    """A level above: one more block, and prior and posterior given what is decoded so far."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.block = _block(width)
        self.add_content = _pointwise(2 * width, width)
        self.add_seen = _pointwise(2 * width, width)
        self.prior_head = _GaussianHead(width, 0.0)
        nn.init.zeros_(self.prior_head.mean.weight)

    def enter(self, features: Tensor | None, content: Tensor) -> Tensor:
        return self.add_content(torch.cat([self.block(features), content], dim=1))

    def prior(self, features: Tensor) -> Gaussian:
        return self.prior_head(features)

    def posterior(self, features: Tensor, seen: Tensor) -> Gaussian:
        return self.posterior_head(self.add_seen(torch.cat([features, seen], dim=1)))
