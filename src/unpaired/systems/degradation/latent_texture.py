"""Noise latents like those of one noisy picture: the aggregated posterior, a picture at a time.

Not in the paper.

After a short training the latents that the noise branch finds in noisy pictures are far from
N(0, I): of another size, and correlated, most of all between the channels of one place. Latents
drawn from the prior lose both. Here they are a stationary Gaussian field of the mean and of all
covariances, between channels, levels and places, that the latents of a picture have: white noise,
filtered by these latents (a "random phase" or "spot noise" texture; Galerne, Gousseau & Morel,
IEEE Transactions on Image Processing 2011).

Where much of what the noise branch finds is detail of the picture, which is alike in all color
channels and smooth, its covariances are those of detail. `LatentSpread` keeps the size alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.randomness import numpy_generator
from unpaired.data.packs import Pack
from unpaired.networks.latents import LatentLevel
from unpaired.systems.degradation.methods.degradation import DegradationModel
from unpaired.systems.degradation.white_noise import noise_window


@dataclass(frozen=True)
class LatentTexture:
    """A Gaussian field of latents, whose covariance is that of a sample.

    levels: the grids of the latents. mean: K x 1 x 1. spots: K x h x w, the sample minus its mean
    over the square root of its places. K counts the latents of all levels in one place of the
    coarsest one.
    """

    levels: tuple[LatentLevel, ...]
    mean: Tensor
    spots: Tensor

    @classmethod
    def of(cls, levels: tuple[LatentLevel, ...], latents: list[Tensor]) -> LatentTexture:
        """Return the texture of a sample: 1 x channels x H / px x W / px for every level."""
        coarse_px = max(level.px for level in levels)
        joined = torch.cat(
            [
                functional.pixel_unshuffle(own, coarse_px // level.px)[0]
                for level, own in zip(levels, latents, strict=True)
            ]
        )
        mean = joined.mean((1, 2), keepdim=True)
        return cls(levels, mean, (joined - mean) / math.sqrt(joined[0].numel()))

    def window(
        self, key: tuple[object, ...], top: int, left: int, height: int, width: int
    ) -> list[Tensor]:
        """Return latents for a window of an image, of every level, the same at the same places.

        top, left, height, width: in pixels, multiples of the coarsest level's px.
        """
        px = max(level.px for level in self.levels)
        rows, columns = self.spots.shape[1:]
        around = (height + (rows - 1) * px, width + (columns - 1) * px)
        white = noise_window(key, LatentLevel(1, px), top, left, *around)[0].to(self.spots)
        shape = white.shape[1:]
        filtered = torch.fft.rfft2(white) * torch.fft.rfft2(self.spots, s=shape)
        # Before this the spots reach over the border, and what is there comes from the other side.
        whole = torch.fft.irfft2(filtered, s=shape)[:, rows - 1 :, columns - 1 :]
        field = whole + self.mean
        counts = [level.channels * (px // level.px) ** 2 for level in self.levels]
        return [
            functional.pixel_shuffle(own[None], px // level.px)
            for level, own in zip(self.levels, field.split(counts), strict=True)
        ]


@dataclass(frozen=True)
class LatentSpread:
    """Independent normal latents, each with the root mean square that it has in a sample.

    levels: the grids of the latents. sizes: channels x 1 x 1 for every level.
    """

    levels: tuple[LatentLevel, ...]
    sizes: tuple[Tensor, ...]

    @classmethod
    def of(cls, levels: tuple[LatentLevel, ...], latents: list[Tensor]) -> LatentSpread:
        """Return the spread of a sample: 1 x channels x H / px x W / px for every level."""
        squares = (own[0].square().mean((1, 2), keepdim=True) for own in latents)
        return cls(levels, tuple(square.sqrt() for square in squares))

    def window(
        self, key: tuple[object, ...], top: int, left: int, height: int, width: int
    ) -> list[Tensor]:
        """Return latents for a window of an image, as `LatentTexture.window` does."""
        return [
            size * noise_window((*key, number), level, top, left, height, width).to(size)
            for number, (level, size) in enumerate(zip(self.levels, self.sizes, strict=True))
        ]


OF_LATENTS = {"posterior": LatentTexture, "spread": LatentSpread}


def texture_of_a_picture(
    method: DegradationModel,
    noisy: Pack,
    key: tuple[object, ...],
    device: torch.device,
    sampling: str = "posterior",
) -> LatentTexture | LatentSpread:
    """Return how to draw latents like those in a window of one picture; ``key`` chooses both.

    sampling: "posterior" for a `LatentTexture`, "spread" for a `LatentSpread`.
    noisy: the method's noisy training set. The window is as large as the method's training crops:
    on larger ones a noise branch may say what it was never corrected for.
    """
    rng = numpy_generator(*key, "picture")
    picture = noisy.read_unit(int(rng.integers(len(noisy))))
    multiple_px = method.multiple_px
    side_px = method.config.patch_px
    sides = [min(side, side_px) // multiple_px * multiple_px for side in picture.shape[:2]]
    top, left = (
        int(rng.integers(whole - side + 1))
        for whole, side in zip(picture.shape[:2], sides, strict=True)
    )
    cut = picture[top : top + sides[0], left : left + sides[1]]
    image = torch.from_numpy(cut.copy()).permute(2, 0, 1)[None].to(device)
    noise = [
        noise_window((*key, "posterior", number), level, 0, 0, *sides).to(image)
        for number, level in enumerate(method.noise_levels)
    ]
    latents = method.noise_latents(image, noise)
    return OF_LATENTS[sampling].of(method.noise_levels, latents)
