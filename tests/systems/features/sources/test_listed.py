"""ImageNet and Places205 in their official layouts, made of small pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.systems.features.sources import imagenet_labeled, places205


def write(path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30, 3), value, np.uint8)).save(path)


@pytest.fixture
def imagenet(tmp_path):
    for number, name in enumerate(("n02/n02_1.JPEG", "n01/n01_7.JPEG", "n01/n01_2.JPEG")):
        write(tmp_path / "val" / name, 50 * number)
    return tmp_path / "val"


def test_a_class_of_imagenet_is_numbered_by_its_folder(imagenet):
    found = imagenet_labeled.records(imagenet)
    assert found.count() == 3
    labels = {one.name: int(one.arrays["label"].item()) for one in found}
    assert labels == {"n01/n01_2": 0, "n01/n01_7": 0, "n02/n02_1": 1}
    shapes = {one.arrays["image"].shape for one in found}
    assert shapes == {(256, 256, 3)}


def test_pictures_in_no_class_are_one_line(imagenet):
    write(imagenet / "ILSVRC2012_val_00000001.JPEG", 0)
    with pytest.raises(UnpairedError, match="in no class folder"):
        imagenet_labeled.records(imagenet)


def test_two_suffixes_of_one_name_are_one_line(imagenet):
    write(imagenet / "n01/n01_2.png", 0)
    with pytest.raises(UnpairedError, match="another suffix"):
        imagenet_labeled.records(imagenet)


@pytest.fixture
def places(tmp_path):
    for number, name in enumerate(("a/abbey/gsun_1.jpg", "a/airport/gsun_2.jpg")):
        write(tmp_path / "images256" / name, 100 * number)
    lists = tmp_path / "trainvalsplit_places205"
    lists.mkdir()
    (lists / "train_places205.csv").write_text("a/abbey/gsun_1.jpg 0\n")
    (lists / "val_places205.csv").write_text("a/airport/gsun_2.jpg 1\n")
    return tmp_path / "images256"


def test_the_lists_of_places_say_what_belongs_to_a_split(places):
    (train,), (validation,) = places205.train_records(places), places205.validation_records(places)
    assert (train.name, int(train.arrays["label"].item())) == ("a/abbey/gsun_1", 0)
    assert (validation.name, int(validation.arrays["label"].item())) == ("a/airport/gsun_2", 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a/abbey/gsun_1.jpg\n", "line 1 is no path and class"),
        ("a/abbey/gsun_1.jpg zero\n", "line 1 is no path and class"),
        ("", "no pictures in it"),
        ("a/abbey/gsun_9.jpg 0\n", "1 pictures of .* are missing"),
    ],
)
def test_other_lists_are_one_line(places, text, told):
    (places.parent / "trainvalsplit_places205/train_places205.csv").write_text(text)
    with pytest.raises(UnpairedError, match=told):
        places205.train_records(places)


def test_a_missing_list_is_one_line(places):
    (places.parent / "trainvalsplit_places205/val_places205.csv").unlink()
    with pytest.raises(UnpairedError, match=r"val_places205\.csv"):
        places205.validation_records(places)
