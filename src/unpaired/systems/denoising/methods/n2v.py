"""Noise2Void (Krull et al., CVPR 2019): predict pixels whose own value was taken from the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.learning.denoiser import Denoiser, DenoiserConfig
from unpaired.learning.method import Observation, TrainingState
from unpaired.networks.n2v_unet import N2VUNet, SeparateChannels

LOSSES = {"mse": functional.mse_loss, "mae": functional.l1_loss}
STD_MIN = 1e-6  # Pictures of one value have no spread to divide by.


@dataclass(frozen=True, kw_only=True)
class Noise2VoidConfig(DenoiserConfig):
    """Settings of the authors' notebook for BSD68, which prints their result on photographs.

    The defaults of their package are for microscopy: mean absolute error, kernels of 5 pixels, 32
    filters, no residual, 1.5 % masked, a radius of 5, 100 epochs of 400 steps of 16 patches. The
    authors halve the learning rate whenever a validation loss stalls; here it is halved four times,
    by fraction. Their patches of BSD400 are turned and mirrored beforehand, those here are not.

    depth: poolings of the U-Net. kernel_px: side of its convolutions. masked_percent: of the pixels
        of a patch.
    radius_px: the replacement comes from a square window of 2 radius_px + 1 pixels.
    with_center: whether it may be the masked pixel itself.
    per_channel: a network for every channel, as the authors' package does by default; otherwise one
        network sees all channels. Either way every channel is masked by itself, as theirs are. Were
        a pixel masked in all channels at once, the network would miss what the other channels tell
        of it, and go on to lean on the pixel itself.
    loss: "mse" or "mae", of the masked pixels.
    """

    width: int = 96
    global_residual: bool = True
    images_seen: int = 200 * 400 * 128
    batch_size: int = 128
    patch_px: int = 64
    learning_rate: PositiveNumber = 4e-4
    schedule: str = "halve_every_fifth"
    beta2: ShareBelowOne = 0.999
    depth: int = 2
    kernel_px: int = 3
    masked_percent: float = 0.198
    radius_px: int = 2
    with_center: bool = True
    per_channel: bool = False
    loss: str = "mse"

    @property
    def box_px(self) -> int:
        """Side of the boxes that hold one masked pixel each."""
        return round((100 / self.masked_percent) ** 0.5)

    def __post_init__(self) -> None:
        check_choice("n2v", "loss", self.loss, LOSSES)
        if self.kernel_px % 2 == 0:
            raise UnpairedError(f"n2v: kernel_px must be odd, got {self.kernel_px}")
        if not 100 / self.patch_px**2 <= self.masked_percent <= 25:
            raise UnpairedError(
                f"n2v: masked_percent must lie between one pixel of a patch "
                f"({100 / self.patch_px**2:.3f}) and 25, got {self.masked_percent}"
            )


def draw_masks(
    image: Tensor, generators: list[Generator], config: Noise2VoidConfig
) -> tuple[Tensor, Tensor]:
    """Draw one masked pixel per box, and the pixel that each masked pixel's value is taken from.

    Boxes at the bottom and on the right may reach over the border; a pixel drawn there is dropped,
    so all pixels are masked equally often. The window of the replacement is clipped at the borders.
    It may hold other masked pixels, whose values are the original ones. As the authors' code.

    image: B x C x H x W; one generator per image. Returns the masks, B x C x H x W, boolean, and
    the sources, B x C x H x W, indices into the flattened H x W plane, a pixel's own where it is
    not masked. Every channel has its own.
    """
    channels, height, width = image.shape[1:]
    box = config.box_px
    rows, columns = -(-height // box), -(-width // box)
    # One call per image; the remainder of so large an integer is uniform to 1 in 10^15.
    draws = torch.stack(
        [
            torch.randint(2**62, (2, channels, rows, columns), generator=g, device=image.device)
            for g in generators
        ],
        dim=1,
    )
    in_box, in_window = draws.flatten(1, 2)
    y = torch.arange(rows, device=image.device)[:, None] * box + in_box % box**2 // box
    x = torch.arange(columns, device=image.device) * box + in_box % box
    source = _draw_source(y, x, in_window, (height, width), config)
    extended = (rows * box, columns * box)
    index = (y * extended[1] + x).flatten(1)
    mask = torch.zeros(len(index), extended[0] * extended[1], dtype=bool, device=image.device)
    mask.scatter_(1, index, True)
    drawn = torch.zeros_like(mask, dtype=torch.int64).scatter_(1, index, source.flatten(1))
    mask, drawn = (
        plane.view(-1, channels, *extended)[..., :height, :width] for plane in (mask, drawn)
    )
    own = torch.arange(height * width, device=image.device).view(height, width)
    return mask, torch.where(mask, drawn, own)


def _draw_source(
    y: Tensor, x: Tensor, draw: Tensor, shape: tuple[int, int], config: Noise2VoidConfig
) -> Tensor:
    """Pick a pixel of the clipped window around each (y, x) by a large random integer."""
    radius = config.radius_px
    top, left = (y - radius).clamp(min=0), (x - radius).clamp(min=0)
    # At least 1, for the pixels beyond the border that are dropped afterwards.
    across = ((x + radius + 1).clamp(max=shape[1]) - left).clamp(min=1)
    down = ((y + radius + 1).clamp(max=shape[0]) - top).clamp(min=1)
    if config.with_center:
        place = draw % (across * down)
    else:
        place = draw % (across * down - 1).clamp(min=1)
        place = place + (place >= (y - top) * across + x - left)
    return (top + place // across) * shape[1] + left + place % across


def replace(image: Tensor, source: Tensor) -> Tensor:
    """Give every pixel the value of its source, in its own channel: all B x C x H x W."""
    return image.flatten(2).gather(2, source.flatten(2)).view_as(image)


class RunningStandardization(nn.Module):
    """Mean and standard deviation per channel over all patches seen, in buffers of the model.

    The authors compute both over the training set beforehand, which a method never sees as a whole.
    These are the same from the first patches on but for sampling, change ever less, and are saved,
    so that a resumed training goes on with them. All batches must be of one size.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("variance", torch.ones(channels, 1, 1))
        self.register_buffer("batches", torch.tensor(0))

    @torch.no_grad()
    def update(self, image: Tensor) -> None:
        """Include a batch, B x C x H x W."""
        self.batches += 1
        mean = image.mean((0, 2, 3)).view_as(self.mean)
        variance = (image - mean).square().mean((0, 2, 3)).view_as(mean)
        share, change = 1 / self.batches, mean - self.mean
        self.variance += share * (variance + (1 - share) * change**2 - self.variance)
        self.mean += share * change

    @property
    def std(self) -> Tensor:
        return self.variance.sqrt().clamp(min=STD_MIN)

    def forward(self, image: Tensor) -> Tensor:
        """Return the image with mean 0 and standard deviation 1."""
        return (image - self.mean) / self.std

    def undo(self, standardized: Tensor) -> Tensor:
        """Return the image in its own units."""
        return standardized * self.std + self.mean


