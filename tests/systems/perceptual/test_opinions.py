from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.data.packs import Record
from unpaired.systems.perceptual.opinions import SIDES_PX, correlations_by_size, resize, spearman


def test_spearman_is_the_correlation_of_ranks_with_its_sign_turned():
    rng = numpy_generator("spearman")
    distances, opinions = rng.uniform(size=50), rng.integers(0, 9, 50)
    expected = -np.corrcoef(rankdata(distances), rankdata(opinions))[0, 1]
    assert spearman(distances, opinions) == pytest.approx(expected)
    assert spearman(np.exp(distances), opinions) == pytest.approx(expected)
    assert spearman(np.array([1.0, 2, 7]), np.array([9.0, 8, 1])) == pytest.approx(1)


@pytest.mark.parametrize("distances", [[1.0, 1, 1], [1.0, np.nan, 2]])
def test_what_has_no_ranks(distances):
    with pytest.raises(UnpairedError, match="constant or not finite"):
        spearman(np.array(distances), np.array([1.0, 2, 3]))


def test_smaller_sides_and_whole_pictures():
    picture = numpy_generator(0).integers(0, 256, (384, 512, 3), np.uint8)
    assert [resize(picture, side).shape for side in SIDES_PX] == [
        (128, 171, 3),
        (192, 256, 3),
        (256, 341, 3),
        (384, 512, 3),
        (512, 683, 3),
    ]
    assert np.array_equal(resize(picture, 384), picture)
    means = [resize(picture, side).mean() for side in SIDES_PX]
    assert means == pytest.approx(np.full(5, picture.mean()), abs=1)


def test_the_mean_is_over_distances():
    """Four records whose distances are told by side, so that both sizes err in one place."""
    table = {64: [1.0, 2.0, 4.0, 3.0], 128: [2.0, 1.5, 30.0, 40.0]}
    reference = np.zeros((64, 64, 3), np.uint8)
    records = [
        Record(
            str(index),
            {
                "reference": reference,
                "distorted": np.full_like(reference, index),
                "mos": np.full((1, 1, 1), 8 - index, np.float32),
            },
            "s",
        )
        for index in range(4)
    ]

    def distance(reference: np.ndarray, distorted: np.ndarray) -> float:
        return table[len(reference)][int(distorted[0, 0, 0])]

    found = correlations_by_size(records, distance, (64, 128))
    assert found == pytest.approx({"64": 0.8, "128": 0.8, "mean": 1.0})
