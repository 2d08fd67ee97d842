"""What the methods see: measurements, their truths where they are pairs, and pictures alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.randomness import EpochOrder, numpy_generator, seed_for
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.systems.few_shot.hole import with_hole

PAIRS_MIN = 2


@dataclass(frozen=True)
class Observed:
    """A record as it is measured.

    measured: H x W x C, float32 in [0, 1]. truth: the same, None where only the measurement is
    there. hole: H x W bool; None where no mask says what is missing.
    """

    name: str
    measured: np.ndarray
    truth: np.ndarray | None = None
    hole: np.ndarray | None = None


class Measurements:
    """A pack through a condition: portraits with masks get a hole, what is degraded stays as it is.

    Raises UnpairedError for a pack without masks where the condition makes holes, and for a noise.
    """

    def __init__(self, pack: Pack, condition: Condition | Noise | None) -> None:
        if isinstance(condition, Noise):
            raise UnpairedError(
                f"pack {pack.path}: holes are learned here, not noise; name a hole in `noises`"
            )
        if condition is not None and "labels" not in pack.fields:
            raise UnpairedError(
                f"data set '{pack.source}': no masks, so {condition.title} cannot be made; for "
                "pictures that are degraded already name the noise 'camera'"
            )
        self.pack, self.condition = pack, condition

    def __len__(self) -> int:
        return len(self.pack)

    def __getitem__(self, index: int) -> Observed:
        name = self.pack.columns["name"][index]
        if self.condition is not None:
            image, labels = self.pack.read_unit(index), self.pack.read(index, "labels")
            how = self.condition.values
            measured, hole = with_hole(image, labels, how, f"{self.pack.source}: {name}")
            return Observed(name, measured, image, hole)
        if self.pack.is_paired:
            truth = self.pack.read_unit(index, "clean")
            return Observed(name, self.pack.read_unit(index, "noisy"), truth)
        return Observed(name, self.pack.read_unit(index))


def chosen_pairs(count: int, wanted: int, seed: int) -> tuple[list[int], list[int]]:
    """Return which pairs of a set are learned from, and which are left for validation.

    The seed draws ``wanted`` of ``count``; a set of no more is learned from as a whole. Raises
    UnpairedError for fewer than two.
    """
    if min(count, wanted) < PAIRS_MIN:
        raise UnpairedError(
            f"{min(count, wanted)} pairs: at least {PAIRS_MIN} are needed to learn from"
        )
    order = numpy_generator(seed, "pairs").permutation(count).tolist()
    return sorted(order[:wanted]), sorted(order[wanted:])


class FewShotSamples(Dataset):
    """``self[k]`` -> {"pair_measured", "pair_clean", ..., "sample": k}, C x P x P in [0, 1].

    Pairs come in turn, so that a batch of a multiple of their number holds each equally often. With
    ``measured``, also "measured" of a record of it; nothing else of that record can be seen. With
    ``pictures``, "picture" of a record of that pack. All are cut at random places to P x P and
    mirrored left to right or not; a pair's two pictures alike.
    """

    def __init__(
        self,
        seed: int,
        patch_px: int,
        *,
        pairs: Sequence[Observed] = (),
        measured: Measurements | None = None,
        pictures: Pack | None = None,
    ) -> None:
        self.seed, self.patch_px = seed, patch_px
        self.pairs, self.measured, self.pictures = list(pairs), measured, pictures
        self._orders = {
            key: EpochOrder(seed_for(seed, key), len(one))
            for key, one in (("measured", measured), ("picture", pictures))
            if one is not None
        }
        self._refuse_small()

    def _refuse_small(self) -> None:
        shapes = {pair.name: pair.measured.shape for pair in self.pairs}
        packs = [self.measured.pack] if self.measured else []
        for pack in [*packs, *([self.pictures] if self.pictures else [])]:
            names = pack.columns["name"]
            shapes |= {f"{pack.source}: {names[i]}": pack.shape(i) for i in pack}
        small = [
            f"{name} ({shape[1]}x{shape[0]})"
            for name, shape in shapes.items()
            if min(shape[:2]) < self.patch_px
        ]
        if small:
            raise UnpairedError(
                f"pictures smaller than the {self.patch_px} px that are learned from: "
                f"{list_some(small)}; remove them, or lower patch_px"
            )

    def __getitem__(self, sample: int) -> dict[str, Tensor | int]:
        found: dict[str, Tensor | int] = {"sample": sample}
        if self.pairs:
            pair = self.pairs[sample % len(self.pairs)]
            both = {"pair_measured": pair.measured, "pair_clean": pair.truth}
            found |= self._cut("pair", sample, both)
        if self.measured is not None:
            record = self._orders["measured"].record_of(sample)
            found |= self._cut("measured", sample, {"measured": self.measured[record].measured})
        if self.pictures is not None:
            record = self._orders["picture"].record_of(sample)
            picture = self.pictures.read_unit(record)
            found |= self._cut("picture", sample, {"picture": picture})
        return found

    def _cut(self, what: str, sample: int, views: dict[str, np.ndarray]) -> dict[str, Tensor]:
        """Cut and mirror all views alike."""
        rng = numpy_generator(self.seed, "cut", what, sample)
        height, width = next(iter(views.values())).shape[:2]
        top, left = (int(rng.integers(0, side - self.patch_px + 1)) for side in (height, width))
        step = -1 if rng.random() < 0.5 else 1
        return {
            key: _tensor(view[top : top + self.patch_px, left : left + self.patch_px][:, ::step])
            for key, view in views.items()
        }


def _tensor(view: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(view.transpose(2, 0, 1)))


def as_batch(views: Sequence[np.ndarray]) -> Tensor:
    """Return H x W x C arrays of one size as N x C x H x W."""
    return torch.stack([_tensor(view) for view in views])


def refuse_empty(pack: Pack, kind: str) -> None:
    """Raise UnpairedError for a pack without a record; kind: what it should hold."""
    if not len(pack):
        raise UnpairedError(f"data set '{pack.source}': no {kind}; add some")
