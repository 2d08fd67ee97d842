"""Invertible networks by lifting: a picture in a coarse part and details, and back (CommIN, 3.2).

A split gives coarse part c and details d. Then, in turn, a prediction network of c takes from d
what c tells of it, and an update network of d adds to c:

    d <- d - P(c),    c <- c + U(d),    and back:    c <- c - U(d),    d <- d + P(c)

so the inverse is exact, whatever P and U are. They start at 0: at first the network is its split.

Splits: "haar_undecimated" is a Haar transform at every place, so c has the size of the picture, and
its details are redundant; "haar" is the orthogonal one, and "polyphase" takes every second pixel.
These two halve the sides at each of ``levels``, and what is c of one level is split by the next.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError, check_choice

Split = Callable[[Tensor], tuple[Tensor, Tensor]]
Merge = Callable[[Tensor, Tensor], Tensor]
UNDECIMATED = "haar_undecimated"
# What is added and what is taken off in each detail: of pixel, right neighbor, lower one, both.
SIGNS = ((1, -1, 1, -1), (1, 1, -1, -1), (1, -1, -1, 1))


class InvertibleNetwork(nn.Module):
    """Pictures B x C x H x W of any size, to coarse part and details, and back.

    split: see the module. levels: 1 for the undecimated split. pairs: of prediction and update, a
    level. width, blocks: of these networks. squeeze_px: they work on squares of so many pixels, put
    into channels, and so look that much farther.
    """

    def __init__(
        self,
        channels: int = 3,
        *,
        split: str = UNDECIMATED,
        levels: int = 1,
        pairs: int = 4,
        width: int = 32,
        blocks: int = 2,
        squeeze_px: int = 1,
    ) -> None:
        super().__init__()
        check_choice("an invertible network", "split", split, SPLITS)
        if min(levels, pairs, width, blocks, squeeze_px) < 1:
            raise UnpairedError(
                f"an invertible network of {levels} levels, {pairs} pairs, width {width}, {blocks} "
                f"blocks, squares of {squeeze_px} px: all must be 1 at least"
            )
        self.is_undecimated = split == UNDECIMATED
        if self.is_undecimated and levels > 1:
            raise UnpairedError(f"'{split}' has one level, not {levels}")
        self.split, self.merge = SPLITS[split]
        self.levels = levels
        self.multiple_px = squeeze_px * (1 if self.is_undecimated else 2**levels)
        about = {"width": width, "blocks": blocks, "squeeze_px": squeeze_px}
        details = 3 * channels
        self.predict, self.update = (
            nn.ModuleList(
                nn.ModuleList(ResidualNetwork(*ends, **about) for _ in range(pairs))
                for _ in range(levels)
            )
            for ends in ((channels, details), (details, channels))
        )

    def forward(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the coarse part, and the details of every level, the finest first.

        Sides are extended by repetition to multiples of ``multiple_px``, in c and d as well.
        """
        coarse, details = self._extended(picture), []
        for predict, update in zip(self.predict, self.update, strict=True):
            coarse, detail = self.split(coarse)
            for own_predict, own_update in zip(predict, update, strict=True):
                detail = detail - own_predict(coarse)
                coarse = coarse + own_update(detail)
            details.append(detail)
        return coarse, details

    def inverse(self, coarse: Tensor, details: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Return the picture, cut to ``size``, H x W: exactly the one that was given to forward."""
        levels = zip(self.predict, self.update, details, strict=True)
        for predict, update, detail in reversed(list(levels)):
            for own_predict, own_update in reversed(list(zip(predict, update, strict=True))):
                coarse = coarse - own_update(detail)
                detail = detail + own_predict(coarse)
            coarse = self.merge(coarse, detail)
        return coarse[..., : size[0], : size[1]]

    def target(self, received: Tensor) -> Tensor:
        """Return what the coarse part must resemble of a picture: itself, or its own split."""
        coarse = self._extended(received)
        if not self.is_undecimated:
            for _ in range(self.levels):
                coarse, _ = self.split(coarse)
        return coarse

    def plain_coarse(self, picture: Tensor) -> Tensor:
        """Return the coarse part before anything is learned: that of the split."""
        coarse = self._extended(picture)
        for _ in range(self.levels):
            coarse, _ = self.split(coarse)
        return coarse

    def _extended(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        padding = (0, -width % self.multiple_px, 0, -height % self.multiple_px)
        return functional.pad(picture, padding, mode="replicate") if any(padding) else picture


class ResidualNetwork(nn.Module):
    """A convolution in, residual blocks, a convolution out that starts at 0."""

    def __init__(
        self, channels_in: int, channels: int, *, width: int, blocks: int, squeeze_px: int
    ) -> None:
        super().__init__()
        self.squeeze_px = squeeze_px
        squares = squeeze_px**2
        self.conv_in = nn.Conv2d(channels_in * squares, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, padding=1),
            )
            for _ in range(blocks)
        )
        self.conv_out = nn.Conv2d(width, channels * squares, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, picture: Tensor) -> Tensor:
        features = self.conv_in(functional.pixel_unshuffle(picture, self.squeeze_px))
        for block in self.blocks:
            features = features + block(features)
        output = self.conv_out(functional.relu(features))
        return functional.pixel_shuffle(output, self.squeeze_px)


def _quarters(picture: Tensor) -> list[Tensor]:
    """Return every second pixel: of even and odd rows and columns."""
    return [picture[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]


def _interleaved(quarters: list[Tensor]) -> Tensor:
    """Return the picture of `_quarters`."""
    first = quarters[0]
    height, width = first.shape[-2:]
    picture = first.new_empty(*first.shape[:-2], 2 * height, 2 * width)
    places = [(row, column) for row in (0, 1) for column in (0, 1)]
    for (row, column), quarter in zip(places, quarters, strict=True):
        picture[..., row::2, column::2] = quarter
    return picture


def _signed_sums(four: list[Tensor], factor: float) -> tuple[Tensor, Tensor]:
    """Return the sum of four tensors, and their differences (see SIGNS) one behind another."""
    details = [
        factor * sum(sign * one for sign, one in zip(signs, four, strict=True)) for signs in SIGNS
    ]
    return factor * sum(four), torch.cat(details, dim=1)


def _haar(picture: Tensor) -> tuple[Tensor, Tensor]:
    return _signed_sums(_quarters(picture), 0.5)


def _haar_back(coarse: Tensor, detail: Tensor) -> Tensor:
    return _interleaved(_four_of(coarse, detail, 0.5))


def _four_of(coarse: Tensor, detail: Tensor, factor: float) -> list[Tensor]:
    """Return the four tensors of `_signed_sums`: its matrix is symmetric in their order."""
    parts = detail.chunk(3, dim=1)
    return [
        factor * (coarse + sum(signs[place] * one for signs, one in zip(SIGNS, parts, strict=True)))
        for place in range(4)
    ]


def _polyphase(picture: Tensor) -> tuple[Tensor, Tensor]:
    first, *others = _quarters(picture)
    return first, torch.cat(others, dim=1)


def _polyphase_back(coarse: Tensor, detail: Tensor) -> Tensor:
    return _interleaved([coarse, *detail.chunk(3, dim=1)])


SHIFTS = ((0, 0), (0, -1), (-1, 0), (-1, -1))  # To right neighbor, lower one and both.


def _haar_undecimated(picture: Tensor) -> tuple[Tensor, Tensor]:
    """The picture continues at its other side; c is the mean of 2 x 2 pixels."""
    return _signed_sums([picture.roll(shift, (-2, -1)) for shift in SHIFTS], 0.25)


def _haar_undecimated_back(coarse: Tensor, detail: Tensor) -> Tensor:
    """Every pixel is in four squares, so it is told four times: the mean of these."""
    four = zip(_four_of(coarse, detail, 1.0), SHIFTS, strict=True)
    return sum(one.roll((-down, -right), (-2, -1)) for one, (down, right) in four) / 4


SPLITS: dict[str, tuple[Split, Merge]] = {
    UNDECIMATED: (_haar_undecimated, _haar_undecimated_back),
    "haar": (_haar, _haar_back),
    "polyphase": (_polyphase, _polyphase_back),
}
