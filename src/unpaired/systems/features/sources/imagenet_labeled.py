"""ImageNet with its labels, squeezed to 256 x 256: a class is a folder, numbered by name.

Validation pictures must lie in folders of their classes as well, n01440764 .. n15075141, into which
the usual scripts sort them.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from unpaired.core.errors import UnpairedError, list_some
from unpaired.imaging.finding import names_in
from unpaired.systems.features.sources.listed import Listed, listed_pictures


def records(folder: Path) -> Listed:
    """Return all pictures with their labels. Raises UnpairedError for pictures in no class."""
    names = names_in(folder)
    loose = [name for name in names if len(PurePosixPath(name).parts) < 2]
    if loose:
        raise UnpairedError(
            f"{folder}: {list_some(loose, 3)}: in no class folder; sort pictures into folders of "
            "their classes (n01440764 ..)"
        )
    classes = {name: number for number, name in enumerate(sorted({_class(n) for n in names}))}
    return listed_pictures(folder, {name: classes[_class(name)] for name in names})


def _class(name: str) -> str:
    return PurePosixPath(name).parts[0]
