"""RRDBNet trained by the absolute error alone: what every ESRGAN starts from (section 4.1).

Wang et al., ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks, ECCV workshops 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.data.samples import NoiseDraw
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.learning.phases import adam_phase
from unpaired.networks.rrdb import SCALE, RRDBNet
from unpaired.systems.super_resolution.samples import EnlargingSamples


@dataclass(frozen=True, kw_only=True)
class EnlargerConfig:
    """Settings of a network that enlarges four times, and of its training.

    width, blocks, growth, head, global_residual: of the network, see `networks.rrdb`.
    patch_px: side of the large crops. beta2: of Adam.
    """

    channels: int = 3
    width: int = 64
    blocks: int = 23
    growth: int = 32
    head: str = "nearest"
    global_residual: bool = False
    images_seen: int = 16_000_000
    batch_size: int = 16
    patch_px: int = 128
    learning_rate: PositiveNumber = 2e-4
    beta2: ShareBelowOne = 0.999
    schedule: str = "halve_every_200_of_1000"

    def __post_init__(self) -> None:
        if self.patch_px < SCALE or self.patch_px % SCALE:
            raise UnpairedError(
                f"patch_px must be a multiple of {SCALE}, the factor, not {self.patch_px}"
            )


class Enlarger(Method):
    """A network whose product is ``upscale``; it learns from small and large crops."""

    Config: ClassVar[type] = EnlargerConfig
    sees: ClassVar[tuple[str, ...]] = ("small", "large")
    scale: ClassVar[int] = SCALE

    def __init__(self, config: EnlargerConfig) -> None:
        super().__init__(config)
        self.network = RRDBNet(
            config.channels,
            width=config.width,
            blocks=config.blocks,
            growth=config.growth,
            head=config.head,
            global_residual=config.global_residual,
        )

    @property
    def margin_px(self) -> int:
        """Small pixels of context beyond which the input cannot change the output."""
        return self.network.margin_px

    def samples(
        self,
        packs: Sequence[Pack],
        *,
        seed: int,
        noise: Noise | Condition | None,
        noise_draw: NoiseDraw,
    ) -> EnlargingSamples:
        """Return crops of one pack; its small pictures get ``noise`` if it is one."""
        (pack,) = packs
        return EnlargingSamples(pack, patch_px=self.config.patch_px, seed=seed, noise=noise)

    def timing_batch(self, device: torch.device) -> dict[str, Tensor]:
        side, channels = self.config.patch_px, self.config.channels
        shapes = {"small": side // SCALE, "large": side}
        batch = {key: torch.rand(1, channels, s, s, device=device) for key, s in shapes.items()}
        return batch | {"sample": torch.tensor([0], device=device)}

    def start_from(self, other: Method) -> None:
        """Take over the network of another enlarger of the same size.

        Raises UnpairedError if it is none.
        """
        own = self.network.state_dict()
        given = other.network.state_dict() if isinstance(other, Enlarger) else {}
        if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in given.items()}:
            raise UnpairedError(
                f"can start only from a network of the same size, not from this "
                f"{type(other).__name__}; give both the same width, blocks, growth and head"
            )
        self.network.load_state_dict(given)

    def phases(self) -> list[Phase]:
        config = self.config
        betas = (0.9, config.beta2)
        return [adam_phase(config, self.network.parameters(), betas=betas, fused=True)]

    def upscale(self, small: Tensor) -> Tensor:
        """Return pictures, B x C x h x w in [0, 1], four times larger, not clipped."""
        with torch.inference_mode():
            return self.network(small)


class RRDBL1(Enlarger):
    """The mean absolute error of the large picture."""

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        made = self.network(batch["small"])
        return {"loss": functional.l1_loss(made.float(), batch["large"])}
