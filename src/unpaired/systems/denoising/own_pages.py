"""The pages of a person's own pictures, conditioned when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from unpaired.imaging.pictures import Picture, read_picture
from unpaired.systems.denoising.conditioning import Conditioned, condition, nominal

PROBED = 20


class Pages(Protocol):
    """Pages with names and shapes, H x W x C of the same C each."""

    names: Sequence[str]
    shapes: Sequence[tuple[int, int, int]]

    def read(self, index: int) -> Conditioned: ...


@dataclass(frozen=True)
class ArrayPages:
    """Pages in memory, H x W x C of any finite numbers."""

    arrays: Sequence[np.ndarray]

    @property
    def names(self) -> list[str]:
        return [str(number) for number in range(len(self.arrays))]

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        return [array.shape for array in self.arrays]

    def read(self, index: int) -> Conditioned:
        return condition(self.arrays[index])


def fitted_scale(picture: Picture, page: int) -> Conditioned:
    """Condition a page of a picture by what is in it."""
    return condition(picture.pixels[page])


def nominal_scale(picture: Picture, page: int) -> Conditioned:
    """Scale a page for a model of the pipeline, which learned pictures of a nominal range."""
    return nominal(picture.pixels[page], picture.offset, picture.scale)


def is_gray_in_color(pixels: np.ndarray) -> bool:
    """Say whether three channels, the last axis, all hold the same gray picture."""
    return pixels.shape[-1] == 3 and bool((pixels[..., 1:] == pixels[..., :1]).all())


def seen_shape(pixels: np.ndarray) -> tuple[int, ...]:
    """Return the shape of a picture, with one channel if its three are the same."""
    return (*pixels.shape[:-1], 1) if is_gray_in_color(pixels) else pixels.shape


class PicturePages:
    """The pages of pictures in files; the last picture that was read stays in memory."""

    def __init__(
        self,
        shapes: Mapping[Path, tuple[int, ...]],
        scale: Callable[[Picture, int], Conditioned] = fitted_scale,
    ) -> None:
        """shapes: pages x H x W x C of every picture, all of the same C.

        Of a gray picture in three channels, C may be 1: see `seen_shape`.
        """
        self._places = [(path, page) for path, shape in shapes.items() for page in range(shape[0])]
        self._scale = scale
        self._last: Picture | None = None
        self.names = [f"{path}:{page}" for path, page in self._places]
        self.shapes = [shapes[path][1:] for path, _ in self._places]

    def read(self, index: int) -> Conditioned:
        path, page = self._places[index]
        if self._last is None or self._last.path != path:
            picture = read_picture(path)
            self._last = replace(picture, pixels=picture.pixels[..., : self.shapes[index][-1]])
        return self._scale(self._last, page)


def evenly(count: int, most: int) -> range:
    """Return up to ``most`` of ``count`` numbers, evenly chosen, that stand for all."""
    return range(0, count, max(1, -(-count // most)))


def probed(pages: Pages) -> range:
    """Return the numbers of up to PROBED pages that stand for all."""
    return evenly(len(pages.names), PROBED)
