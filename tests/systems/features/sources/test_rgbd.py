"""Drawn rooms whose depth agrees with the picture, and NYU-D in its layout."""

from __future__ import annotations

import itertools

import h5py
import numpy as np
import pytest
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.data import matlab
from unpaired.data.matlab_frames import open_frames
from unpaired.imaging.hha import STEPS_AT_0_DEGREES, hha
from unpaired.systems.features.sources import drawn_rooms, nyud
from unpaired.systems.features.sources.drawn_rooms import SIDE_PX, camera_of, draw_room

# ---- Drawn rooms --------------------------------------------------------------------------------


def test_rooms_are_told_by_split_and_number():
    first, again = draw_room("train", 3), draw_room("train", 3)
    assert np.array_equal(first.rgb, again.rgb)
    assert np.array_equal(first.depth_m, again.depth_m)
    assert not np.array_equal(first.rgb, draw_room("test", 3).rgb)


def test_things_are_nearer_than_what_is_around_them():
    for number in range(12):
        room = draw_room("train", number)
        assert len(room.boxes) >= 1
        for _, left, top, right, bottom, difficult in room.boxes.astype(int):
            assert difficult == 0
            inside = room.depth_m[top:bottom, left:right]
            around = np.concatenate([room.depth_m[:2].ravel(), room.depth_m[:, 0]])
            assert inside.min() < drawn_rooms.THINGS_M[1] < drawn_rooms.WALL_M[0]
            assert inside.min() < around.max()


def test_a_step_in_depth_is_an_edge_in_the_picture():
    for number in range(8):
        room = draw_room("test", number)
        steps = abs(np.diff(room.depth_m, axis=1)) > 0.5
        changes = abs(np.diff(room.rgb.astype(int), axis=1)).sum(axis=2)
        assert steps.any()
        assert changes[steps].mean() > 3 * changes[~steps].mean()


def test_the_larger_a_thing_is_the_nearer_it_stands():
    found = []
    for number in range(80):
        room = draw_room("unlabeled", number)
        label, left, top, right, bottom, _ = room.boxes[0].astype(int)
        is_whole = left > 0 and top > 0 and right < SIDE_PX and bottom < SIDE_PX
        if len(room.boxes) == 1 and label == 5 and is_whole:  # A flat disc.
            center = room.depth_m[(top + bottom) // 2, (left + right) // 2]
            found.append((right - left) * center / (drawn_rooms.FOCAL_PER_SIDE * SIDE_PX))
    assert found
    low, high = drawn_rooms.RADII_M
    assert all(2 * low - 0.08 < width_m < 2 * high + 0.08 for width_m in found)


def test_hha_tells_the_floor_though_the_camera_is_tilted():
    for number in range(6):
        room = draw_room("train", number)
        lowest = hha(room.depth_m, camera_of(SIDE_PX))[-1]
        is_floor = lowest[:, 1] < 15
        assert is_floor.mean() > 0.5
        assert abs(np.median(lowest[is_floor, 2]) - STEPS_AT_0_DEGREES) <= 3


def test_records_hold_what_detectors_and_encoders_want():
    (record,) = itertools.islice(drawn_rooms.test_rooms(None), 1)
    assert {key: value.dtype.name for key, value in record.arrays.items()} == {
        "image": "uint8",
        "hha": "uint8",
        "boxes": "float32",
    }
    assert record.arrays["boxes"].shape[1:] == (6, 1)
    assert record.scene == "drawn_rooms:test:0"


# ---- NYU-D --------------------------------------------------------------------------------------

NAMES = ("wall", *nyud.CLASSES, "book")
ROWS, COLUMNS = nyud.SHAPE


def frames(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (ROWS, COLUMNS, 3, count)).astype(np.uint8)
    depths = np.full((ROWS, COLUMNS, count), 2.5, np.float32)
    labels = np.ones((ROWS, COLUMNS, count), np.uint16)
    instances = np.zeros((ROWS, COLUMNS, count), np.uint8)
    bed, chair = (NAMES.index(name) + 1 for name in ("bed", "chair"))
    labels[100:200, 50:150, 0], instances[100:200, 50:150, 0] = chair, 1
    labels[100:200, 300:340, 0], instances[100:200, 300:340, 0] = chair, 2
    labels[300:400, 10:30, 0], instances[300:400, 10:30, 0] = bed, 1
    return {"images": images, "depths": depths, "labels": labels, "instances": instances}


def write_labeled(folder, arrays=None, names=NAMES, scenes=("kitchen_1", "office_2")):
    """Write the file as MATLAB does: axes in reverse, cells of text behind references."""
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / nyud.LABELED, "w") as file:
        for key, value in (arrays or frames(len(scenes))).items():
            file.create_dataset(key, data=value.T)
        for key, texts in (("names", names), ("scenes", scenes)):
            places = np.empty((1, len(texts)), h5py.ref_dtype)
            for at, text in enumerate(texts):
                letters = np.array([[ord(letter)] for letter in text], np.uint16)
                places[0, at] = file.create_dataset(f"#refs#/{key}{at}", data=letters).ref
            file.create_dataset(key, data=places, dtype=h5py.ref_dtype)
    splits = {"trainNdxs": np.array([[2]], float), "testNdxs": np.array([[1]], float)}
    matlab.write_v5(folder / nyud.SPLITS, splits)
    return folder


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    return write_labeled(tmp_path_factory.mktemp("nyud"))


