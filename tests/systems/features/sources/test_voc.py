"""VOC in its official layout, and drawn scenes in its place."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.systems.features.sources import drawn_scenes, voc

ANNOTATION = """<annotation><object><name>dog</name><difficult>{difficult}</difficult>
<bndbox><xmin>3</xmin><ymin>5</ymin><xmax>20</xmax><ymax>11</ymax></bndbox></object></annotation>"""


@pytest.fixture
def kit(tmp_path):
    for name in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "ImageSets/Segmentation").mkdir()
    for number, name in enumerate(("000005", "000012")):
        Image.new("RGB", (30, 20), (90 * number, 50, 10)).save(tmp_path / f"JPEGImages/{name}.jpg")
        (tmp_path / f"Annotations/{name}.xml").write_text(ANNOTATION.format(difficult=number))
        labels = Image.fromarray(np.full((20, 30), 12 + number, np.uint8), "P")
        labels.putpalette(list(range(256)) * 3)
        labels.save(tmp_path / f"SegmentationClass/{name}.png")
    (tmp_path / "ImageSets/Main/test.txt").write_text("000012\n000005\n")
    (tmp_path / "ImageSets/Segmentation/val.txt").write_text("000005\n")
    return tmp_path


def test_objects_are_read_with_their_boxes_from_the_first_pixel_on(kit):
    first, second = voc.test_objects(kit)
    assert (first.name, second.name) == ("000012", "000005")
    dog = voc.CLASSES.index("dog")
    assert first.arrays["boxes"][..., 0].tolist() == [[dog, 2, 4, 20, 11, 1]]
    assert second.arrays["boxes"][..., 0].tolist() == [[dog, 2, 4, 20, 11, 0]]
    assert "labels" not in first.arrays


def test_maps_hold_class_numbers_and_not_colors(kit):
    (only,) = voc.validation_segments(kit)
    assert np.unique(only.arrays["labels"]).tolist() == [12]
    assert only.arrays["labels"].shape == (20, 30, 1)
    assert "boxes" not in only.arrays


def test_all_bad_files_are_told_at_once(kit):
    (kit / "Annotations/000005.xml").write_text("<annotation>")
    (kit / "Annotations/000012.xml").write_text(ANNOTATION.replace("dog", "unicorn"))
    with pytest.raises(UnpairedError, match=r"2 bad pictures.*000012.*000005"):
        list(voc.test_objects(kit))


def test_a_map_without_a_palette_and_a_missing_list_are_one_line(kit):
    Image.new("RGB", (30, 20)).save(kit / "SegmentationClass/000005.png")
    with pytest.raises(UnpairedError, match="with a palette"):
        list(voc.validation_segments(kit))
    with pytest.raises(UnpairedError, match=r"train\.txt"):
        list(voc.train_segments(kit))


def test_scenes_say_the_same_in_boxes_and_maps():
    for index in range(30):
        scene = drawn_scenes.draw_scene("test", index)
        assert 1 <= len(scene.boxes) <= 3
        classes = {int(box[0]) + 1 for box in scene.boxes}
        assert set(np.unique(scene.labels).tolist()) - {0} == classes
        for label, left, top, right, bottom, difficult in scene.boxes.astype(int):
            inside = scene.labels[top:bottom, left:right] == label + 1
            assert difficult == 0
            assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_the_two_readers_show_the_same_scenes():
    readers = (drawn_scenes.test_objects, drawn_scenes.test_segments)
    pairs = zip(*(itertools.islice(reader(None), 5) for reader in readers), strict=True)
    for objects, segments in pairs:
        assert np.array_equal(objects.arrays["image"], segments.arrays["image"])
        assert set(objects.arrays) == {"image", "boxes"}
        assert set(segments.arrays) == {"image", "labels"}
