"""DeepJSCC: one codec for all qualities of the channel (CommIN, section 2).

    L = mean of |x - g(f(x) + n)|^2                                            (Equations 5 and 6)

with the SNR of every picture drawn evenly from a range, and told to both ends. What is printed is
the architecture's origin, the width 256, 256 complex symbols for 256 x 256 pixels (rho 0.0013), and
Adam; learning rate, batch and length are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber, ShareBelowOne, SignedNumber
from unpaired.imaging.orientation import mirror_at_random
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.learning.phases import adam_phase
from unpaired.networks import deepjscc
from unpaired.networks.diffusion_unet import widths_of
from unpaired.systems.transmission.channel import add_noise, complex_symbols, normalized
from unpaired.systems.transmission.sending import Arrived, Channel, all_came


@dataclass(frozen=True, kw_only=True)
class DeepJSCCConfig:
    """widths: of every halving of the side but the last, with spaces between them.

    symbol_channels: M, real numbers a place of the innermost grid.
    snr_min_db, snr_max_db: range of the channels that it learns.
    """

    channels: int = 3
    widths: str = "256 256 256"
    symbol_channels: int = 2
    snr_min_db: SignedNumber = -5.0
    snr_max_db: SignedNumber = 5.0
    images_seen: int = 5_800_000
    batch_size: int = 32
    patch_px: int = 256
    learning_rate: PositiveNumber = 1e-4
    beta2: ShareBelowOne = 0.999
    schedule: str = "constant"
    gradient_clip: PositiveNumber = 1.0


class DeepJSCC(Method):
    """Encoder and decoder; its product sends a picture, and shows what arrives."""

    Config: ClassVar[type] = DeepJSCCConfig
    sees: ClassVar[tuple[str, ...]] = ("image",)
    pictures_at_once: ClassVar[int] = 32

    def __init__(self, config: DeepJSCCConfig) -> None:
        super().__init__(config)
        if not config.snr_min_db <= config.snr_max_db:
            raise UnpairedError(
                f"deepjscc: SNR from {config.snr_min_db} to {config.snr_max_db} dB: they must rise"
            )
        widths = widths_of(config.widths)
        self.multiple_px = 2 ** (len(widths) + 1)
        if config.patch_px % self.multiple_px:
            raise UnpairedError(
                f"deepjscc: patch_px = {config.patch_px} is no multiple of {self.multiple_px}, "
                "which this network needs"
            )
        about = (config.channels, widths, config.symbol_channels)
        self.encoder, self.decoder = deepjscc.encoder(*about), deepjscc.decoder(*about)

    def phases(self) -> list[Phase]:
        config = self.config
        about = {"betas": (0.9, config.beta2), "clip_norm": config.gradient_clip, "fused": True}
        return [adam_phase(config, self.parameters(), **about)]

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        generators = state.generators(batch["sample"], "channel")
        (picture,) = mirror_at_random(generators, batch["image"])
        low, high = self.config.snr_min_db, self.config.snr_max_db
        drawn = torch.stack([torch.rand((), generator=g, device=g.device) for g in generators])
        snr_db = low + (high - low) * drawn
        arrived = self.decode(add_noise(self.encode(picture, snr_db), snr_db, generators), snr_db)
        return {"loss": functional.mse_loss(arrived, picture)}

    # ---- Its use. Pictures are B x C x H x W in [0, 1], sides multiples of ``multiple_px``.

    def encode(self, picture: Tensor, snr_db: Tensor) -> Tensor:
        """Return the symbols, B x M x h x w reals, of a mean power of 1 a complex one."""
        return normalized(self.encoder(picture, snr_db))

    def decode(self, received: Tensor, snr_db: Tensor) -> Tensor:
        """Return the picture of received symbols, not clipped."""
        return self.decoder(received, snr_db)

    def transmit(self, picture: Tensor, snr_db: Tensor, generators: list[Generator]) -> Tensor:
        """Return y: what a picture is after encoder, channel and decoder, within [0, 1]."""
        received = add_noise(self.encode(picture, snr_db), snr_db, generators)
        return self.decode(received, snr_db).clamp(0, 1)

    def symbols(self, height: int, width: int) -> int:
        """Return the complex symbols of a picture of H x W, multiples of ``multiple_px``."""
        places = (height // self.multiple_px) * (width // self.multiple_px)
        return complex_symbols(torch.empty(1, self.config.symbol_channels, places, device="meta"))

    def send(self, picture: Tensor, channel: Channel) -> Arrived:
        """Return y, as it is."""
        return all_came(channel.transmit(self, picture), self.symbols(*picture.shape[-2:]))
