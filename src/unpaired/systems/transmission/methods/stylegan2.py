"""StyleGAN2 as a model of pictures whose inside can be fitted; its weights are others'.

Nothing is learned here. A latent z that is normal becomes w not by the mapping network but by the
normal distribution that its outputs have before their last leaky ReLU, as ILO takes it from PULSE
(Menon et al. 2020): every row of w has a z of its own, and gradients reach it straight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import CountFromZero
from unpaired.learning.method import Method
from unpaired.networks.stylegan2 import SLOPE, Generator

MAPPED = 100_000  # Outputs of the mapping network that the normal distribution is fitted to.
AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True)
class StyleGAN2Config:
    """side_px, latent, mapping_layers, width_base, width_max: see `networks.stylegan2.Generator`.

    The defaults are configuration F at 1024 px, 30.4 million numbers.
    """

    side_px: int = 1024
    latent: int = 512
    mapping_layers: CountFromZero = 8
    width_base: int = 32768
    width_max: int = 512


class StyleGAN2(Method):
    """A generator, and the mean and standard deviation of w before its leaky ReLU, D each."""

    Config: ClassVar[type] = StyleGAN2Config
    sees: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__(config)
        self.network = Generator(
            config.side_px,
            latent=config.latent,
            mapping_layers=config.mapping_layers,
            width_base=config.width_base,
            width_max=config.width_max,
        )
        self.register_buffer("mean", torch.zeros(config.latent))
        self.register_buffer("std", torch.ones(config.latent))

    def samples(self, *_: Any, **__: Any) -> Any:
        """Raise UnpairedError: there is no training of it."""
        raise UnpairedError("stylegan2 learns nothing here: import its weights")

    @torch.no_grad()
    def fit_latents(self, seed: int = 0) -> None:
        """Take mean and standard deviation from outputs of the mapping network."""
        generator = torch.Generator().manual_seed(seed)
        found = []
        for _ in range(MAPPED // AT_ONCE):
            drawn = torch.randn(AT_ONCE, self.config.latent, generator=generator)
            mapped = self.network.mapping(drawn.to(self.mean.device))
            found.append(functional.leaky_relu(mapped, 1 / SLOPE))
        before = torch.cat(found)
        self.mean.copy_(before.mean(dim=0))
        self.std.copy_(before.std(dim=0))

    def to_w(self, latents: Tensor) -> Tensor:
        """Return w of z, both B x rows x D."""
        return functional.leaky_relu(self.std * latents + self.mean, SLOPE)
