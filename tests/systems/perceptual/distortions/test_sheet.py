from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from unpaired.learning.create import create
from unpaired.systems.perceptual.distortions.networks import NetworkDistortion
from unpaired.systems.perceptual.distortions.sheet import draw_distortions


@pytest.mark.parametrize("count", [0, 3])
def test_a_sheet_with_a_row_for_every_distortion(tmp_path, count):
    torch.manual_seed(0)
    method = create("distorting_autoencoder", layers=2, first_channels=8).eval()
    networks = [NetworkDistortion(f"network {number}", method) for number in range(count)]
    draw_distortions(tmp_path / "sheet.png", networks)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        pixels = np.asarray(sheet.convert("RGB"))
    # Rows of panels are told apart by the white between them, right of the labels.
    inked = (pixels[:, -200:] < 250).any((1, 2))
    starts = np.flatnonzero(np.diff(inked.astype(int)) == 1)
    assert len(starts) == 10 + (count + 1) // 2 - count % 2
