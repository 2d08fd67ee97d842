from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.systems.perceptual.opinions import correlations_by_size
from unpaired.systems.perceptual.sources.tid2013 import TID2013

NAMES = [f"I01_{kind:02d}_{level}" for kind, level in itertools.product(range(1, 25), range(1, 6))]


def picture(value: int) -> Image.Image:
    return Image.fromarray(np.full((384, 512, 3), value, np.uint8))


@pytest.fixture
def place(tmp_path) -> Path:
    """One photograph with all its distortions; names are of both cases, as in the archive."""
    for folder in ("reference_images", "distorted_images"):
        (tmp_path / folder).mkdir()
    picture(100).save(tmp_path / "reference_images" / "I01.BMP")
    lines = []
    for number, name in enumerate(NAMES):
        suffix = f"{name.lower() if number % 2 else name}.bmp"
        picture(101 + number).save(tmp_path / "distorted_images" / suffix)
        lines.append(f"{8 - 0.05 * number:.5f} {name if number % 3 else name.lower()}.bmp")
    (tmp_path / "mos_with_names.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_pairs_and_their_scores(place):
    source = TID2013(place, photographs=1)
    records = list(source)
    assert source.count() == len(records) == 120
    for number, record in enumerate(records):
        assert record.name == NAMES[number].lower()
        assert record.scene == "tid2013:01"
        assert record.arrays["reference"].shape == (384, 512, 3)
        assert np.all(record.arrays["reference"] == 100)
        assert np.all(record.arrays["distorted"] == 101 + number)
        assert record.arrays["mos"].item() == pytest.approx(8 - 0.05 * number, abs=1e-5)


def test_a_distance_that_orders_as_the_scores_do(place):
    def distance(reference: np.ndarray, distorted: np.ndarray) -> float:
        return float(np.mean((reference.astype(float) - distorted) ** 2))

    records = [record.arrays for record in TID2013(place, photographs=1)][::10]
    pairs = [(r["reference"], r["distorted"], r["mos"].item()) for r in records]
    found = correlations_by_size(pairs, distance, (128, 384))
    assert found == pytest.approx({"128": 1.0, "384": 1.0, "mean": 1.0})


def test_everything_missing_or_bad_is_named_at_once(place):
    (place / "distorted_images" / "I01_01_1.bmp").unlink()
    cut = place / "distorted_images" / "i01_01_2.bmp"
    cut.write_bytes(cut.read_bytes()[:1000])
    Image.new("RGB", (10, 10)).save(place / "distorted_images" / "I01_01_3.bmp")
    scores = place / "mos_with_names.txt"
    lines = scores.read_text().splitlines()
    scores.write_text("\n".join([*lines[:4], "what?", f"12.0 {NAMES[5]}.bmp", *lines[6:]]))
    with pytest.raises(UnpairedError) as caught:
        list(TID2013(place, photographs=1))
    message = str(caught.value)
    for expected in (
        "i01_01_1.bmp: missing",
        "i01_01_2.bmp: not a whole BMP picture",
        "I01_01_3.bmp: 10 x 10 pixels, not 512 x 384",
        "line 5 is not 'score name.bmp'",
        "line 6 has a score of 12.0, above 9",
        "no score of i01_01_5",
    ):
        assert expected in message
    assert "\n" not in message


def test_a_whole_set_has_25_photographs(place):
    with pytest.raises(UnpairedError) as caught:
        TID2013(place).count()
    assert "I25.BMP: missing" in str(caught.value)
    assert str(caught.value).count("no score of") == 24 * 120


def test_nothing_there(tmp_path):
    with pytest.raises(UnpairedError, match="bad files: cannot read") as caught:
        list(TID2013(tmp_path, photographs=1))
    assert str(caught.value).count("cannot read") == 3
