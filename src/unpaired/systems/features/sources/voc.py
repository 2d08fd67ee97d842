"""PASCAL VOC in its official layout: pictures, boxes of objects, and maps of classes.

Records hold "image"; for classification and detection "boxes", K x 6 x 1 (class, left, top, right,
bottom, difficult; right and bottom just outside); for segmentation "labels", H x W x 1, 0 for the
background, a class's number and one, 255 where nobody says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import reading, sha256_of
from unpaired.data.records import Record
from unpaired.imaging.pictures import read_rgb8

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


def trainval_objects(folder: Path) -> Iterator[Record]:
    """Yield the pictures of ImageSets/Main/trainval.txt with their boxes."""
    return _records(folder, "Main/trainval.txt", _with_boxes)


def test_objects(folder: Path) -> Iterator[Record]:
    """Yield the pictures of ImageSets/Main/test.txt with their boxes."""
    return _records(folder, "Main/test.txt", _with_boxes)


def train_segments(folder: Path) -> Iterator[Record]:
    """Yield the pictures of ImageSets/Segmentation/train.txt with their maps."""
    return _records(folder, "Segmentation/train.txt", _with_labels)


def validation_segments(folder: Path) -> Iterator[Record]:
    """Yield the pictures of ImageSets/Segmentation/val.txt with their maps."""
    return _records(folder, "Segmentation/val.txt", _with_labels)


def _records(folder: Path, listed: str, arrays_of) -> Iterator[Record]:
    """Yield records in the order of the list; at the end UnpairedError names all bad ones."""
    path = folder / "ImageSets" / listed
    with reading(path):
        names = [line.split()[0] for line in path.read_text().splitlines() if line.strip()]
    if not names:
        raise UnpairedError(f"{path}: names no pictures; take the official list")
    bad = []
    for name in names:
        picture = folder / "JPEGImages" / f"{name}.jpg"
        try:
            arrays = {"image": read_rgb8(picture, alpha="drop")} | arrays_of(folder, name)
            sha256 = sha256_of(picture)
        except UnpairedError as error:
            bad.append(str(error))
            continue
        yield Record(name, arrays, f"file:{sha256}", sha256)
    if bad:
        raise UnpairedError(f"{folder}: {len(bad)} bad pictures: {list_some(bad)}")


def _with_boxes(folder: Path, name: str) -> dict[str, np.ndarray]:
    return {"boxes": read_boxes(folder / "Annotations" / f"{name}.xml")}


def _with_labels(folder: Path, name: str) -> dict[str, np.ndarray]:
    path = folder / "SegmentationClass" / f"{name}.png"
    with reading(path), Image.open(path) as image:
        if image.mode != "P":
            raise UnpairedError(f"{path}: not a picture of class numbers with a palette")
        return {"labels": np.asarray(image)[..., None].copy()}


def read_boxes(path: Path) -> np.ndarray:
    """Return the objects of an annotation, K x 6 x 1 float32.

    The files count pixels from 1 and name the last one inside. Raises UnpairedError for other
    files and for unknown classes.
    """
    try:
        with reading(path):
            found = ElementTree.parse(path).getroot().findall("object")
        rows = [_box(one) for one in found]
    except (ElementTree.ParseError, ValueError, AttributeError, TypeError) as error:
        raise UnpairedError(f"{path}: no annotation of VOC ({error}); unpack it again") from None
    if not rows:
        raise UnpairedError(f"{path}: no objects in it")
    return np.array(rows, np.float32)[..., None]


def _box(entry: ElementTree.Element) -> list[float]:
    left, top, right, bottom = (
        float(entry.find(f"bndbox/{side}").text) for side in ("xmin", "ymin", "xmax", "ymax")
    )
    difficult = float(entry.findtext("difficult", "0"))
    name = CLASSES.index(entry.find("name").text.strip())
    return [name, left - 1, top - 1, right, bottom, difficult]
