from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unpaired.core.errors import UnpairedError
from unpaired.imaging.bayer import PATTERNS, pack, unpack

even = st.integers(1, 6).map(lambda half: 2 * half)
mosaics = hnp.arrays(np.uint32, st.tuples(even, even)).map(lambda bits: bits.view(np.float32))


def colored_mosaic(pattern: str, height: int = 4, width: int = 6) -> np.ndarray:
    """Write down the colors pixel by pixel: R 1, G 2 beside a red, G 3 beside a blue, B 4."""
    mosaic = np.zeros((height, width))
    for row, column in np.ndindex(height, width):
        letter = pattern[2 * (row % 2) + column % 2]
        beside = pattern[2 * (row % 2) + 1 - column % 2]
        mosaic[row, column] = {"R": 1, "B": 4, "G": 2 if beside == "R" else 3}[letter]
    return mosaic


@given(mosaics, st.sampled_from(PATTERNS))
def test_unpacking_undoes_packing_bit_for_bit(mosaic, pattern):
    planes = pack(mosaic, pattern)
    assert planes.shape == (mosaic.shape[0] // 2, mosaic.shape[1] // 2, 4)
    assert unpack(planes, pattern).tobytes() == mosaic.tobytes()


def test_large_and_transposed_mosaics_too():
    mosaic = np.random.default_rng(0).random((600, 514)).T
    assert np.array_equal(pack(mosaic, "GRBG")[..., 0], mosaic[0::2, 1::2])
    assert np.array_equal(unpack(pack(mosaic, "GRBG"), "GRBG"), mosaic)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_plane_means_the_same_for_every_pattern(pattern):
    planes = pack(colored_mosaic(pattern), pattern)
    assert np.array_equal(planes, np.broadcast_to([1, 2, 3, 4], (2, 3, 4)))


@pytest.mark.parametrize(
    ("pattern", "transposed"),
    [("BGGR", "BGGR"), ("RGGB", "RGGB"), ("GRBG", "GBRG"), ("GBRG", "GRBG")],
)
def test_a_transpose_changes_the_pattern_or_exchanges_the_greens(pattern, transposed):
    mosaic = np.arange(24.0).reshape(4, 6)
    turned = pack(mosaic.T, transposed).transpose(1, 0, 2)
    assert np.array_equal(turned[..., [0, 2, 1, 3]], pack(mosaic, pattern))


@pytest.mark.parametrize("shape", [(3, 4), (4, 5), (1, 1)])
def test_odd_sizes_are_refused(shape):
    with pytest.raises(UnpairedError, match=rf"mosaic of {shape[0]}x{shape[1]} .* odd side; crop"):
        pack(np.zeros(shape), "RGGB")