def test_labeled_pictures_come_with_hha_and_boxes_by_the_split(labeled):
    (record,) = nyud.test_objects(labeled)
    assert record.name == "0001"
    assert record.scene == "nyud:kitchen_1"
    assert np.array_equal(record.arrays["image"], frames(2)["images"][..., 0])
    bed, chair = nyud.CLASSES.index("bed"), nyud.CLASSES.index("chair")
    assert record.arrays["boxes"][..., 0].tolist() == [
        [bed, 10, 300, 30, 400, 0],
        [chair, 50, 100, 150, 200, 0],
        [chair, 300, 100, 340, 200, 0],
    ]
    assert record.arrays["hha"].shape == (ROWS, COLUMNS, 3)
    assert np.unique(record.arrays["hha"][..., 0]).tolist() == [124]  # 310 / 2.5
    assert np.unique(record.arrays["hha"][..., 2]).tolist() == [STEPS_AT_0_DEGREES + 90]


def test_a_picture_without_objects_has_a_row_that_is_none(labeled):
    (record,) = nyud.train_objects(labeled)
    assert record.scene == "nyud:office_2"
    assert record.arrays["boxes"][..., 0].tolist() == [list(nyud.NOTHING)]


def test_files_that_are_not_nyuds_are_one_line(tmp_path, labeled):
    lacking = write_labeled(tmp_path / "a", names=NAMES[:-3])
    with pytest.raises(UnpairedError, match="'names' lacks television; toilet"):
        list(nyud.train_objects(lacking))
    holed = frames(2)
    holed["depths"][3, 4, 1] = 0
    folder = write_labeled(tmp_path / "b", holed)
    with pytest.raises(UnpairedError, match=r"1 bad pictures: .*picture 2: a depth map with holes"):
        list(nyud.train_objects(folder))
    (folder / nyud.LABELED).write_bytes((labeled / nyud.LABELED).read_bytes()[:1000])
    with pytest.raises(UnpairedError, match=r"labeled\.mat: damaged or cut short"):
        list(nyud.train_objects(folder))
    (folder / nyud.LABELED).unlink()
    with pytest.raises(UnpairedError, match=r"cannot read .*labeled.mat"):
        list(nyud.train_objects(folder))


def test_frames_are_read_one_by_one_as_matlab_shows_them(labeled):
    arrays = frames(2)
    with open_frames(labeled / nyud.LABELED) as file:
        assert file.count("depths") == 2
        assert np.array_equal(file.frame("labels", 0), arrays["labels"][..., 0])
        assert file.texts("scenes") == ["kitchen_1", "office_2"]
        with pytest.raises(UnpairedError, match="'depths' has 2 frames, and number 3"):
            file.frame("depths", 2)
        with pytest.raises(UnpairedError, match="holds no array 'rawDepths'"):
            file.frame("rawDepths", 0)
        with pytest.raises(UnpairedError, match="'names' is no array of numbers"):
            file.frame("names", 0)
        with pytest.raises(UnpairedError, match="'depths' is no list of texts"):
            file.texts("depths")


def write_keyframe(folder, scene: str, millimeters: np.ndarray, mode=np.uint16):
    for kind in ("rgb", "depth"):
        (folder / "keyframes" / scene / kind).mkdir(parents=True, exist_ok=True)
    picture = np.full((ROWS, COLUMNS, 3), 90, np.uint8)
    Image.fromarray(picture).save(folder / f"keyframes/{scene}/rgb/0007.png")
    Image.fromarray(millimeters.astype(mode)).save(folder / f"keyframes/{scene}/depth/0007.png")


def test_keyframes_are_pictures_and_millimeters(tmp_path):
    write_keyframe(tmp_path, "cafe_1", np.full(nyud.SHAPE, 3100))
    (record,) = nyud.keyframes(tmp_path)
    assert record.name == "cafe_1/0007"
    assert record.scene == "nyud:cafe_1"
    assert set(record.arrays) == {"image", "hha"}
    assert np.unique(record.arrays["hha"][..., 0]).tolist() == [100]


def test_bad_keyframes_are_one_line(tmp_path):
    with pytest.raises(UnpairedError, match="no frames <scene>/rgb"):
        list(nyud.keyframes(tmp_path))
    write_keyframe(tmp_path, "a", np.full(nyud.SHAPE, 200), np.uint8)
    write_keyframe(tmp_path, "b", np.zeros(nyud.SHAPE))
    write_keyframe(tmp_path, "c", np.full((20, 30), 2000))
    with pytest.raises(UnpairedError, match="3 bad frames") as caught:
        list(nyud.keyframes(tmp_path))
    for words in ("not a gray picture of 16 bits", "a depth map with holes", "depth of shape"):
        assert words in str(caught.value)
