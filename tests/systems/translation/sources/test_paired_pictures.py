"""The layout of the official sets, and what is wrong with a folder, told at once."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.datasets import open_reader
from unpaired.systems.translation.sources.paired_pictures import Layout, pairs

RNG = np.random.default_rng(0)


def write(path, height: int, width: int) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(picture).save(path)
    return picture


def test_halves_go_the_way_that_the_direction_says(tmp_path):
    both = write(tmp_path / "train/a.png", 4, 10)
    (left_first,) = pairs(tmp_path, Layout("train", "AtoB"))
    (right_first,) = pairs(tmp_path, Layout("train", "BtoA"))
    np.testing.assert_array_equal(left_first.arrays["input"], both[:, :5])
    np.testing.assert_array_equal(left_first.arrays["output"], both[:, 5:])
    np.testing.assert_array_equal(right_first.arrays["input"], both[:, 5:])


def test_halves_become_squares_by_bicubic_interpolation(tmp_path):
    both = write(tmp_path / "train/a.png", 6, 20)
    (record,) = pairs(tmp_path, Layout("train", "AtoB", 8))
    resized = Image.fromarray(both[:, :10]).resize((8, 8), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(record.arrays["input"], np.asarray(resized))


def test_all_bad_files_are_told_at_once(tmp_path):
    for number in range(3):
        write(tmp_path / f"train/{number}.png", 4, 8)
    write(tmp_path / "train/half.png", 4, 4)
    write(tmp_path / "train/wide.png", 4, 12)
    (tmp_path / "train/text.png").write_text("no picture")
    with pytest.raises(UnpairedError, match="3 bad files") as caught:
        pairs(tmp_path, Layout("train", "AtoB")).count()
    told = str(caught.value)
    assert "half.png (4x4): one half is missing; most are 8x4" in told
    assert "wide.png (12x4): another size than most, 8x4" in told
    assert "text.png" in told


def test_odd_widths_are_told(tmp_path):
    write(tmp_path / "train/a.png", 4, 9)
    with pytest.raises(UnpairedError, match=r"a.png \(9x4\): an odd width has no two halves"):
        pairs(tmp_path, Layout("train", "AtoB")).count()


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(UnpairedError, match="no such folder; pictures of a left and a right half"):
        pairs(tmp_path, Layout("train", "AtoB"))
    with pytest.raises(UnpairedError, match="no direction 'BtoB'"):
        Layout("train", "BtoB")


@pytest.mark.parametrize(
    ("name", "side", "is_left_input"),
    [
        ("facades_train", 286, False),
        ("facades_val", 256, False),
        ("maps_train", 600, False),
        ("maps_val", 256, False),
        ("edges2shoes_train", 256, True),
        ("edges2handbags_val", 256, True),
        ("night2day_train", 286, True),
    ],
)
def test_official_sets_have_their_sizes_and_directions(tmp_path, name, side, is_left_input):
    picture = np.zeros((300, 600, 3), np.uint8)
    picture[:, :300] = 255
    path = tmp_path / name.rpartition("_")[2] / "1.jpg"
    path.parent.mkdir(parents=True)
    Image.fromarray(picture).save(path)
    (record,) = open_reader(catalog.datasets()[name])(tmp_path)
    assert record.arrays["input"].shape == record.arrays["output"].shape == (side, side, 3)
    assert (record.arrays["input"].mean() > 127) == is_left_input
