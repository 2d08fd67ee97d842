"""Packs whose records have a label: the number of a class, 1 x 1 x 1 in the field "label"."""

from __future__ import annotations

import numpy as np

from unpaired.core.errors import UnpairedError
from unpaired.data.packs import Pack
from unpaired.data.records import Record


def labeled_record(name: str, image: np.ndarray, label: int, scene: str) -> Record:
    """Return a record of a picture, H x W x 3 uint8, and the number of its class."""
    return Record(name, {"image": image, "label": np.full((1, 1, 1), label, np.uint16)}, scene)


def labels_of(pack: Pack) -> np.ndarray:
    """Return the class of every record, int64.

    Raises UnpairedError for a pack without labels, and for one without a record.
    """
    if "label" not in pack.fields:
        raise UnpairedError(
            f"data set '{pack.source}': its pictures have no labels; name a set that has them"
        )
    if not len(pack):
        raise UnpairedError(f"data set '{pack.source}': no pictures; add some")
    return np.array([int(pack.read(index, "label").item()) for index in pack], np.int64)
