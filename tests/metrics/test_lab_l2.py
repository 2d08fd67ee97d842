from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from unpaired.core.errors import UnpairedError
from unpaired.metrics.lab_l2 import lab_l2


def test_equals_the_formula_on_scikit_images_lab():
    rng = np.random.default_rng(0)
    pair = rng.random((2, 4, 9, 7, 3))
    labs = [rgb2lab(pictures) for pictures in pair]
    expected = 0.5 * np.mean((labs[0] / 100 - labs[1] / 100) ** 2, axis=(1, 2, 3))
    found = lab_l2(*(torch.from_numpy(pictures).movedim(-1, 1) for pictures in pair))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_black_and_white_and_gray():
    black = torch.zeros(1, 1, 4, 4)
    # Only L differs, by 100, and it is one of three channels.
    assert lab_l2(black, black + 1).item() == pytest.approx(1 / 6, rel=1e-4)
    assert lab_l2(black, black).item() == 0
    tripled = torch.rand(2, 1, 5, 5).repeat(1, 3, 1, 1)
    torch.testing.assert_close(
        lab_l2(tripled[:, :1], tripled[:, :1].flip(-1)), lab_l2(tripled, tripled.flip(-1))
    )


def test_the_range_is_checked():
    with pytest.raises(UnpairedError, match="divide by 255"):
        lab_l2(torch.full((1, 3, 4, 4), 200.0), torch.zeros(1, 3, 4, 4))
