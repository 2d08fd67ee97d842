"""BAPPS, the perceptual similarity data of Zhang 2018 (chapter 6), in its official layout.

    2afc/train/{traditional,cnn,mix}/                              {ref,p0,p1}/*.png  judge/*.npy
    2afc/val/{traditional,cnn,superres,deblur,color,frameinterp}/  {ref,p0,p1}/*.png  judge/*.npy
    jnd/val/{traditional,cnn}/                                     {p0,p1}/*.png      same/*.npy

What belongs together has the same stem. A judgment is an array of one number: the share of people
who find p1 nearer to the reference than p0 (``judge``), or who took p0 and p1 for the same
(``same``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import reading, sha256_of
from unpaired.data.records import Record, Source
from unpaired.imaging.pictures import read_rgb8

Task = Literal["2afc", "jnd"]
Split = Literal["train", "val"]

PATCH_PX = 64
TRAIN_SETS = ("traditional", "cnn", "mix")
VAL_SETS = ("traditional", "cnn", "superres", "deblur", "color", "frameinterp")
JND_SETS = ("traditional", "cnn")

# Field -> folder; the last one holds the judgments.
FIELDS: dict[str, dict[str, str]] = {
    "2afc": {"reference": "ref", "first": "p0", "second": "p1", "judge": "judge"},
    "jnd": {"first": "p0", "second": "p1", "same": "same"},
}
_SUFFIXES = {"judge": ".npy", "same": ".npy"}


@dataclass(frozen=True)
class Judged(Source):
    """The records of one set, for instance ``2afc/val/cnn``, in the order of their stems.

    2afc: "reference", "first" and "second", uint8 64 x 64 x 3, and "judge", float32 1 x 1 x 1 in
    [0, 1]. jnd: "first" and "second", and "same". A square picture of another size is brought to
    64 x 64 as the official loader does it: bilinearly, wider when reducing (Pillow's filter).

    Counting looks at names only; reading goes through all files. Both raise one UnpairedError at
    the end that lists everything missing or bad. scene_of: from the stem of a file.
    """

    folder: Path
    task: Task
    scene_of: Callable[[str], str]

    @property
    def fields(self) -> dict[str, Path]:
        """Return field -> folder."""
        return {field: self.folder / name for field, name in FIELDS[self.task].items()}

    def count(self) -> int:
        stems, bad = self._stems()
        self._refuse(bad)
        return len(stems)

    def __iter__(self) -> Iterator[Record]:
        stems, bad = self._stems()
        for stem in stems:
            paths = {field: self._path(field, stem) for field in self.fields}
            try:
                record = _read(stem, paths, self.scene_of(stem))
            except UnpairedError as error:
                bad.append(str(error))
                continue
            yield record
        self._refuse(bad)

    def _path(self, field: str, stem: str) -> Path:
        return self.fields[field] / f"{stem}{_suffix(field)}"

    def _stems(self) -> tuple[list[str], list[str]]:
        """Return the stems of which all files are there, and what is missing or does not belong."""
        found, bad = {}, []
        for field, place in self.fields.items():
            try:
                with reading(place):
                    files = {path.name for path in place.iterdir() if path.name[0] != "."}
            except UnpairedError as error:
                bad.append(str(error))
                continue
            strange = sorted(name for name in files if Path(name).suffix != _suffix(field))
            bad += [f"{place / name}: not a {_suffix(field)} file; remove it" for name in strange]
            found[field] = {Path(name).stem for name in files.difference(strange)}
        every = sorted(set().union(*found.values()))
        for field, stems in found.items():
            bad += [
                f"{self._path(field, stem)}: missing, but others of its name are there"
                for stem in every
                if stem not in stems
            ]
        if not every and not bad:
            bad.append("no files; unpack the archive of this set here")
        if len(found) < len(self.fields):
            return [], bad  # Else a missing folder would be told again for every stem.
        return [stem for stem in every if all(stem in s for s in found.values())], bad

    def _refuse(self, bad: list[str]) -> None:
        if bad:
            raise UnpairedError(f"{self.folder}: bad files: {'; '.join(bad)}")


@dataclass(frozen=True)
class Together(Source):
    """The records of several sets, one after the other, named ``<set>/<stem>``.

    Counting and reading raise one UnpairedError that lists what is bad in any of them.
    """

    sets: tuple[Judged, ...]

    def count(self) -> int:
        counts, bad = [], []
        for judged in self.sets:
            try:
                counts.append(judged.count())
            except UnpairedError as error:
                bad.append(str(error))
        _refuse_all(bad)
        return sum(counts)

    def __iter__(self) -> Iterator[Record]:
        bad = []
        for judged in self.sets:
            try:
                for record in judged:
                    name = f"{judged.folder.name}/{record.name}"
                    yield Record(name, record.arrays, record.scene, record.sha256_file)
            except UnpairedError as error:
                bad.append(str(error))
        _refuse_all(bad)


def _refuse_all(bad: list[str]) -> None:
    if bad:
        raise UnpairedError("; ".join(bad))


def training_set(folder: Path) -> Together:
    """Return all that BAPPS has to train on, together; ``folder`` is ``.../2afc/train``."""
    return Together(tuple(triplets(folder.parents[1], "train", name) for name in TRAIN_SETS))


def validation_set(folder: Path) -> Judged:
    """Return the triplets in ``folder``, for instance ``.../2afc/val/cnn``."""
    return triplets(folder.parents[2], "val", folder.name)


def jnd_set(folder: Path) -> Judged:
    """Return the JND pairs in ``folder``, for instance ``.../jnd/val/cnn``."""
    return jnd_pairs(folder.parents[2], folder.name)


def triplets(folder: Path, split: Split, name: str) -> Judged:
    """Return the triplets of the set ``name`` below ``folder`` (that which holds ``2afc``).

    Raises UnpairedError if BAPPS has no set of that name in ``split``.
    """
    _check_name(name, TRAIN_SETS if split == "train" else VAL_SETS, f"2afc/{split}")
    return Judged(folder / "2afc" / split / name, "2afc", partial(_scene, f"2afc/{split}/{name}"))


def jnd_pairs(folder: Path, name: str) -> Judged:
    """Return the JND pairs of the set ``name`` below ``folder`` (that which holds ``jnd``)."""
    _check_name(name, JND_SETS, "jnd/val")
    return Judged(folder / "jnd" / "val" / name, "jnd", partial(_scene, f"jnd/val/{name}"))


def _check_name(name: str, known: tuple[str, ...], where: str) -> None:
    if name not in known:
        raise UnpairedError(f"BAPPS has no set '{name}' in {where}; valid: {', '.join(known)}")


def _scene(place: str, stem: str) -> str:
    """Return an identity of its own: BAPPS does not say which photograph a patch is from.

    Training and validation patches come from different collections of photographs.
    """
    return f"bapps:{place}/{stem}"


def _suffix(field: str) -> str:
    return _SUFFIXES.get(field, ".png")


def _read(stem: str, paths: dict[str, Path], scene: str) -> Record:
    arrays, bad = {}, []
    for field, path in paths.items():
        try:
            arrays[field] = read_share(path) if field in _SUFFIXES else read_patch(path)
        except UnpairedError as error:
            bad.append(str(error))
    if bad:
        raise UnpairedError(list_some(bad))
    digest = hashlib.sha256("".join(map(sha256_of, paths.values())).encode()).hexdigest()
    return Record(stem, arrays, scene, digest)


def read_patch(path: Path) -> np.ndarray:
    """Read a square picture as uint8 64 x 64 x 3; raises UnpairedError naming a bad file."""
    pixels = read_rgb8(path, alpha="refuse")
    height, width = pixels.shape[:2]
    if height != width:
        raise UnpairedError(f"{path}: {width} x {height} pixels, not a square; get it again")
    if height == PATCH_PX:
        return pixels
    small = Image.fromarray(pixels).resize((PATCH_PX, PATCH_PX), Image.Resampling.BILINEAR)
    return np.asarray(small)


def read_share(path: Path) -> np.ndarray:
    """Read a judgment as float32 1 x 1 x 1; raises UnpairedError unless it is one in [0, 1]."""
    try:
        with reading(path):
            array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise UnpairedError(
            f"{path}: not a NumPy file of a number ({error}); get it again"
        ) from None
    if array.size != 1 or array.dtype.kind not in "fiu":
        raise UnpairedError(
            f"{path}: {array.dtype} of the shape {array.shape}, not one number; get it again"
        )
    share = float(array.item())
    if not 0 <= share <= 1:
        raise UnpairedError(f"{path}: a share of {share:g}, not in [0, 1]; get it again")
    return np.full((1, 1, 1), share, np.float32)


def write_judged(folder: Path, stem: str, arrays: dict[str, np.ndarray]) -> None:
    """Write one record in the layout of its set at ``folder``, which is to be renamed when whole.

    arrays: as `Judged` gives them; pictures may be of any size. Files are not synced one by one,
    which would take longer than making them.
    """
    task = "2afc" if "judge" in arrays else "jnd"
    for field, name in FIELDS[task].items():
        path = folder / name / f"{stem}{_suffix(field)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if field in _SUFFIXES:
            np.save(path, arrays[field].reshape(1))
        else:
            Image.fromarray(arrays[field]).save(path, compress_level=1)
