from __future__ import annotations

import numpy as np
import torch

from unpaired.imaging.color import recoloring
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.imaging.color.recoloring import as_batch, enlarged, recolored, shrunk, shrunk_size


def picture(height=10, width=14):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_its_own_colors_give_a_picture_back():
    rgb = as_batch(picture())
    assert torch.allclose(recolored(rgb, rgb_to_lab(rgb)[:, 1:]), rgb, atol=2e-4)


def test_strips_are_the_whole(monkeypatch):
    rgb = as_batch(picture())
    ab = 30 * torch.randn(1, 2, 10, 14, generator=torch.Generator().manual_seed(0))
    whole = recolored(rgb, ab)
    monkeypatch.setattr(recoloring, "PIXELS_AT_ONCE", 3 * 14)
    assert torch.allclose(recolored(rgb, ab), whole, atol=1e-6)


def test_lightness_stays_where_colors_are_beyond_srgb():
    rgb = as_batch(picture())
    colored = recolored(rgb, torch.full((1, 2, 10, 14), 90.0))
    assert torch.allclose(rgb_to_lab(colored)[:, :1], rgb_to_lab(rgb)[:, :1], atol=0.05)


def test_shrunk_keeps_the_aspect_and_never_enlarges():
    rgb = as_batch(picture(20, 30))
    assert shrunk(rgb, 10).shape == (1, 3, 10, 15)
    assert shrunk(rgb, None) is rgb
    assert shrunk(rgb, 20) is rgb
    assert shrunk_size((20, 30), 40) == (20, 30)
    assert enlarged(torch.ones(1, 2, 5, 5), (20, 30)).shape == (1, 2, 20, 30)
