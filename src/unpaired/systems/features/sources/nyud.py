"""NYU Depth V2 (Silberman et al. 2012): pictures with depth, and boxes of furniture.

Labeled pictures are in ``nyu_depth_v2_labeled.mat`` (filled depth, `depths`, registered with the
pictures), the official split is in ``splits.mat``. The unlabeled frames of the thesis are not
published as such: ``keyframes/<scene>/rgb/<frame>.png`` and ``keyframes/<scene>/depth/<frame>.png``
hold frames of the raw videos, registered and filled by the toolbox of the data set, depth in
millimeters of 16 bits.

Records hold "image", "hha" (see `imaging.hha`) and, if labeled, "boxes", K x 6 x 1 as in
`sources.voc`; a picture without objects has one row of class -1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import sha256_of
from unpaired.data.matlab import read_array
from unpaired.data.matlab_frames import FrameFile, open_frames
from unpaired.data.records import Record
from unpaired.imaging.hha import Pinhole, hha
from unpaired.imaging.pictures import read_picture, read_rgb8
from unpaired.systems.features.sources.drawn_scenes import box_of

# The 19 classes that are detected (Gupta et al. 2014), by the names of the data set.
CLASSES = (
    *("bathtub", "bed", "bookshelf", "box", "chair", "counter", "desk", "door", "dresser"),
    *("garbage bin", "lamp", "monitor", "night stand", "pillow", "sink", "sofa", "table"),
    *("television", "toilet"),
)
# Of the color camera, to which depth is registered; from the toolbox, for 640 x 480.
CAMERA = Pinhole((518.857901, 519.469611), (325.582449, 253.736166))
SHAPE = (480, 640)
LABELED, SPLITS, KEYFRAMES = "nyu_depth_v2_labeled.mat", "splits.mat", "keyframes"
NOTHING = (-1, 0, 0, 0, 0, 0)
MM_PER_M = 1000.0
LARGEST_16_BIT = 65535.0


def train_objects(folder: Path) -> Iterator[Record]:
    """Yield the pictures of the official training split, 795."""
    return _labeled(folder, "trainNdxs")


def test_objects(folder: Path) -> Iterator[Record]:
    """Yield the pictures of the official test split, 654."""
    return _labeled(folder, "testNdxs")


def _labeled(folder: Path, key: str) -> Iterator[Record]:
    """Yield labeled pictures; raises UnpairedError at the end, naming all bad ones."""
    numbers = read_array(folder / SPLITS, key).ravel().astype(int)
    if not len(numbers):
        raise UnpairedError(f"{folder / SPLITS}: '{key}' names no pictures; get the file again")
    bad = []
    with open_frames(folder / LABELED) as file:
        names, scenes = file.texts("names"), file.texts("scenes")
        if missing := [name for name in CLASSES if name not in names]:
            raise UnpairedError(f"{file.path}: 'names' lacks {list_some(missing)}; get it again")
        classes = {names.index(name) + 1: at for at, name in enumerate(CLASSES)}
        if len(scenes) != file.count("images"):
            raise UnpairedError(f"{file.path}: {len(scenes)} 'scenes'; get the file again")
        for number in numbers:
            try:
                arrays = _arrays(file, number - 1, classes)
            except UnpairedError as error:
                bad.append(str(error))
                continue
            yield Record(f"{number:04d}", arrays, f"nyud:{scenes[number - 1]}")
    if bad:
        raise UnpairedError(f"{folder}: {len(bad)} bad pictures: {list_some(bad)}")


def _arrays(file: FrameFile, index: int, classes: dict[int, int]) -> dict[str, np.ndarray]:
    image, depth, labels, instances = (
        file.frame(key, index) for key in ("images", "depths", "labels", "instances")
    )
    if image.shape != (*SHAPE, 3) or image.dtype != np.uint8:
        raise UnpairedError(
            f"{file.path}: picture {index + 1}: {image.dtype} of shape {image.shape}, not 8 bits "
            f"of {(*SHAPE, 3)}; get the file again"
        )
    return {
        "image": image,
        "hha": _encoded(depth, f"{file.path}: picture {index + 1}"),
        "boxes": boxes_of_objects(labels, instances, classes)[..., None],
    }


def _encoded(depth_m: np.ndarray, where: str) -> np.ndarray:
    """Return HHA; raises UnpairedError that says where."""
    if depth_m.shape != SHAPE:
        raise UnpairedError(f"{where}: depth of shape {depth_m.shape}; it must be {SHAPE}")
    try:
        return hha(depth_m, CAMERA)
    except UnpairedError as error:
        raise UnpairedError(f"{where}: {error}") from None


def boxes_of_objects(
    labels: np.ndarray, instances: np.ndarray, classes: dict[int, int]
) -> np.ndarray:
    """Return K x 6 float32 of maps H x W: label of a pixel, and which object of that label.

    classes: label -> number of the class; other labels are no objects.
    """
    found = [
        box_of((labels == label) & (instances == instance), number)
        for label, number in sorted(classes.items())
        for instance in np.unique(instances[labels == label])
    ]
    return np.array(found or [NOTHING], np.float32)


def keyframes(folder: Path) -> Iterator[Record]:
    """Yield unlabeled frames, in the order of their names; UnpairedError names all bad ones."""
    paths = sorted((folder / KEYFRAMES).glob("*/rgb/*.png"))
    if not paths:
        raise UnpairedError(f"{folder / KEYFRAMES}: no frames <scene>/rgb/*.png; see its layout")
    bad = []
    for path in paths:
        scene = path.parents[1].name
        try:
            image = read_rgb8(path, alpha="drop")
            depth_m = read_depth_m(path.parents[1] / "depth" / path.name)
            if image.shape[:2] != SHAPE:
                raise UnpairedError(f"{path}: {image.shape[1]}x{image.shape[0]}, not 640x480")
            arrays = {"image": image, "hha": _encoded(depth_m, str(path))}
            sha256 = sha256_of(path)
        except UnpairedError as error:
            bad.append(str(error))
            continue
        yield Record(f"{scene}/{path.stem}", arrays, f"nyud:{scene}", sha256)
    if bad:
        raise UnpairedError(f"{folder}: {len(bad)} bad frames: {list_some(bad)}")


def read_depth_m(path: Path) -> np.ndarray:
    """Return a depth map in meters of a gray picture of 16 bits in millimeters: H x W."""
    picture = read_picture(path)
    if picture.dtype != np.uint16 or not picture.is_gray or picture.is_stack:
        raise UnpairedError(f"{path}: not a gray picture of 16 bits with millimeters in it")
    return np.round(picture.pixels[0, ..., 0].astype(np.float64) * LARGEST_16_BIT) / MM_PER_M
