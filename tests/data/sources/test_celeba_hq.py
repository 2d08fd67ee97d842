"""CelebA-HQ whole: its layout, its sizes, and what is wrong with a folder."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.data.sources.celeba_hq import ATTRIBUTES, PICTURES, portraits


@pytest.fixture
def folder(tmp_path):
    (tmp_path / PICTURES).mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = np.repeat(np.repeat(rng.integers(0, 256, (8, 8, 3)), 4, 0), 4, 1).astype(np.uint8)
        path = tmp_path / PICTURES / f"{number}.jpg"
        Image.fromarray(pixels).save(path, quality=100, subsampling=0)
    rows = "".join(f"{number}.jpg  1 -1\n" for number in range(3))
    (tmp_path / ATTRIBUTES).write_text(f"3\nSmiling Young\n{rows}")
    return tmp_path


def test_pictures_are_reduced_by_means_and_have_their_attributes(folder):
    records = list(portraits(folder, range(3), 8))
    assert [record.name for record in records] == ["00000", "00001", "00002"]
    assert records[0].scene == "celeba_hq:0"
    with Image.open(folder / PICTURES / "1.jpg") as picture:
        whole = np.asarray(picture).astype(float)
    expected = whole.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(records[1].arrays["image"], expected, atol=0.5001)
    assert records[1].arrays["attributes"].tolist() == [[[1, 0]]]


def test_what_is_missing_or_wrong_is_told_together(folder):
    with pytest.raises(UnpairedError, match=r"3\.jpg: missing"):
        portraits(folder, range(4), 8).count()
    Image.new("L", (32, 32)).save(folder / PICTURES / "0.jpg")
    Image.new("RGB", (32, 16)).save(folder / PICTURES / "1.jpg")
    with pytest.raises(UnpairedError, match="2 bad files") as told:
        list(portraits(folder, range(3), 8))
    assert "RGB of 8 bits is needed" in str(told.value)
    assert "a square is needed, not 32x16" in str(told.value)
    with pytest.raises(UnpairedError, match="cannot be reduced to 5"):
        list(portraits(folder, range(2, 3), 5))
