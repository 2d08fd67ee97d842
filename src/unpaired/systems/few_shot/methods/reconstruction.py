"""What all reconstructions of SUD² share: the U-Net, the loss of the pairs, and a validation.

The pairs that are not learned from are for validation: no loss sees them. At intervals the averaged
network is scored on them, and the best one so far is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.data.disjoint import check_disjoint
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.data.samples import NoiseDraw
from unpaired.learning.averaging import AveragedWeights
from unpaired.learning.diffusion import from_signed, to_signed
from unpaired.learning.method import Method, Observation, Phase, TrainingState
from unpaired.learning.phases import adam_phase
from unpaired.metrics.collapse import PICTURES_MIN, collapse, core_of
from unpaired.networks.diffusion_unet import DiffusionUNet, widths_of
from unpaired.systems.few_shot.samples import (
    FewShotSamples,
    Measurements,
    Observed,
    as_batch,
    chosen_pairs,
    refuse_empty,
)

AVERAGING_WARM_UP = 0.08
VALIDATED_AT_ONCE = 64
# Of a row of the validation's curve.
CURVE = ("images_seen", "psnr_db", "hole_psnr_db", "correlation", "variance_ratio")
LAST, VALIDATED = "last", "validated"


@dataclass(frozen=True, kw_only=True)
class ReconstructionConfig:
    """Settings of the reconstruction. SUD² says "U-Net" and no more: all sizes here are ours.

    widths, blocks, groups, squeeze_px: of the network, see `networks.diffusion_unet`; widths with
        spaces between them.
    pairs: how many of the set's are learned from; 5 in the paper (section 4).
    half_life_images: of the average of weights. gradient_clip: norm that longer ones are cut to.
    validate_every_images: how often the rest of the pairs is looked at.
    patch_px: side of the pictures.
    """

    channels: int = 3
    widths: str = "64 128 256 256"
    blocks: int = 2
    groups: int = 32
    squeeze_px: int = 1
    pairs: int = 5
    images_seen: int = 320_000
    batch_size: int = 16
    patch_px: int = 128
    learning_rate: PositiveNumber = 1e-4
    beta2: ShareBelowOne = 0.999
    schedule: str = "constant"
    half_life_images: int = 16_000
    gradient_clip: PositiveNumber = 1.0
    validate_every_images: int = 16_000


class Reconstruction(Method):
    """A picture of a measurement: the measurement, and what the network adds to it.

    Its product is ``restore``, by the weights at the end (read-out "last") or by those that were
    the best in validation ("validated"; the last ones without a validation). ``curve`` has a row of
    CURVE for every validation.
    """

    Config: ClassVar[type] = ReconstructionConfig
    sees: ClassVar[tuple[str, ...]] = ("pair_measured", "pair_clean")
    read_outs: ClassVar[tuple[str, ...]] = (LAST, VALIDATED)

    def __init__(self, config: ReconstructionConfig) -> None:
        super().__init__(config)
        if config.validate_every_images < 1 or config.pairs < 1:
            raise UnpairedError("validate_every_images and pairs must be positive")
        self.network = DiffusionUNet(
            config.channels,
            widths=widths_of(config.widths),
            blocks=config.blocks,
            groups=config.groups,
            squeeze_px=config.squeeze_px,
            timed=False,
        )
        self.validated = copy.deepcopy(self.network).requires_grad_(False)
        rows = 2 + -(-config.images_seen // config.validate_every_images)
        self.register_buffer("curve", torch.zeros(rows, len(CURVE)))
        self.register_buffer("validations", torch.zeros((), dtype=torch.int64))
        self.held_out: list[Observed] = []

    @property
    def multiple_px(self) -> int:
        """Sides of a measurement are multiples of this."""
        return self.network.multiple_px

    @property
    def margin_px(self) -> int | None:
        """None: all of a measurement matters everywhere."""
        return self.network.margin_px

    # ---- Learning

    def samples(
        self,
        packs: Sequence[Pack],
        *,
        seed: int,
        noise: Noise | Condition | None,
        noise_draw: NoiseDraw,
    ) -> FewShotSamples:
        """Return pairs, and measurements of a second pack if there is one.

        Raises UnpairedError if packs share a picture, or hold too few.
        """
        pairs, *others = packs
        views = Measurements(pairs, noise)
        learned_from, held_out = chosen_pairs(len(views), self.config.pairs, seed)
        self.held_out = [views[i] for i in held_out] if len(held_out) >= PICTURES_MIN else []
        for pack in others:
            refuse_empty(pack, "unpaired measurement")
            check_disjoint(pairs, pack, ("pairs", "unpaired measurements"))
        measured = Measurements(others[0], noise) if others else None
        chosen = [views[index] for index in learned_from]
        return FewShotSamples(seed, self.config.patch_px, pairs=chosen, measured=measured)

    def start_from(self, other: Method) -> None:
        """Take over the network of another reconstruction of the same size.

        Raises UnpairedError if it is none.
        """
        own = self.network.state_dict()
        given = other.network.state_dict() if isinstance(other, Reconstruction) else {}
        if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in given.items()}:
            raise UnpairedError(
                f"can start only from a reconstruction of the same size, not from this "
                f"{type(other).__name__}; give both the same widths, blocks and squeeze_px"
            )
        self.network.load_state_dict(given)

    def phases(self) -> list[Phase]:
        config = self.config
        self.averaged = AveragedWeights(
            self.network,
            half_life_images=config.half_life_images,
            batch_size=config.batch_size,
            warm_up=AVERAGING_WARM_UP,
        )
        about = {"betas": (0.9, config.beta2), "clip_norm": config.gradient_clip, "fused": True}
        self._validate(0)
        return [adam_phase(config, self.network.parameters(), **about)]

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        found, _ = self.reconstruct(to_signed(batch["pair_measured"]))
        loss = functional.mse_loss(found, to_signed(batch["pair_clean"]))
        return {"loss": loss}

    def after_step(self) -> None:
        self.averaged.update(self.network)
        done, every = int(self.averaged.images_seen), self.config.validate_every_images
        if done // every > (done - self.config.batch_size) // every:
            self._validate(done)

    def finish(self) -> None:
        self.averaged.put_into(self.network)
        if not int(self.validations):
            self.validated.load_state_dict(self.network.state_dict())
        del self.averaged

    def _validate(self, images_seen: int) -> None:
        """Add a row to the curve, and keep the averaged weights if they are the best so far."""
        if not self.held_out:
            return
        with torch.no_grad():
            measured = as_batch([one.measured for one in self.held_out])
            outputs = torch.cat(
                [
                    self._picture(self.averaged.average, part.to(self.curve.device)).cpu()
                    for part in measured.split(VALIDATED_AT_ONCE)
                ]
            )
        row = _validation_row(images_seen, outputs, self.held_out)
        done = int(self.validations)
        best = self.curve[:done, 1].max() if done else -torch.inf
        self.curve[done] = torch.tensor(row)
        self.validations += 1
        if self.curve[done, 1] > best:
            self.validated.load_state_dict(self.averaged.average.state_dict())

    # ---- Use

    def reconstruct(self, measured: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(y) and the latent of it; pictures are B x C x H x W in [-1, 1], not clipped."""
        added, latent = self.network.with_latent(measured)
        return measured + added, latent

    def restore(self, observation: Observation) -> Tensor:
        """Return the picture of a measurement in [0, 1], whose sides are of ``multiple_px``."""
        network = self.validated if self.read_out == VALIDATED else self.network
        with torch.inference_mode():
            return self._picture(network, observation.image)

    @staticmethod
    def _picture(network: DiffusionUNet, measured: Tensor) -> Tensor:
        signed = to_signed(measured)
        return from_signed(signed + network(signed))


def _validation_row(images_seen: int, outputs: Tensor, held_out: list[Observed]) -> list[float]:
    """Return the numbers of CURVE; outputs: N x C x H x W in [0, 1]."""
    found = outputs.clamp(0, 1).permute(0, 2, 3, 1).numpy()
    truths = np.stack([one.truth for one in held_out])
    everywhere = np.ones(truths.shape[1:3], bool)
    holes = np.stack([everywhere if one.hole is None else one.hole for one in held_out])
    squares = np.square(found.astype(np.float64) - truths).mean(axis=-1)
    whole = np.mean([_psnr_db(one) for one in squares])
    inside = np.mean([_psnr_db(one[hole]) for one, hole in zip(squares, holes, strict=True)])
    alike = collapse(found, truths, core_of(holes))
    return [images_seen, whole, inside, alike.correlation, alike.variance_ratio]


def _psnr_db(squares: np.ndarray) -> float:
    return float(-10 * np.log10(max(squares.mean(), 1e-10)))
