"""A person's pictures, for commands that take each as RGB within [0, 1] and refuse others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.progress import Progress
from unpaired.imaging.lost import noting_descriptions, read_own
from unpaired.imaging.outputs import Notes, Outcome, Outputs, naming, plan_outputs, told
from unpaired.imaging.pictures import Picture, in_rgb, write_picture


@dataclass(frozen=True)
class OwnPictures:
    """Pictures that can be read, and where what becomes of them goes.

    sizes: of each, H x W. refused: a line for each that cannot be read.
    """

    outputs: Outputs
    sizes: dict[Path, tuple[int, ...]]
    refused: list[str]

    def write_each(self, command: str, change: Callable[[Picture, str], Picture]) -> Outcome:
        """Write what ``change`` makes of each picture; those that it refuses are told of.

        change: picture, and its name in the output folder without suffix -> picture.
        """
        self.outputs.mark(command)
        written, refused, notes = [], list(self.refused), Notes()
        with Progress(command, len(self.sizes), "pictures") as progress:
            for path in self.sizes:
                target = self.outputs.targets[path]
                name = target.relative_to(self.outputs.folder).with_suffix("").as_posix()
                try:
                    with naming(path):
                        notes.add(path, *write_picture(change(read_in_range(path), name), target))
                    written.append(target)
                except UnpairedError as error:
                    refused.append(str(error))
                progress.advance()
        for line in notes.lines():
            print(line, flush=True)
        return Outcome(written, refused, self.outputs.left_out)


def plan_own_pictures(inputs: Sequence[Path], output: Path, *, overwrite: bool) -> OwnPictures:
    """Find pictures and where they go; tell what is left out.

    Raises UnpairedError as `plan_outputs` does, and if no picture at all can be read.
    """
    outputs = plan_outputs(inputs, output, overwrite=overwrite)
    for line in told(outputs.left_out):
        print(line, flush=True)
    sizes, refused = readable_sizes(outputs.targets)
    if not sizes:
        raise UnpairedError(list_some(refused))
    return OwnPictures(outputs, sizes, refused)


def read_in_range(path: Path) -> Picture:
    """Return a picture as RGB, with notes of all that the written one will not hold.

    Raises UnpairedError for values outside [0, 1].
    """
    stored = read_own(path)
    picture = noting_descriptions(stored, in_rgb(stored))
    low, high = float(picture.pixels.min()), float(picture.pixels.max())
    if low < 0 or high > 1:
        raise UnpairedError(
            f"{path}: values from {low:.4g} to {high:.4g}; scale floating-point pictures to 0 .. 1"
        )
    return picture


def readable_sizes(paths: Iterable[Path]) -> tuple[dict[Path, tuple[int, ...]], list[str]]:
    """Return the pictures that `read_in_range` takes, with their sizes H x W, and the refusals."""
    sizes, refused = {}, []
    for path in paths:
        try:
            sizes[path] = read_in_range(path).pixels.shape[1:3]
        except UnpairedError as error:
            refused.append(str(error))
    return sizes, refused
