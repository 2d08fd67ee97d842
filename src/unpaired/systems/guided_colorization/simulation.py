"""A user, simulated: where and how large the hints of a training are (Zhang 2018, section 3.3.2).

Two forms. "thesis": the middle of a patch is Gaussian around that of the picture, with a quarter of
its sides as standard deviations, and one picture in a hundred is revealed whole. "port", the
authors' PyTorch port: the upper left corner is Gaussian over the places that it can have, toward
zero cut to whole pixels, and no picture is revealed whole. In both the number of points is
geometric with p = 1/8 and begins at 0, so that its mean is 7: automatic colorization is learned
too. What lies outside is brought to the border, not drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.imaging.color.hints import Patch, revealed

FORMS = ("thesis", "port")


@dataclass(frozen=True)
class SimulatedUser:
    """stop_probability: p of the number of points; 1 for none. patch_px_max: largest side.

    full_share: of pictures that are revealed whole; the port has none.
    """

    form: str = "thesis"
    stop_probability: float = 1 / 8
    patch_px_max: int = 9
    full_share: float = 0.01

    def __post_init__(self) -> None:
        check_choice("local_hints", "hint_simulation", self.form, FORMS)
        if not 0 < self.stop_probability <= 1:
            raise UnpairedError(
                f"local_hints: stop_probability = {self.stop_probability} must be above 0, and 1 "
                "at most"
            )
        if self.patch_px_max < 1 or not 0 <= self.full_share <= 1:
            raise UnpairedError(
                f"local_hints: patch_px_max = {self.patch_px_max} must be 1 at least, and "
                f"full_share = {self.full_share} between 0 and 1"
            )

    def hints(self, rng: np.random.Generator, ab: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is revealed of colors 2 x H x W: hints of that size, and a mask 1 x H x W."""
        if self.form == "thesis" and rng.random() < self.full_share:
            return ab, torch.ones_like(ab[:1])
        return revealed(ab, self.patches(rng, *ab.shape[-2:]))

    def patches(self, rng: np.random.Generator, height: int, width: int) -> Iterator[Patch]:
        """Yield the patches of one picture."""
        for _ in range(int(rng.geometric(self.stop_probability)) - 1):
            side = int(rng.integers(1, self.patch_px_max + 1))
            top, left = (self._start(rng, length, side) for length in (height, width))
            yield Patch(top, left, side)

    def _start(self, rng: np.random.Generator, length: int, side: int) -> int:
        last = max(0, length - side)
        if self.form == "thesis":
            drawn = np.rint(rng.normal(length / 2, length / 4) - side / 2)
        else:
            drawn = rng.normal((length - side + 1) / 2, (length - side + 1) / 4)
        return int(np.clip(drawn, 0, last))
