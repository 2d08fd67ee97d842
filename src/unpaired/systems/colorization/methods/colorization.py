"""Automatic colorization (Zhang 2018, chapter 2): a distribution over 313 colors for every pixel.

And regression, which it is compared with in Table 2.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import PositiveNumber, Share, ShareBelowOne
from unpaired.imaging.color.ab_bins import (
    BINS,
    NEIGHBORS,
    SIGMA,
    centers,
    class_weights,
    decode,
    load_prior,
    soft_cross_entropy,
    soft_encode,
)
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.imaging.color.temperature import TEMPERATURE, check_temperature
from unpaired.imaging.orientation import mirror_at_random
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.learning.phases import adam_phase
from unpaired.networks.colorization import LIGHTNESS_CENTER, LIGHTNESS_SCALE, ColorizationNet
from unpaired.networks.kmeans_init import initialize_from_patches

LOSSES = ("classification", "regression")
INITIALIZATIONS = ("he", "kmeans")
KMEANS_SAMPLES = 32
GRAY_MAX = 5.0  # A picture whose a and b all lie within +- this teaches nothing about color.
AB_SCALE = 110.0  # What 1.0 of the regression's output means.


class Colorizer(Protocol):
    """A product: gives lightness its colors.

    picture_px: shorter side that pictures are shrunk to before it sees them; None for any.
    """

    picture_px: int | None

    def colorize(self, lightness: Tensor, *key: object) -> Tensor:
        """Return ab, B x 2 x H x W, for lightness B x 1 x H x W in [0, 100].

        key: names the picture, for colorizers that draw at random.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ColorizationConfig:
    """Settings of the colorizer; the defaults are those of the authors' Caffe files.

    loss: "classification" or "regression". uniform_share: lambda of the class rebalancing; 0.5 is
    the row "full", 1 (none) the row "class". neighbors, sigma: of the soft targets. temperature:
    of the annealed mean. width: channels of the first block. weight_decay: as L2 in the gradient.
    picture_px: shorter side of the pictures that the training patches are cut from, at which the
    network expects to see others too. initialization: "he", or "kmeans" as in the thesis, of
    patches of the first training samples. affine: see `ColorizationNet`. own_bins: whether the ab
    of the bins belong to the weights, as in the authors' PyTorch file, and are not those of the
    table.
    """

    RENAMED: ClassVar[dict[str, str]] = {"neighbours": "neighbors"}  # codespell:ignore

    loss: str = "classification"
    initialization: str = "he"
    uniform_share: Share = 0.5
    neighbors: int = NEIGHBORS
    sigma: PositiveNumber = SIGMA
    temperature: float = TEMPERATURE
    width: int = 64
    images_seen: int = 18_000_000  # 450,000 iterations
    batch_size: int = 40
    patch_px: int = 176
    picture_px: int = 256
    affine: bool = False
    own_bins: bool = False
    learning_rate: PositiveNumber = 3e-5
    schedule: str = "tenth_midway"
    beta2: ShareBelowOne = 0.99
    weight_decay: float = 1e-3


