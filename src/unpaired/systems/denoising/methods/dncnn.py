"""DnCNN (Zhang et al., TIP 2017) as LUD-VAE trains it, on real, synthesized or awgn pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.imaging.orientation import orient_at_random
from unpaired.learning.denoiser import Denoiser, DenoiserConfig
from unpaired.learning.method import TrainingState
from unpaired.networks.dncnn import DnCNN


@dataclass(frozen=True, kw_only=True)
class SupervisedDnCNNConfig(DenoiserConfig):
    """LUD-VAE, section 4.4; what it does not say, loss and batches among it, is the KAIR code's.

    50,000 iterations of 64 patches of 40 pixels, turned and mirrored at random. The authors test on
    the validation set every 500 iterations, keep the best network and print its score on the same
    set; here the last one is kept.

    width: feature channels. global_residual: the network, which predicts the noise in any case,
    predicts none at first. Not in the paper.
    """

    width: int = 64
    images_seen: int = 50_000 * 64
    batch_size: int = 64
    patch_px: int = 40
    learning_rate: PositiveNumber = 1e-4
    schedule: str = "halve_midway"
    beta2: ShareBelowOne = 0.999


class SupervisedDnCNN(Denoiser):
    """Mean absolute error between the restored and the clean image; 17 layers predict the noise.

    The baseline "AWGN" of LUD-VAE is this training on the noise ``awgn``.
    """

    Config: ClassVar[type] = SupervisedDnCNNConfig
    config: SupervisedDnCNNConfig
    sees: ClassVar[tuple[str, ...]] = ("noisy", "clean")

    def __init__(self, config: SupervisedDnCNNConfig) -> None:
        super().__init__(config)
        self.network = DnCNN.of_kair(config.channels, width=config.width)
        if config.global_residual:
            nn.init.zeros_(self.network.last.weight)

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        generators = state.generators(batch["sample"], "orientation")
        noisy, clean = orient_at_random(generators, batch["noisy"], batch["clean"])
        return {"loss": functional.l1_loss(self.network(noisy), clean)}
