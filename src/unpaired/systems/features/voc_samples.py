"""What is fine-tuned on: pictures of VOC squeezed to a square, with what a task is told of them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import EpochOrder, numpy_generator
from unpaired.data.packs import Pack
from unpaired.imaging.pixels import to_uint8

Told = Literal["present", "boxes", "labels"]
FIELDS = {"present": "boxes", "boxes": "boxes", "labels": "labels"}
VOID = 255
BOXES_MAX = 64  # No picture of VOC has more.
ABSENT = -1


def require_field(pack: Pack, told: Told) -> None:
    """Raise UnpairedError for a pack that does not hold what a task is told."""
    if FIELDS[told] not in pack.fields:
        raise UnpairedError(
            f"data set '{pack.source}': no {FIELDS[told]}, which this task needs; name a set that "
            "has them"
        )
    if not len(pack):
        raise UnpairedError(f"data set '{pack.source}': no pictures; add some")


def require_pictures(pack: Pack, *fields: str) -> None:
    """Raise UnpairedError for a pack that lacks a picture that is seen."""
    if missing := [field for field in fields if field not in pack.fields]:
        raise UnpairedError(
            f"data set '{pack.source}': no {' and no '.join(missing)} in its records; name a set "
            "that has them"
        )


class VOCSamples(Dataset):
    """``self[k]`` -> {"image": 3 x P x P in [0, 1], ``told``, "sample": k}, mirrored or not.

    field: the picture of a record, in place of "image". told: "present", C: 1 for classes in the
    picture, 0 for others, -1 for those of which only difficult objects are there; "boxes", 64 x 5:
    class (-1 behind the last), left, top, right, bottom of objects that are not difficult; or
    "labels", P x P int64, 255 where nobody says.
    """

    def __init__(
        self,
        pack: Pack,
        told: Told,
        classes: int,
        side_px: int,
        seed: int,
        field: str = "image",
    ) -> None:
        require_field(pack, told)
        require_pictures(pack, field)
        self.pack, self.told, self.classes, self.field = pack, told, classes, field
        self.side_px, self.seed = side_px, seed
        self._order = EpochOrder(seed, len(pack))

    def __getitem__(self, sample: int) -> dict[str, Any]:
        record = self._order.record_of(sample)
        is_mirrored = bool(numpy_generator(self.seed, "mirror", sample).random() < 0.5)
        picture = squeezed(self.pack.read_unit(record, self.field), self.side_px)
        told = getattr(self, f"_{self.told}")(record, is_mirrored)
        picture = picture.flip(-1) if is_mirrored else picture
        return {self.field: picture, self.told: told, "sample": sample}

    def _present(self, record: int, is_mirrored: bool) -> Tensor:
        return torch.from_numpy(present_classes(boxes_of(self.pack, record), self.classes))

    def _boxes(self, record: int, is_mirrored: bool) -> Tensor:
        height, width = self.pack.shape(record)[:2]
        found = boxes_of(self.pack, record)
        found = found[found[:, 5] == 0][:BOXES_MAX, :5]
        found[:, [1, 3]] *= self.side_px / width
        found[:, [2, 4]] *= self.side_px / height
        if is_mirrored:
            found[:, [1, 3]] = self.side_px - found[:, [3, 1]]
        padded = np.full((BOXES_MAX, 5), ABSENT, np.float32)
        padded[: len(found)] = found
        return torch.from_numpy(padded)

    def _labels(self, record: int, is_mirrored: bool) -> Tensor:
        labels = Image.fromarray(self.pack.read(record, "labels")[..., 0])
        small = labels.resize((self.side_px, self.side_px), Image.Resampling.NEAREST)
        array = np.asarray(small)[:, ::-1] if is_mirrored else np.asarray(small)
        return torch.from_numpy(array.astype(np.int64))


def boxes_of(pack: Pack, record: int) -> np.ndarray:
    """Return K x 6 float32: class, left, top, right, bottom, difficult."""
    return pack.read(record, "boxes")[..., 0].astype(np.float32)


def present_classes(boxes: np.ndarray, classes: int) -> np.ndarray:
    """Return 1 for classes that are there, 0 for others, -1 for those that are only difficult."""
    present = np.zeros(classes, np.float32)
    present[boxes[:, 0].astype(int)] = ABSENT
    present[boxes[boxes[:, 5] == 0, 0].astype(int)] = 1
    return present


def squeezed(picture: np.ndarray, side_px: int) -> Tensor:
    """Return a picture, H x W x 3 in [0, 1], as 3 x P x P, resized as 8 bits."""
    if picture.shape[:2] != (side_px, side_px):
        whole = Image.fromarray(to_uint8(picture))
        small = whole.resize((side_px, side_px), Image.Resampling.BILINEAR)
        picture = np.asarray(small, np.float32) / 255
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
