"""What super-resolution is trained on: a small crop, and the large one at its place."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.randomness import EpochOrder, numpy_generator
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.imaging.orientation import ORIENTATIONS, orient
from unpaired.networks.rrdb import SCALE

LARGE = "large"


class EnlargingSamples(Dataset):
    """``self[k]`` -> {"small": C x P/4 x P/4, "large": C x P x P, "sample": k}, in [0, 1].

    Records hold "large", and the small picture as "noisy", if there is one, or as "image". Both
    crops are turned and mirrored alike. Sample k is a function of (seed, k).

    patch_px: P. noise: added to the small crop, anew every time, and the sum rounded to 8 bits as
    a file would be; None where nothing is added.
    Raises UnpairedError for a pack without large pictures, or with some smaller than P.
    """

    def __init__(
        self, pack: Pack, *, patch_px: int, seed: int, noise: Noise | Condition | None
    ) -> None:
        if LARGE not in pack.fields:
            raise UnpairedError(
                f"data set '{pack.source}': no pictures four times larger to learn from"
            )
        self.pack, self.side_px, self.seed = pack, patch_px // SCALE, seed
        self.noise = noise if isinstance(noise, Noise) else None
        self._small = "noisy" if "noisy" in pack.fields else "image"
        self._order = EpochOrder(seed, len(pack))
        self._refuse_small_pictures()

    def _refuse_small_pictures(self) -> None:
        names = self.pack.columns["name"]
        small = [
            f"{names[index]} ({shape[1]}x{shape[0]})"
            for index in self.pack
            if min((shape := self.pack.shape(index, LARGE))[:2]) < SCALE * self.side_px
        ]
        if small:
            raise UnpairedError(
                f"data set '{self.pack.source}': pictures smaller than the "
                f"{SCALE * self.side_px}-pixel training patch: {list_some(small)}; remove them or "
                "lower patch_px"
            )

    def __getitem__(self, sample: int) -> dict[str, Tensor | int]:
        index = self._order.record_of(sample)
        rng = numpy_generator(self.seed, "sample", sample)
        height, width = self.pack.shape(index, self._small)[:2]
        top, left = (int(rng.integers(0, side - self.side_px + 1)) for side in (height, width))
        orientation = int(rng.integers(ORIENTATIONS))
        small = self._crop(index, self._small, top, left, self.side_px)
        if self.noise is not None:
            noisy = self.noise.apply(small, self.noise.draw_level(rng), rng)
            small = np.round(np.clip(noisy, 0, 1) * 255) / np.float32(255)
        large = self._crop(index, LARGE, SCALE * top, SCALE * left, SCALE * self.side_px)
        views = {"small": small, "large": large}
        turned = {key: orient(_tensor(view), orientation) for key, view in views.items()}
        return {**turned, "sample": sample}

    def _crop(self, index: int, field: str, top: int, left: int, side: int) -> np.ndarray:
        return self.pack.read_unit(index, field, slice(top, top + side), slice(left, left + side))


def _tensor(view: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(view.transpose(2, 0, 1)))
