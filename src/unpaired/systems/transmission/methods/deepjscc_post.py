"""A network behind DeepJSCC that learns the mean of the picture: what one would try first.

    L = mean of |x - (y + h(y))|^2

h has about as many weights as the invertible network, and is learned for one SNR as that is. It is
no method of the paper: it says what a network of the same size gains by the same loss as the codec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from unpaired.learning.diffusion import from_signed, to_signed
from unpaired.learning.method import TrainingState
from unpaired.networks.invertible import ResidualNetwork
from unpaired.systems.transmission.matching import codec_of, require_channel
from unpaired.systems.transmission.methods.of_channel import (
    LearnedForChannel,
    LearnedForChannelConfig,
)
from unpaired.systems.transmission.sending import Arrived, Channel, all_came


@dataclass(frozen=True, kw_only=True)
class DeepJSCCPostConfig(LearnedForChannelConfig):
    """width, blocks: of the network, see `networks.invertible`."""

    width: int = 64
    blocks: int = 25


class DeepJSCCPost(LearnedForChannel):
    """What arrives, and a correction of it."""

    Config: ClassVar[type] = DeepJSCCPostConfig
    pictures_at_once: ClassVar[int] = 32

    def __init__(self, config: DeepJSCCPostConfig) -> None:
        super().__init__(config)
        self.network = ResidualNetwork(
            config.channels,
            config.channels,
            width=config.width,
            blocks=config.blocks,
            squeeze_px=config.squeeze_px,
        )

    @property
    def multiple_px(self) -> int:
        """Sides that both the codec and the network take, both powers of 2."""
        return max(codec_of(self.others).multiple_px, self.config.squeeze_px)

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        picture, received, _ = self.sent(batch, state)
        loss = functional.mse_loss(received + self.network(received), picture)
        return {"loss": loss, "received": functional.mse_loss(received, picture)}

    def send(self, picture: Tensor, channel: Channel) -> Arrived:
        """Return y and its correction."""
        require_channel(self, channel.snr_db, "post-network")
        codec = codec_of(self.others)
        received = to_signed(channel.transmit(codec, picture))
        better = from_signed(received + self.network(received)).clamp(0, 1)
        return all_came(better, codec.symbols(*picture.shape[-2:]))
