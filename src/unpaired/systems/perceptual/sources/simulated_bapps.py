"""Stand-in for BAPPS: patches of the embedded photographs, voted on by the simulated observer.

`render` writes the very files of BAPPS, in its layout, from nothing but installed packages (and
distorting networks, where some are given); `triplets` and `jnd_pairs` read them. No human ever saw
them: the shares are votes of `observer.SIMULATED`.

Training patches are from the embedded training photographs, validation patches from the test
photographs. A stem is ``<number>-<photograph>``, so the scene of a patch is known.

* traditional: each of the two patches went through one of the 20 distortions or of their 308
  compositions, all equally likely, at severities uniform in [0, 1].
* cnn: each went through another of the distorting networks. Networks have no severity: their output
  is mixed with the reference, with a weight uniform in [0, 1], of its own for each of the two. So
  neither which networks they are nor how strong decides alone who is nearer.
* mix: one of each kind, in either order. What BAPPS mixes is not said; this is inferred.
* JND pairs are a reference and its distorted version, as ``p0`` and ``p1``. With the severities of
  the triplets hardly any pair would look the same; they are drawn up to `JND_SEVERITY`, at which
  the observer calls about 28 % of the traditional pairs the same, as people did with theirs. The
  weights of networks' outputs are drawn up to the same bound (about 43 % the same).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from unpaired.core.errors import UnpairedError
from unpaired.core.files import atomic_folder
from unpaired.core.randomness import numpy_generator
from unpaired.data.sources import embedded
from unpaired.systems.perceptual.distortions.formulas import DISTORTIONS, apply_all, compositions
from unpaired.systems.perceptual.distortions.networks import NetworkDistortion, load
from unpaired.systems.perceptual.observer import SIMULATED, Observer
from unpaired.systems.perceptual.sources import bapps
from unpaired.systems.perceptual.sources.bapps import (
    PATCH_PX,
    TRAIN_SETS,
    Judged,
    Split,
    Task,
    Together,
)

# Of the paper's 56.6k, 38.1k and 56.6k, 4.7k and 4.8k; the ratios of the training sets are kept.
TRAIN_TRIPLETS = {"traditional": 600, "cnn": 400, "mix": 600}
VAL_TRIPLETS = {"traditional": 600, "cnn": 600}
JND_PAIRS = {"traditional": 400, "cnn": 400}
VOTES = {"train": 2, "val": 5, "jnd": 3}  # Table 6.3
JND_SEVERITY = 0.55

CHUNK = 50  # Triplets that are voted on together.

Distort = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Part:
    """One set of the stand-in. size: triplets or pairs."""

    task: Task
    split: Split
    name: str
    size: int

    @property
    def place(self) -> Path:
        """Where its files lie, below the folder that is rendered into."""
        return Path(self.task, self.split, self.name)

    @property
    def votes(self) -> int:
        return VOTES["jnd" if self.task == "jnd" else self.split]


PARTS = (
    *(Part("2afc", "train", name, size) for name, size in TRAIN_TRIPLETS.items()),
    *(Part("2afc", "val", name, size) for name, size in VAL_TRIPLETS.items()),
    *(Part("jnd", "val", name, size) for name, size in JND_PAIRS.items()),
)


def render(
    folder: Path,
    networks: Sequence[Path] = (),
    *,
    observer: Observer = SIMULATED,
    parts: Sequence[Part] = PARTS,
) -> list[Part]:
    """Write ``parts`` of the stand-in below ``folder`` and return those that were written.

    networks: files of trained distorting networks; without any, only traditional sets are written.
    A set appears complete or not at all, and takes the place of what was there.
    Raises UnpairedError for a single network: the patches of a triplet are of different ones.
    """
    distorting = [load(path) for path in networks]
    if len(distorting) == 1:
        raise UnpairedError(f"{networks[0]}: one distorting network; triplets need two or more")
    written = [part for part in parts if distorting or part.name == "traditional"]
    for part in written:
        with atomic_folder(folder / part.place) as aside:
            _write(aside, part, distorting, observer)
    return written


def _write(
    folder: Path, part: Part, networks: Sequence[NetworkDistortion], observer: Observer
) -> None:
    for start in range(0, part.size, CHUNK):
        numbers = range(start, min(start + CHUNK, part.size))
        for stem, arrays in judged(part, numbers, networks, observer).items():
            bapps.write_judged(folder, stem, arrays)


def triplets(folder: Path, split: Split, name: str) -> Judged:
    """Return rendered triplets as `bapps.triplets` does, with the photographs as scenes."""
    return Judged(folder / "2afc" / split / name, "2afc", scene_of)


def jnd_pairs(folder: Path, name: str) -> Judged:
    """Return rendered JND pairs as `bapps.jnd_pairs` does, with the photographs as scenes."""
    return Judged(folder / "jnd" / "val" / name, "jnd", scene_of)


def training_set(folder: Path) -> Together:
    """Return what was rendered to train on, all sets together; ``folder`` is their common one."""
    return Together(tuple(triplets(folder.parents[1], "train", name) for name in TRAIN_SETS))


def validation_set(folder: Path) -> Judged:
    """Return the rendered triplets in ``folder``, for instance ``2afc/val/cnn``."""
    return triplets(folder.parents[2], "val", folder.name)


def jnd_set(folder: Path) -> Judged:
    """Return the rendered JND pairs in ``folder``, for instance ``jnd/val/cnn``."""
    return jnd_pairs(folder.parents[2], folder.name)


def scene_of(stem: str) -> str:
    """Return the scene of a patch, which is that of its photograph in `embedded`."""
    return f"embedded:{stem.partition('-')[2]}"


def judged(
    part: Part, numbers: Sequence[int], networks: Sequence[NetworkDistortion], observer: Observer
) -> dict[str, dict[str, np.ndarray]]:
    """Return stem -> arrays, as `Judged` gives them, of some entries of a set.

    Entry k of a set is the same whatever else is rendered.
    """
    rngs = [numpy_generator("simulated bapps", str(part.place), number) for number in numbers]
    cut = [_cut(part.split, rng) for rng in rngs]
    names, references = [name for name, _ in cut], np.stack([patch for _, patch in cut])
    distorted = [
        [
            _to_uint8(change(patch / np.float32(255), rng))
            for change in _changes(part, networks, rng)
        ]
        for patch, rng in zip(references, rngs, strict=True)
    ]
    if part.task == "jnd":
        fields = {"first": references, "second": np.stack([first for (first,) in distorted])}
        chances, judgment = observer.sameness(*fields.values()), "same"
    else:
        firsts, seconds = (np.stack(patches) for patches in zip(*distorted, strict=True))
        fields = {"reference": references, "first": firsts, "second": seconds}
        chances, judgment = observer.preference(*fields.values()), "judge"
    shares = [
        rng.binomial(part.votes, p) / part.votes for p, rng in zip(chances, rngs, strict=True)
    ]
    return {
        f"{number:06d}-{name}": {field: array[row] for field, array in fields.items()}
        | {judgment: np.full((1, 1, 1), shares[row], np.float32)}
        for row, (number, name) in enumerate(zip(numbers, names, strict=True))
    }


def _changes(
    part: Part, networks: Sequence[NetworkDistortion], rng: np.random.Generator
) -> list[Distort]:
    """Return what is done to the reference, for each patch that is compared with it."""
    severity = JND_SEVERITY if part.task == "jnd" else 1.0
    kinds = ["traditional", "cnn"] if part.name == "mix" else [part.name, part.name]
    kinds = [kinds[index] for index in rng.permutation(2)][: 1 if part.task == "jnd" else 2]
    others = iter(rng.permutation(len(networks)) if "cnn" in kinds else ())
    return [
        _traditional(severity, rng)
        if kind == "traditional"
        else _mixed_in(networks[next(others)], severity, rng)
        for kind in kinds
    ]


def _traditional(severity_max: float, rng: np.random.Generator) -> Distort:
    choices = _all_traditional()
    distortions = choices[rng.integers(len(choices))]
    severities = tuple(rng.uniform(0, severity_max, len(distortions)))
    return lambda patch, rng: apply_all(patch, distortions, severities, rng)


@cache
def _all_traditional() -> tuple:
    """Return the 328 sequences of one or two distortions."""
    return (*((distortion,) for distortion in DISTORTIONS.values()), *compositions())


def _mixed_in(network: NetworkDistortion, severity_max: float, rng: np.random.Generator) -> Distort:
    """Return a network's output mixed with what goes in: networks have no severity."""
    weight = np.float32(rng.uniform(0, severity_max))
    return lambda patch, rng: (1 - weight) * patch + weight * network.apply(patch, rng)


@cache
def _photographs(split: Split) -> tuple[tuple[str, np.ndarray], ...]:
    read = embedded.train_records if split == "train" else embedded.test_records
    return tuple((record.name, record.arrays["image"]) for record in read(None))


def _cut(split: Split, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """Return the name of a photograph and a patch at a random place of it, uint8."""
    photographs = _photographs(split)
    name, photograph = photographs[rng.integers(len(photographs))]
    top, left = (rng.integers(0, side - PATCH_PX + 1) for side in photograph.shape[:2])
    return name, photograph[top : top + PATCH_PX, left : left + PATCH_PX]


def _to_uint8(patch: np.ndarray) -> np.ndarray:
    return np.round(255 * patch).astype(np.uint8)