class Noise2Void(Denoiser):
    """The loss at the masked pixels, in units of the training set's standard deviation."""

    Config: ClassVar[type] = Noise2VoidConfig
    config: Noise2VoidConfig
    sees: ClassVar[tuple[str, ...]] = ("noisy",)

    def __init__(self, config: Noise2VoidConfig) -> None:
        super().__init__(config)

        def network(channels: int) -> N2VUNet:
            return N2VUNet(
                channels,
                depth=config.depth,
                width=config.width,
                kernel_px=config.kernel_px,
                residual=config.global_residual,
            )

        self.standardize = RunningStandardization(config.channels)
        if config.per_channel:
            self.network = SeparateChannels([network(1) for _ in range(config.channels)])
        else:
            self.network = network(config.channels)

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        self.standardize.update(batch["noisy"])
        noisy = self.standardize(batch["noisy"])
        generators = state.generators(batch["sample"], "n2v_masks")
        mask, source = draw_masks(noisy, generators, self.config)
        predicted = self.network(replace(noisy, source))
        error = LOSSES[self.config.loss](predicted, noisy, reduction="none")
        return {"loss": (error * mask).sum() / mask.sum()}

    def restore(self, observation: Observation) -> Tensor:
        """Return one pass over the image as it is; sides are multiples of ``multiple_px``."""
        with torch.inference_mode():
            return self.standardize.undo(self.network(self.standardize(observation.image)))
