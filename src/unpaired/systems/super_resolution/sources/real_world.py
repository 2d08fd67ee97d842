"""AIM 2019 (track 2) and NTIRE 2020 (track 1): real-world super-resolution without pairs.

Noisy photographs, clean ones of other scenes, and 100 validation pairs whose clean side is four
times larger. PNG files lie in the folders of the archives, or one level deeper in ``1x``, as the
scripts of DeFlow put them; folders of smaller pictures beside it (``4x`` ..) are not read: they are
made here, by `imaging.reduction`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from unpaired.core.errors import UnpairedError, list_some, shown
from unpaired.core.files import sha256_of, state_of
from unpaired.core.fingerprint import fingerprint
from unpaired.data.records import Part, Parts, Record
from unpaired.imaging.pictures import read_rgb8
from unpaired.imaging.reduction import cut_to_multiples, reduced

SCALE = 4
READERS = 2
AS_IT_IS = "1x"


@dataclass(frozen=True)
class Layout:
    """Folders below that of the data set: what is learned from, and validation pairs."""

    noisy: str
    clean: str
    small: str
    large: str


AIM19 = Layout("train-noisy-images", "train-clean-images", "valid-input-noisy", "valid-gt-clean")
NTIRE20 = Layout("Corrupted-tr-x", "Corrupted-tr-y", "Corrupted-va-x", "track1-valid-gt")


def aim19_noisy(folder: Path) -> Parts:
    """Return "image": the noisy photographs."""
    return noisy_of(folder, AIM19)


def aim19_clean(folder: Path) -> Parts:
    """Return "image", clean photographs made four times smaller, and "large", as they are."""
    return clean_of(folder, AIM19)


def aim19_validation(folder: Path) -> Parts:
    """Return "noisy", small, and "clean", four times larger."""
    return validation_of(folder, AIM19)


def ntire20_noisy(folder: Path) -> Parts:
    """Return what `aim19_noisy` returns."""
    return noisy_of(folder, NTIRE20)


def ntire20_clean(folder: Path) -> Parts:
    """Return what `aim19_clean` returns."""
    return clean_of(folder, NTIRE20)


def ntire20_validation(folder: Path) -> Parts:
    """Return what `aim19_validation` returns."""
    return validation_of(folder, NTIRE20)


def noisy_of(folder: Path, layout: Layout) -> Parts:
    """Return the noisy photographs of a data set in ``layout``."""
    return _parts(folder, {layout.noisy: _pictures(folder / layout.noisy)}, _noisy)


def clean_of(folder: Path, layout: Layout) -> Parts:
    """Return the clean photographs of a data set in ``layout``, small and large."""
    return _parts(folder, {layout.clean: _pictures(folder / layout.clean)}, _clean)


def validation_of(folder: Path, layout: Layout) -> Parts:
    """Return the validation pairs, of the same name in both folders.

    Raises UnpairedError, naming all at once, for a picture without its other.
    """
    found = {place: _pictures(folder / place) for place in (layout.small, layout.large)}
    alone = [
        f"{path} has no picture of that name in {folder / other}"
        for place, other in ((layout.small, layout.large), (layout.large, layout.small))
        for name, path in found[place].items()
        if name not in found[other]
    ]
    if alone:
        raise UnpairedError(f"{shown(folder)}: {list_some(alone)}")
    return _parts(folder, found, _pair)


def _pictures(folder: Path) -> dict[str, Path]:
    """Return PNG files by their name without suffix, sorted; of ``1x`` if there is such a folder.

    Raises UnpairedError for a folder that is not there or holds none.
    """
    deeper = folder / AS_IT_IS
    place = deeper if deeper.is_dir() else folder
    found = {path.stem: path for path in sorted(place.glob("*.png")) if path.is_file()}
    if not found:
        raise UnpairedError(f"{shown(place)}: no PNG files; unpack the archive of that name there")
    return found


def _parts(folder: Path, places: dict[str, dict[str, Path]], read) -> Parts:
    """Return a part for every name; read: (paths, name, scene) -> record."""
    code = fingerprint(__name__)
    names = next(iter(places.values()))
    parts = []
    for name in names:
        paths = [pictures[name] for pictures in places.values()]
        # Challenges give training and validation pictures of a folder names of their own alone.
        scene = f"{folder.name}/{next(iter(places))}/{name}"
        stamp = f"{state_of(*paths)} {code}"
        parts.append(Part(name, stamp, partial(read, paths, name, scene)))
    return Parts(shown(folder), tuple(parts), readers=READERS)


def _noisy(paths: list[Path], name: str, scene: str) -> Record:
    (path,) = paths
    return Record(name, {"image": read_rgb8(path, alpha="refuse")}, scene, sha256_of(path))


def _clean(paths: list[Path], name: str, scene: str) -> Record:
    (path,) = paths
    arrays = small_and_large(read_rgb8(path, alpha="refuse"), path)
    return Record(name, arrays, scene, sha256_of(path))


def small_and_large(picture: np.ndarray, path: Path) -> dict[str, np.ndarray]:
    """Return a picture cut to multiples of 4 as "large", and 4 times smaller as "image"."""
    large = cut_to_multiples(picture, SCALE)
    if not large.size:
        raise UnpairedError(f"{path}: smaller than {SCALE} pixels; remove it")
    return {"image": reduced(large, SCALE), "large": large}


def _pair(paths: list[Path], name: str, scene: str) -> Record:
    small, large = (read_rgb8(path, alpha="refuse") for path in paths)
    height, width = small.shape[:2]
    if large.shape[:2] != (SCALE * height, SCALE * width):
        raise UnpairedError(
            f"{paths[0]}: {width}x{height} is not a quarter of {paths[1]}, "
            f"{large.shape[1]}x{large.shape[0]}"
        )
    return Record(name, {"noisy": small, "clean": large}, scene, sha256_of(paths[0]))
