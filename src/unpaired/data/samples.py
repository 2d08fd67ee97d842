"""Training samples: random crops of a pack, with the noise that a method is allowed to see.

Sample k of a run is a pure function of (seed, k). Order, crop and noise are therefore the same for
any batch size, number of workers or processes, and after any restart.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.randomness import EpochOrder, numpy_generator
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack

CACHE_BYTES = 512 * 2**20

NoiseDraw = Literal["fresh", "fixed"]


def _instance_of(name: str) -> str:
    """Return what stands before the frame in a record's name; all of it if there is no frame."""
    return name.rpartition("/")[0] or name


class CropSamples(Dataset):
    """``self[k]`` -> {"noisy": C x P x P, ..., "sample": k}: the keys in ``sees`` and no more.

    Keys: "noisy", "noisy_again" (the same scene with other noise), "clean", "level" (a scalar: what
    the noise of "noisy" was drawn with, see ``Noise``), and "image" (the record's picture as it is,
    of a pair the clean one: for methods that have nothing to do with noise).
    noise: added to the clean picture of a record. None when the pack itself is noisy: then "noisy"
    and "clean" are those of its pairs, "noisy_again" is the noisy picture of another frame of the
    same instance (records ``<instance>/<frame>``), and of pictures alone only "noisy" can be seen.
    noise_draw: "fresh" draws the noise anew for every sample, as the authors of Neighbor2Neighbor
    do: a network then sees many noisy views of one scene. "fixed" draws one noisy image per scene,
    once and for all, which is what a person with single noisy pictures has.
    """

    def __init__(
        self,
        pack: Pack,
        *,
        sees: tuple[str, ...],
        patch_px: int,
        seed: int,
        noise: Noise | None,
        noise_draw: NoiseDraw = "fresh",
    ) -> None:
        self.pack, self.sees, self.patch_px, self.seed = pack, sees, patch_px, seed
        self.noise, self.noise_draw = noise, noise_draw
        self._noisy, self._clean = ("noisy", "clean") if pack.is_paired else ("image", "image")
        self._refuse_unseen()
        self._order = EpochOrder(seed, len(pack))
        self._cache: OrderedDict[tuple[int, str], np.ndarray] = OrderedDict()
        self._refuse_small_images()

    def _refuse_unseen(self) -> None:
        """Refuse what a pack that is noisy itself cannot show."""
        if self.noise is not None:
            return
        missing = [key for key in self.sees if key not in ("noisy", "image")]
        if self.pack.is_paired:
            missing = [key for key in missing if key not in ("clean", "noisy_again")]
        if missing:
            raise UnpairedError(
                f"pack {self.pack.path} holds noisy pictures only; this method needs "
                f"{', '.join(self.sees)}"
            )
        if "noisy_again" in self.sees:
            names = self.pack.columns["name"]
            alone = [name for index, name in enumerate(names) if self._other_frame(index) is None]
            if alone:
                raise UnpairedError(
                    f"data set '{self.pack.source}': no second noisy frame of {list_some(alone)}: "
                    "this method needs two of every instance"
                )

    def _other_frame(self, index: int) -> int | None:
        """Return the record of the next frame of the same instance, the first after the last."""
        frames = self._frames[_instance_of(self.pack.columns["name"][index])]
        other = frames[(frames.index(index) + 1) % len(frames)]
        return None if other == index else other

    @cached_property
    def _frames(self) -> dict[str, list[int]]:
        """Instance -> its records."""
        frames: dict[str, list[int]] = {}
        for index, name in enumerate(self.pack.columns["name"]):
            frames.setdefault(_instance_of(name), []).append(index)
        return frames

    def _refuse_small_images(self) -> None:
        small = [
            f"{self.pack.columns['name'][index]} ({shape[1]}x{shape[0]})"
            for index in self.pack
            if min((shape := self.pack.shape(index, self._clean))[:2]) < self.patch_px
        ]
        if small:
            raise UnpairedError(
                f"data set '{self.pack.source}': pictures smaller than the {self.patch_px}-pixel "
                f"training patch: {list_some(small)}; remove them or lower training.patch_px"
            )

    def image_of(self, sample: int) -> int:
        """Return which record sample ``sample`` is cropped from: every epoch is a new shuffle."""
        return self._order.record_of(sample)

    def __getitem__(self, sample: int) -> dict[str, Tensor | int]:
        index = self.image_of(sample)
        rng = numpy_generator(self.seed, "sample", sample)
        height, width = self.pack.shape(index, self._clean)[:2]
        top, left = (int(rng.integers(0, side - self.patch_px + 1)) for side in (height, width))
        rows, columns = slice(top, top + self.patch_px), slice(left, left + self.patch_px)
        pictures = [key for key in self.sees if key != "level"]
        views = {key: self._view(key, index, sample, rows, columns) for key in pictures}
        tensors = {key: torch.from_numpy(view).permute(2, 0, 1) for key, view in views.items()}
        if "level" in self.sees:
            level = self.noise.draw_level(self._noise_rng("noisy", index, sample))
            tensors["level"] = torch.tensor(level, dtype=torch.float32)
        return tensors | {"sample": sample}

    def _noise_rng(self, key: str, index: int, sample: int) -> np.random.Generator:
        """Return the generator that draws the level first and then the noise of a view."""
        if self.noise_draw == "fixed":
            return numpy_generator(self.seed, "fixed", key, self.pack.columns["name"][index])
        return numpy_generator(self.seed, "fresh", key, sample)

    def _view(self, key: str, index: int, sample: int, rows: slice, columns: slice) -> np.ndarray:
        if key == "image":
            return self.pack.read_unit(index, self._clean, rows, columns)
        if self.noise is None and key != "clean":
            record = index if key == "noisy" else self._other_frame(index)
            return self.pack.read_unit(record, self._noisy, rows, columns)
        if key != "clean" and self.noise_draw == "fixed":
            return np.ascontiguousarray(self._fixed_noisy(key, index, sample)[rows, columns])
        clean = self.pack.read_unit(index, self._clean, rows, columns)
        return (
            clean if key == "clean" else self._corrupt(clean, self._noise_rng(key, index, sample))
        )

    def _corrupt(self, clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.noise.apply(clean, self.noise.draw_level(rng), rng)

    def _fixed_noisy(self, key: str, index: int, sample: int) -> np.ndarray:
        """Return the one noisy version of a whole image; recent ones are kept in memory."""
        slot = (index, key)
        if slot not in self._cache:
            rng = self._noise_rng(key, index, sample)
            noisy = self._corrupt(self.pack.read_unit(index, self._clean), rng)
            while self._cache and self._cached_bytes() + noisy.nbytes > CACHE_BYTES:
                self._cache.popitem(last=False)
            self._cache[slot] = noisy
        self._cache.move_to_end(slot)
        return self._cache[slot]

    def _cached_bytes(self) -> int:
        return sum(array.nbytes for array in self._cache.values())