class Colorization(Method):
    """Cross-entropy with the soft-encoded colors, or squared error, at a quarter of the size.

    Targets are every fourth pixel, not means. In training every picture is mirrored or not, and one
    without color (GRAY_MAX) has weight 0, whatever the loss. The normalizer of the authors' loss
    is not published; here it is the mean over all pixels of the batch, in ab units for regression
    (Equation 2.1). Rebalanced training needs a color prior first, see `set_prior`. Without the
    thesis's k-means initialization unless it is asked for; what it lacks of the authors' is said in
    `networks.kmeans_init`, and the transposed convolution and the head have no part in it.
    """

    Config: ClassVar[type] = ColorizationConfig
    sees: ClassVar[tuple[str, ...]] = ("image",)

    def __init__(self, config: ColorizationConfig) -> None:
        super().__init__(config)
        check_choice("colorization", "loss", config.loss, LOSSES)
        check_choice("colorization", "initialization", config.initialization, INITIALIZATIONS)
        check_temperature(config.temperature)
        if not 0 <= config.uniform_share <= 1:
            raise UnpairedError(
                f"colorization: uniform_share must be between 0 and 1, not {config.uniform_share}"
            )
        self.network = ColorizationNet(self._outputs, width=config.width, affine=config.affine)
        # Zeros until the prior is known: nothing could be learned with them unnoticed.
        start = 0.0 if self.needs_prior else 1.0
        self.register_buffer("class_weights", torch.full((BINS,), start))
        self.register_buffer("bins", centers().clone() if config.own_bins else None)

    @property
    def _outputs(self) -> int:
        return BINS if self.config.loss == "classification" else 2

    @property
    def multiple_px(self) -> int:
        """Sides of training patches are multiples of this; `colorize` takes any size."""
        return self.network.multiple_px

    @property
    def picture_px(self) -> int:
        """Shorter side of the pictures that it knows, see `Colorizer`."""
        return self.config.picture_px

    @property
    def needs_prior(self) -> bool:
        """Whether `set_prior` must be called before training."""
        return self.config.loss == "classification" and self.config.uniform_share < 1

    def receive_file(self, name: str, path: Path) -> None:
        """Rebalance the loss for the color prior in a file, unless the settings do without."""
        if self.needs_prior:
            self.set_prior(load_prior(path))

    def timing_batch(self, device: torch.device) -> dict[str, Tensor]:
        if self.needs_prior:
            self.set_prior(torch.full((BINS,), 1 / BINS, dtype=torch.float64))
            self.to(device)
        return super().timing_batch(device)

    def set_prior(self, prior: Tensor) -> None:
        """Rebalance the loss for a smoothed color prior, 313 probabilities (Equation 2.4).

        Raises UnpairedError for a bad prior, and for one with empty bins if uniform_share is 0.
        """
        weights = class_weights(prior, self.config.uniform_share)
        if not weights.isfinite().all():
            empty = int(weights.isinf().sum())
            raise UnpairedError(
                f"colorization: {empty} colors are empty in the prior and would get infinite "
                "weight; set uniform_share above 0"
            )
        self.class_weights.copy_(weights)

    def prepare(self, samples: Any, seed: int) -> None:
        """Initialize by k-means from the first samples of a training, if the settings say so."""
        if self.config.initialization == "he":
            return
        images = torch.stack([samples[number]["image"] for number in range(KMEANS_SAMPLES)])
        lightness = (rgb_to_lab(images)[:, :1] - LIGHTNESS_CENTER) / LIGHTNESS_SCALE
        initialize_from_patches(self.network.body, lightness, seed, "colorization")

    def start_from(self, other: Method) -> None:
        """Start from another colorizer's weights, all but the head: the row "L2, ft" of Table 2.1.

        Raises UnpairedError if ``other`` is no colorizer of the same width and normalization.
        """
        if not isinstance(other, Colorization) or other.config.width != self.config.width:
            raise UnpairedError(
                f"colorization: can start only from a colorizer of width {self.config.width}; "
                f"{type(other).__name__} given, width {getattr(other.config, 'width', 'none')}"
            )
        if other.config.affine != self.config.affine:
            raise UnpairedError(
                "colorization: can start only from a colorizer of the same normalization; set "
                f"affine to {other.config.affine}"
            )
        self.network.body.load_state_dict(other.network.body.state_dict())

    def phases(self) -> list[Phase]:
        config = self.config
        if self.needs_prior and not self.class_weights.any():
            raise UnpairedError(
                "colorization: rebalanced training needs the color prior of its data set; give it "
                "one, or set uniform_share to 1"
            )
        options = {"betas": (0.9, config.beta2), "weight_decay": config.weight_decay}
        return [adam_phase(config, self.parameters(), **options, fused=True)]

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """``batch["image"]``: sRGB in [0, 1], B x 3 x P x P, P a multiple of ``multiple_px``."""
        generators = state.generators(batch["sample"], "mirror")
        (rgb,) = mirror_at_random(generators, batch["image"])
        lab = rgb_to_lab(rgb)
        stride = self.network.output_stride_px
        ab = lab[:, 1:, ::stride, ::stride]
        weights = is_colored(ab).to(ab.dtype)[:, None, None]
        output = self.network(lab[:, :1])
        if self.config.loss == "regression":
            errors = (AB_SCALE * output - ab).square().sum(1) / 2
        else:
            code = soft_encode(ab, self.config.neighbors, self.config.sigma)
            errors = soft_cross_entropy(output, code)
            weights = weights * self.class_weights[code.nearest]
        return {"loss": (weights * errors).mean(), "unweighted": errors.detach().mean()}

    def colorize(self, lightness: Tensor, *key: object, temperature: float | None = None) -> Tensor:
        """Return ab, B x 2 x H x W, for lightness B x 1 x H x W in [0, 100], any H and W.

        The colors are those of the H/4 map, enlarged bilinearly as the authors' demo does.
        temperature: of the annealed mean, that of the settings if None; no meaning in regression.
        """
        height, width = lightness.shape[-2:]
        with torch.inference_mode():
            output = self.network(self._padded(lightness))
            if self.config.loss == "regression":
                ab = AB_SCALE * output
            else:
                wanted = self.config.temperature if temperature is None else temperature
                ab = decode(output, wanted, self.bins)
            scale = self.network.output_stride_px
            ab = functional.interpolate(ab, scale_factor=scale, mode="bilinear")
            return ab[..., :height, :width]

    def distribution(self, lightness: Tensor) -> Tensor:
        """Return the probability of every bin: B x 313 x H/4 x W/4, sides rounded up.

        Raises UnpairedError for a regression, which has none.
        """
        if self.config.loss == "regression":
            raise UnpairedError("colorization: a regression predicts no distribution of colors")
        scale = self.network.output_stride_px
        rows, columns = (math.ceil(side / scale) for side in lightness.shape[-2:])
        with torch.inference_mode():
            logits = self.network(self._padded(lightness))
            return torch.softmax(logits[..., :rows, :columns], dim=1)

    def _padded(self, lightness: Tensor) -> Tensor:
        """Extend at the bottom and on the right to a multiple of 8, by the edge's own values."""
        bottom, right = (-side % self.multiple_px for side in lightness.shape[-2:])
        return functional.pad(lightness, (0, right, 0, bottom), mode="replicate")


def is_colored(ab: Tensor) -> Tensor:
    """Tell which pictures of B x 2 x H x W have any |a| or |b| above GRAY_MAX: B, bool."""
    return (ab.abs() > GRAY_MAX).flatten(1).any(1)
