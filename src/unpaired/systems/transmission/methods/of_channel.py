"""What is learned for one quality of the channel alone: what all such methods share.

Every step sends its pictures anew, through the codec and fresh noise. The channel that a model was
learned for is part of its weights, so that no other is used with it unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from unpaired.catalog.system import Condition
from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.data.samples import NoiseDraw
from unpaired.imaging.orientation import mirror_at_random
from unpaired.learning.diffusion import to_signed
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.learning.phases import adam_phase
from unpaired.systems.transmission.channel import add_noise, one_for_each, snr_of
from unpaired.systems.transmission.matching import codec_of


@dataclass(frozen=True, kw_only=True)
class LearnedForChannelConfig:
    """Settings of all of them: squeeze_px of the network, see `networks.invertible`.

    The codec's errors are as large as its innermost places, and networks must see as far.
    """

    channels: int = 3
    squeeze_px: int = 8
    images_seen: int = 320_000
    batch_size: int = 8
    patch_px: int = 256
    learning_rate: PositiveNumber = 2e-4
    beta2: ShareBelowOne = 0.99
    schedule: str = "warmup_cosine"
    gradient_clip: PositiveNumber = 1.0


class LearnedForChannel(Method):
    """Base of methods that learn from pictures and what the channel makes of them."""

    sees = ("image",)

    def __init__(self, config) -> None:
        super().__init__(config)
        self.register_buffer("snr_db", torch.full((), torch.inf))

    def samples(
        self,
        packs: Sequence[Pack],
        *,
        seed: int,
        noise: Noise | Condition | None,
        noise_draw: NoiseDraw,
    ) -> Dataset:
        """Return crops of pictures; the condition says which channel they will be sent through."""
        self.snr_db.fill_(snr_of(noise))
        return super().samples(packs, seed=seed, noise=noise, noise_draw=noise_draw)

    def phases(self) -> list[Phase]:
        config = self.config
        about = {"betas": (0.9, config.beta2), "clip_norm": config.gradient_clip, "fused": True}
        return [adam_phase(config, self.network.parameters(), **about)]

    @torch.no_grad()
    def sent(self, batch: dict[str, Tensor], state: TrainingState) -> tuple[Tensor, Tensor, Tensor]:
        """Return pictures, and what arrives of them in two draws of the noise, all in [-1, 1].

        Two draws differ by noise alone: half of their mean squared difference is what no function
        of the picture can tell of either.
        """
        generators = state.generators(batch["sample"], "channel")
        (picture,) = mirror_at_random(generators, batch["image"])
        codec = codec_of(self.others)
        snr_db = one_for_each(float(self.snr_db), picture)
        symbols = codec.encode(picture, snr_db)
        first, second = (
            codec.decode(add_noise(symbols, snr_db, generators), snr_db).clamp(0, 1)
            for _ in range(2)
        )
        return to_signed(picture), to_signed(first), to_signed(second)
