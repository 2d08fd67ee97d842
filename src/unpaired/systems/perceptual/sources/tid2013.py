"""TID2013: 25 photographs, 24 kinds of distortion at 5 levels, and what observers thought of each.

Ponomarenko et al., "Image database TID2013: Peculiarities, results and perspectives" (2015). The
official layout, whatever the case of the names (the archive's own differs between files):

    reference_images/I01.BMP ... I25.BMP
    distorted_images/i01_01_1.bmp ... i25_24_5.bmp     photograph, distortion, level
    mos_with_names.txt                                  one "5.51429 I01_01_1.bmp" per line
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from unpaired.core.errors import UnpairedError
from unpaired.core.files import reading, sha256_of
from unpaired.data.records import Record, Source

PHOTOGRAPHS, DISTORTIONS, LEVELS = 25, 24, 5
MOS_MAX = 9.0  # mean opinion scores go from 0 to 9, and 9 is the best
SHAPE = (384, 512, 3)
SCORES = "mos_with_names.txt"


@dataclass(frozen=True)
class _Pair:
    name: str
    mos: float
    reference: Path
    distorted: Path


@dataclass(frozen=True)
class TID2013(Source):
    """The 3000 pairs: "reference" and "distorted", uint8 384 x 512 x 3, "mos" float32 1 x 1 x 1.

    Counting looks at names and scores only. Counting and reading raise one UnpairedError that
    lists everything missing or bad. photographs: how many there are to be, from the first on.
    """

    folder: Path
    photographs: int = PHOTOGRAPHS

    def count(self) -> int:
        pairs, bad = self._pairs()
        self._refuse(bad)
        return len(pairs)

    def __iter__(self) -> Iterator[Record]:
        pairs, bad = self._pairs()
        references = {
            path: _read(path, bad) for path in dict.fromkeys(pair.reference for pair in pairs)
        }
        for pair in pairs:
            reference, distorted = references[pair.reference], _read(pair.distorted, bad)
            if reference is not None and distorted is not None:
                mos = np.full((1, 1, 1), pair.mos, np.float32)
                arrays = {"reference": reference, "distorted": distorted, "mos": mos}
                scene = f"tid2013:{pair.name[1:3]}"
                yield Record(pair.name, arrays, scene, sha256_of(pair.distorted))
        self._refuse(bad)

    def _pairs(self) -> tuple[list[_Pair], list[str]]:
        """Return the pairs of which everything is there, and what is missing or wrong."""
        bad: list[str] = []
        scores = _read_scores(self.folder / SCORES, bad)
        references = _listing(self.folder / "reference_images", bad)
        distorted = _listing(self.folder / "distorted_images", bad)
        names = list(_names(self.photographs))
        photographs = dict.fromkeys(name[:3] for name in names)
        bad += [
            f"{self.folder / 'reference_images' / name.upper()}.BMP: missing"
            for name in photographs
            if references and f"{name}.bmp" not in references
        ]
        pairs = []
        for name in names:
            if distorted and f"{name}.bmp" not in distorted:
                bad.append(f"{self.folder / 'distorted_images' / name}.bmp: missing")
            if scores and name not in scores:
                bad.append(f"{self.folder / SCORES}: no score of {name}")
            files = references.get(f"{name[:3]}.bmp"), distorted.get(f"{name}.bmp")
            if name in scores and all(files):
                pairs.append(_Pair(name, scores[name], *files))
        return pairs, bad

    def _refuse(self, bad: list[str]) -> None:
        if bad:
            raise UnpairedError(f"{self.folder}: bad files: {'; '.join(bad)}")


def _names(photographs: int) -> Iterator[str]:
    for photograph in range(1, photographs + 1):
        for distortion in range(1, DISTORTIONS + 1):
            for level in range(1, LEVELS + 1):
                yield f"i{photograph:02d}_{distortion:02d}_{level}"


def _listing(folder: Path, bad: list[str]) -> dict[str, Path]:
    """Return lower-case name -> file; none if the folder is bad or empty."""
    try:
        with reading(folder):
            found = {path.name.lower(): path for path in sorted(folder.iterdir())}
    except UnpairedError as error:
        bad.append(str(error))
        return {}
    if not found:
        bad.append(f"{folder}: empty; unpack the archive again")
    return found


def _read_scores(path: Path, bad: list[str]) -> dict[str, float]:
    try:
        with reading(path):
            lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except UnpairedError as error:
        bad.append(str(error))
        return {}
    scores = {}
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s+(i\d\d_\d\d_\d)\.bmp\s*", line, re.IGNORECASE)
        if match is None and line.strip():
            bad.append(f"{path}: line {number} is not 'score name.bmp'; get the file again")
        elif match is not None and float(match[1]) > MOS_MAX:
            bad.append(f"{path}: line {number} has a score of {match[1]}, above {MOS_MAX:g}")
        elif match is not None:
            scores[match[2].lower()] = float(match[1])
    if not lines:
        bad.append(f"{path}: empty; unpack the archive again")
    return scores


def _read(path: Path, bad: list[str]) -> np.ndarray | None:
    try:
        with reading(path), Image.open(path, formats=("BMP",)) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except (UnpairedError, UnidentifiedImageError, OSError, ValueError) as error:
        bad.append(f"{path}: not a whole BMP picture ({error}); get it again")
        return None
    if pixels.shape != SHAPE:
        bad.append(f"{path}: {pixels.shape[1]} x {pixels.shape[0]} pixels, not 512 x 384")
        return None
    return pixels
