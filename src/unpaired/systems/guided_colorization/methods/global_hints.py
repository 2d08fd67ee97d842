"""The Global Hints Network (Zhang 2018, section 3.3.3): colors from lightness and statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import Share
from unpaired.core.randomness import numpy_generator
from unpaired.imaging.color.ab_bins import BINS
from unpaired.imaging.color.hints import check_saturation, color_histogram, mean_saturation
from unpaired.learning.method import TrainingState
from unpaired.networks.guided_colorization import GlobalHintsNet
from unpaired.systems.guided_colorization.methods.guided import (
    GuidedColorizer,
    GuidedConfig,
    huber,
)


@dataclass(frozen=True, kw_only=True)
class GlobalHintsConfig(GuidedConfig):
    """Settings of the Global Hints Network.

    reveal_probability: with which each of the two statistics is given in training, apart from the
    other; the thesis does not tell it.
    """

    reveal_probability: Share = 0.5


class GlobalHints(GuidedColorizer):
    """The statistics are those of the true colors: of the training patch, or of a reference."""

    Config: ClassVar[type] = GlobalHintsConfig
    config: GlobalHintsConfig
    takes: ClassVar[tuple[str, ...]] = ("histogram", "saturation")

    def __init__(self, config: GlobalHintsConfig) -> None:
        super().__init__(config)
        if not 0 <= config.reveal_probability <= 1:
            raise UnpairedError(
                f"global_hints: reveal_probability = {config.reveal_probability} must be between "
                "0 and 1"
            )
        self.network = GlobalHintsNet(
            BINS, width=config.width, affine=config.affine, output_scale=config.output_scale
        )

    def timing_batch(self, device: torch.device) -> dict[str, Tensor]:
        """Return two samples, so that the paper's budget comes out twice as long.

        One alone has no mean over a batch, which the normalization of its statistics needs.
        """
        one = super().timing_batch(device)
        return {key: torch.cat([value, value]) for key, value in one.items()}

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """``batch["image"]``: sRGB in [0, 1], B x 3 x P x P, P a multiple of ``multiple_px``."""
        rgb, lab = self._mirrored(batch, state)
        ab = lab[:, 1:]
        shown = self.shown(batch["sample"], state.seed).to(rgb.device)
        histogram, saturation = color_histogram(ab), mean_saturation(rgb)[:, None]
        given = [with_indicator(one, shown[:, k]) for k, one in enumerate((histogram, saturation))]
        loss = huber(self.network(lab[:, :1], *given).ab, ab)
        return {"loss": loss}

    def shown(self, samples: Tensor, seed: int) -> Tensor:
        """Return whether histogram and saturation of each sample are given: B x 2, 0 or 1."""
        drawn = [numpy_generator(seed, int(one), "statistics").random(2) for one in samples]
        return (torch.tensor(np.stack(drawn)) < self.config.reveal_probability).float()

    def colorize(
        self,
        lightness: Tensor,
        *key: object,
        histogram: Tensor | None = None,
        saturation: float | Tensor | None = None,
        temperature: float | None = None,
    ) -> Tensor:
        """Return ab, B x 2 x H x W, for lightness B x 1 x H x W in [0, 100], any H and W.

        histogram: 313 shares that sum to 1, of one picture or B x 313, or None. saturation: mean S
            of HSV in [0, 1], one or B, or None. Raises UnpairedError for others, and for a
            temperature, since no distribution of colors is predicted.
        """
        if temperature is not None:
            raise UnpairedError(
                "temperature: a model of 'global_hints' predicts no distribution of colors"
            )
        count, device = len(lightness), lightness.device
        known = [_given(histogram, (count, BINS), device), _given(saturation, (count, 1), device)]
        _check(histogram, saturation, known)
        height, width = lightness.shape[-2:]
        padded = functional.pad(lightness, self._padding(lightness), mode="replicate")
        with torch.inference_mode():
            return self.network(padded, *known).ab[..., :height, :width]


def with_indicator(statistic: Tensor, shown: Tensor) -> Tensor:
    """Return B x N statistics with a last column of whether they are given, and zeros if not."""
    column = shown.to(statistic.dtype)[:, None]
    return torch.cat([statistic * column, column], dim=1)


def _given(value: Tensor | float | None, shape: tuple[int, int], device: torch.device) -> Tensor:
    if value is None:
        return torch.zeros(shape[0], shape[1] + 1, device=device)
    tensor = torch.as_tensor(value, dtype=torch.float32, device=device)
    wide = tensor.reshape(-1, shape[1]).expand(shape)
    return with_indicator(wide, torch.ones(shape[0], device=device))


def _check(histogram: object, saturation: object, known: list[Tensor]) -> None:
    if histogram is not None:
        sums = known[0][:, :-1].sum(1)
        if known[0].min() < 0 or not torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
            raise UnpairedError(f"a histogram must be {BINS} shares that sum to 1")
    if saturation is not None:
        for value in known[1][:, 0].tolist():
            check_saturation(value)
