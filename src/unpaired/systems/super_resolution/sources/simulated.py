"""Stand-in for AIM 2019: the embedded photographs through a simulated camera, in the same layout.

Two photographs are taken as they are, noisy; two are clean, and learned from as they are and four
times smaller. The three test photographs are made four times smaller and go through the camera. As
in the challenge, what is noisy was never clean in the training set, and nothing tells how the
camera works: it blurs, its noise grows with the light and is correlated, and it writes JPEG.
Photographs are cut into overlapping pieces, of which each is taken anew, with noise, gain and
quality of its own.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from unpaired.core.files import atomic_path
from unpaired.core.randomness import numpy_generator
from unpaired.data.records import Record
from unpaired.data.sources import embedded
from unpaired.imaging.pixels import to_uint8
from unpaired.imaging.reduction import cut_to_multiples, reduced
from unpaired.systems.super_resolution.sources import real_world
from unpaired.systems.super_resolution.sources.real_world import AIM19, AS_IT_IS, SCALE

# Both sets are about as bright, as those of a challenge are: noise grows with the light.
NOISY, CLEAN = ("coffee", "china"), ("motorcycle_left", "rocket")
PIECE_PX = 320
PIECES = (3, 4)  # down and across
LENS_STD_PX, NOISE_STD_PX = 0.5, 0.45
READ_STD, SHOT = 0.035, 0.004  # of noise at no light, and what light adds to its variance
GAINS = (0.7, 1.3)
QUALITIES = (45, 75)


def camera(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return what the camera makes of a picture, both uint8 H x W x 3."""
    light = gaussian_filter(picture.astype(np.float32) / 255, (LENS_STD_PX, LENS_STD_PX, 0))
    gain = rng.uniform(*GAINS)
    noise = gaussian_filter(rng.standard_normal(light.shape), (NOISE_STD_PX, NOISE_STD_PX, 0))
    noise *= gain * np.sqrt(READ_STD**2 + SHOT * light) / noise.std()
    file = io.BytesIO()
    quality = int(rng.integers(*QUALITIES))
    Image.fromarray(to_uint8(light + noise)).save(file, "JPEG", quality=quality, subsampling=0)
    file.seek(0)
    return np.asarray(Image.open(file))


def noisy(folder: Path | None) -> Iterator[Record]:
    """Yield the noisy pieces as `real_world.noisy_of` gives them."""
    return _rendered(render_noisy, real_world.noisy_of)


def clean(folder: Path | None) -> Iterator[Record]:
    """Yield the clean pieces, small and large, as `real_world.clean_of` gives them."""
    return _rendered(render_clean, real_world.clean_of)


def validation(folder: Path | None) -> Iterator[Record]:
    """Yield the test pairs as `real_world.validation_of` gives them."""
    return _rendered(render_validation, real_world.validation_of)


def true_pairs(folder: Path | None) -> Iterator[Record]:
    """Yield the clean pieces with what the camera makes of them, which no challenge gives.

    "noisy" is small, and so is "clean"; "large" is four times larger.
    """
    for record in clean(None):
        small = record.arrays["image"]
        taken = camera(small, numpy_generator("super-resolution", "pairs", record.name))
        arrays = {"noisy": taken, "clean": small, "large": record.arrays["large"]}
        yield Record(record.name, arrays, record.scene)


def render(folder: Path) -> None:
    """Write all that the challenge's archives hold, in their layout, below ``folder``."""
    render_noisy(folder)
    render_clean(folder)
    render_validation(folder)


def render_noisy(folder: Path) -> None:
    """Write noisy pieces of the photographs that are seen noisy alone."""
    for name, piece in _pieces(NOISY):
        taken = camera(piece, numpy_generator("super-resolution", "noisy", name))
        _write(folder / AIM19.noisy / AS_IT_IS / f"{name}.png", taken)


def render_clean(folder: Path) -> None:
    """Write clean pieces, as they are and four times smaller."""
    for name, piece in _pieces(CLEAN):
        _write(folder / AIM19.clean / AS_IT_IS / f"{name}.png", piece)
        _write(folder / AIM19.clean / f"{SCALE}x" / f"{name}.png", reduced(piece, SCALE))


def render_validation(folder: Path) -> None:
    """Write the test photographs, and small noisy ones of them."""
    for record in embedded.test_records(None):
        large = cut_to_multiples(record.arrays["image"], SCALE)
        rng = numpy_generator("super-resolution", "validation", record.name)
        small = camera(reduced(large, SCALE), rng)
        _write(folder / AIM19.large / AS_IT_IS / f"{record.name}.png", large)
        _write(folder / AIM19.small / AS_IT_IS / f"{record.name}.png", small)


def _rendered(render_into: Callable[[Path], None], read: Callable) -> Iterator[Record]:
    """Write a set's files, and read them by ``read``; scenes are the photographs."""
    with tempfile.TemporaryDirectory() as folder:
        render_into(Path(folder))
        for record in partial(read, layout=AIM19)(Path(folder)):
            yield replace(record, scene=f"embedded:{record.name.partition('-')[0]}")


def _pieces(names: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield overlapping pieces of training photographs, named <photograph>-<number>."""
    photographs = {record.name: record.arrays["image"] for record in embedded.train_records(None)}
    for name in names:
        picture = photographs[name]
        ranges = [
            np.linspace(0, side - PIECE_PX, count).round().astype(int)
            for side, count in zip(picture.shape[:2], PIECES, strict=True)
        ]
        places = [(top, left) for top in ranges[0] for left in ranges[1]]
        for number, (top, left) in enumerate(places):
            yield f"{name}-{number:02d}", picture[top : top + PIECE_PX, left : left + PIECE_PX]


def _write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as aside:
        Image.fromarray(picture).save(aside, format="PNG", compress_level=1)
