"""What a person tells a model of colors on the command line, and what the model gets of it.

Without PyTorch until something is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unpaired.core.errors import UnpairedError, shown
from unpaired.imaging.outputs import naming
from unpaired.imaging.upright import as_stored, orientation_of, upright

if TYPE_CHECKING:
    from unpaired.imaging.color.hints import Point
    from unpaired.systems.colorization.methods.colorization import Colorizer

NAMES = {"hints": "points", "histogram_of": "histogram", "saturation": "saturation"}


@dataclass(frozen=True)
class Told:
    """What a model gets for one picture, which is turned upright for it.

    points: with ``size``, the height and width that they are told in, of ``file``. statistics: as
    options of `colorize`.
    """

    points: Sequence[Point] = ()
    size: tuple[int, int] | None = None
    file: Path | None = None
    orientation: int = 1
    statistics: dict[str, Any] = field(default_factory=dict)

    def upright(self, page: np.ndarray) -> np.ndarray:
        """Return H x W x C as it is looked at."""
        return upright(page, self.orientation)

    def as_stored(self, page: np.ndarray) -> np.ndarray:
        """Return what was upright as it lies in the file."""
        return as_stored(page, self.orientation)

    def options(self, size: tuple[int, int], short_px: int | None) -> dict[str, Any]:
        """Return options of `colorize` for a picture of height and width ``size``.

        short_px: shorter side that the model sees it with. Raises UnpairedError if the points are
        those of a picture of another size.
        """
        if self.size is None:
            return self.statistics
        from unpaired.imaging.color.hints import hint_maps
        from unpaired.imaging.color.recoloring import shrunk_size

        if tuple(size) != tuple(self.size):
            raise UnpairedError(
                f"the points in {shown(self.file)} are for a picture of {self.size[1]} x "
                f"{self.size[0]} pixels, this one has {size[1]} x {size[0]}"
            )
        ab, mask = hint_maps(self.points, self.size, shrunk_size(tuple(size), short_px))
        return {**self.statistics, "ab": ab, "mask": mask}


NOTHING = Told()


@dataclass(frozen=True)
class Asked:
    """hints: a file of points, or a folder of them for several pictures. histogram_of: a picture.

    saturation: a mean in [0, 1].
    """

    hints: Path | None = None
    histogram_of: Path | None = None
    saturation: float | None = None

    def check(self, model: Path, method: str, takes: Sequence[str]) -> None:
        """Raise UnpairedError for what a model is not told by, and for files that are not there."""
        for name, kind in NAMES.items():
            if getattr(self, name) is not None and kind not in takes:
                option = "--" + name.replace("_", "-")
                wanted = "local_hints" if kind == "points" else "global_hints"
                raise UnpairedError(
                    f"{option}: {model} is a model of '{method}', which is not told so; name one "
                    f"of '{wanted}' by --model"
                )
        for path in (self.hints, self.histogram_of):
            if path is not None and not Path(path).exists():
                raise UnpairedError(f"{path}: no such file")
        if self.saturation is not None and not 0 <= self.saturation <= 1:
            raise UnpairedError(
                f"--saturation must be between 0 (gray) and 1, not {self.saturation}"
            )

    def statistics(self, method: Colorizer) -> dict[str, Any]:
        """Return the options of `colorize` that are the same for all pictures."""
        found: dict[str, Any] = {}
        if self.histogram_of is not None:
            from unpaired.imaging.color.hints import color_histogram
            from unpaired.imaging.color.lab import rgb_to_lab
            from unpaired.imaging.color.recoloring import as_batch, shrunk
            from unpaired.imaging.pictures import read_rgb8

            with naming(self.histogram_of):
                rgb = as_batch(read_rgb8(self.histogram_of, alpha="drop"))
                ab = rgb_to_lab(shrunk(rgb, method.picture_px))[:, 1:]
                found["histogram"] = color_histogram(ab)
        if self.saturation is not None:
            found["saturation"] = self.saturation
        return found

    def of(self, picture: Path, pictures: int, statistics: dict[str, Any]) -> Told:
        """Return what a model gets for one of several pictures.

        Raises UnpairedError for a file of points that several pictures would share, and for a bad
        one. A picture without a file in the folder is told nothing.
        """
        told = Told(orientation=orientation_of(picture), statistics=statistics)
        if self.hints is None:
            return told
        from unpaired.imaging.color.hints import points_path, read_points

        path = Path(self.hints)
        if path.is_dir():
            path = path / points_path(Path(picture.name)).name
            if not path.is_file():
                return told
        elif pictures > 1:
            raise UnpairedError(
                f"{path}: points of one picture, but there are {pictures}; name the folder of "
                "their NAME.points.json"
            )
        points, size = read_points(path)
        return replace(told, points=points, size=size, file=path)
