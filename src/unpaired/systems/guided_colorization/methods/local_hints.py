"""The Local Hints Network (Zhang 2018, section 3.3.2): colors from lightness and a few points.

Beside it, a distribution over colors for every place, from which colors are suggested.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import PositiveNumber, Share, SignedNumber
from unpaired.core.randomness import numpy_generator
from unpaired.imaging.color.ab_bins import (
    BINS,
    NEIGHBORS,
    SIGMA,
    centers,
    decode,
    soft_cross_entropy,
    soft_encode,
)
from unpaired.learning.method import TrainingState
from unpaired.networks.guided_colorization import HEADS, LocalHintsNet
from unpaired.systems.guided_colorization.methods.guided import (
    GuidedColorizer,
    GuidedConfig,
    huber,
    of_each,
)
from unpaired.systems.guided_colorization.simulation import SimulatedUser

GRID_SIDE, GRID_STEP, GRID_LEAST = 23, 10.0, -110.0  # of the port's bins, a-major


@dataclass(frozen=True, kw_only=True)
class LocalHintsConfig(GuidedConfig):
    """Settings of the Local Hints Network; the defaults are the thesis's.

    head: "hypercolumn", or "one_by_one" of the authors' port, which has the whole grid of 529 bins
    and learns from the nearest one. mask_center: taken off the mask; 0.5 in weights that were
    trained with the port. hint_simulation, stop_probability, patch_px_max, full_share: see
    `SimulatedUser`. neighbors, sigma: of the soft targets. suggestion_factor: logits are
    multiplied by it before colors are suggested: 0.2 softens a peaked distribution.
    """

    head: str = "hypercolumn"
    mask_center: SignedNumber = 0.0
    hint_simulation: str = "thesis"
    stop_probability: Share = 1 / 8
    patch_px_max: int = 9
    full_share: Share = 0.01
    neighbors: int = NEIGHBORS
    sigma: PositiveNumber = SIGMA
    suggestion_factor: float = 0.2


class LocalHints(GuidedColorizer):
    """Huber's loss on all pixels; the head's cross-entropy at every fourth, on features that stay.

    The gradient of the side task ends at the features (section 3.3.4), so that the sum of both
    losses trains the network and the head apart from each other.
    """

    Config: ClassVar[type] = LocalHintsConfig
    config: LocalHintsConfig
    takes: ClassVar[tuple[str, ...]] = ("points",)

    def __init__(self, config: LocalHintsConfig) -> None:
        super().__init__(config)
        check_choice("local_hints", "head", config.head, HEADS)
        self.user = SimulatedUser(
            config.hint_simulation,
            config.stop_probability,
            config.patch_px_max,
            config.full_share,
        )
        self.network = LocalHintsNet(
            self._bins,
            width=config.width,
            affine=config.affine,
            output_scale=config.output_scale,
            head=config.head,
            mask_center=config.mask_center,
        )

    @property
    def _bins(self) -> int:
        return BINS if self.config.head == "hypercolumn" else GRID_SIDE**2

    def bins(self, device: torch.device | str = "cpu") -> Tensor:
        """Return the ab of every bin of the distribution: N x 2."""
        if self.config.head == "hypercolumn":
            return centers(device)
        axis = GRID_LEAST + GRID_STEP * torch.arange(GRID_SIDE, device=device)
        return torch.cartesian_prod(axis, axis)

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """``batch["image"]``: sRGB in [0, 1], B x 3 x P x P, P a multiple of ``multiple_px``."""
        _, lab = self._mirrored(batch, state)
        ab = lab[:, 1:]
        hints, mask = self.simulated(ab, batch["sample"], state.seed)
        found = self.network(lab[:, :1], hints, mask, with_logits=True)
        colors = huber(found.ab, ab)
        stride = self.network.head_stride_px
        suggested = self._suggestion_loss(found.logits, ab[..., ::stride, ::stride])
        return {"loss": colors + suggested, "colors": colors, "suggestions": suggested}

    def simulated(self, ab: Tensor, samples: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return hints and masks of a batch; those of a sample depend on its number and seed."""
        drawn = [
            self.user.hints(numpy_generator(seed, int(sample), "hints"), one)
            for one, sample in zip(ab, samples, strict=True)
        ]
        hints, masks = zip(*drawn, strict=True)
        return torch.stack(hints), torch.stack(masks)

    def _suggestion_loss(self, logits: Tensor, ab: Tensor) -> Tensor:
        """Return Equation 3.6 per pixel, against the soft code; the port's, against one bin."""
        if self.config.head == "hypercolumn":
            code = soft_encode(ab, self.config.neighbors, self.config.sigma)
            return soft_cross_entropy(logits, code).mean()
        return functional.cross_entropy(logits, nearest_of_grid(ab))

    def colorize(
        self,
        lightness: Tensor,
        *key: object,
        ab: Tensor | None = None,
        mask: Tensor | None = None,
        temperature: float | None = None,
    ) -> Tensor:
        """Return ab, B x 2 x H x W, for lightness B x 1 x H x W in [0, 100], any H and W.

        ab, mask: hints as `imaging.color.hints` makes them, of one picture or of each; none if
            None. temperature: None gives the network's own colors; a number the annealed mean of
            the distribution, at a quarter of the size, as automatic colorization gives.
        """
        height, width = lightness.shape[-2:]
        with torch.inference_mode():
            found = self._found(lightness, ab, mask, with_logits=temperature is not None)
            if temperature is None:
                return found.ab[..., :height, :width]
            decoded = decode(found.logits, temperature, self.bins(lightness.device))
            scale = self.network.head_stride_px
            wide = functional.interpolate(decoded, scale_factor=scale, mode="bilinear")
            return wide[..., :height, :width]

    def suggestions(
        self, lightness: Tensor, ab: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the colors, as `colorize`, and the softened logits that suggest others.

        The second is B x bins x H/4 x W/4, sides rounded up, times the factor of the settings.
        """
        height, width = lightness.shape[-2:]
        scale = self.network.head_stride_px
        rows, columns = (math.ceil(side / scale) for side in (height, width))
        with torch.inference_mode():
            found = self._found(lightness, ab, mask, with_logits=True)
            logits = self.config.suggestion_factor * found.logits[..., :rows, :columns]
            return found.ab[..., :height, :width], logits

    def _found(self, lightness: Tensor, ab: Tensor | None, mask: Tensor | None, with_logits: bool):
        if (ab is None) != (mask is None):
            raise UnpairedError("hints and their mask belong together: give both, or none")
        count, device = len(lightness), lightness.device
        if ab is None:
            mask = torch.zeros_like(lightness)
            ab = mask.expand(-1, 2, -1, -1)
        else:
            ab, mask = (of_each(one, count, device) for one in (ab, mask))
        padding = self._padding(lightness)
        padded = functional.pad(lightness, padding, mode="replicate")
        return self.network(
            padded,
            functional.pad(ab, padding),
            functional.pad(mask, padding),
            with_logits=with_logits,
        )


def nearest_of_grid(ab: Tensor) -> Tensor:
    """Return the bin of the port's 23 x 23 grid that each pixel of B x 2 x H x W is nearest to.

    B x H x W, int64; a counts the rows of the grid. (The port's own table of bins has a and b
    exchanged, so that its palette shows other colors than it has learned; this one has not.)
    """
    places = ((ab - GRID_LEAST) / GRID_STEP).round().clamp(0, GRID_SIDE - 1).long()
    return GRID_SIDE * places[:, 0] + places[:, 1]
