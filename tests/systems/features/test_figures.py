"""Figures: what stands in them, and that they are written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.systems.features.things import TINY, things_pack
from unpaired.learning.create import create
from unpaired.networks.alexnet_caffe import LAYERS
from unpaired.pipeline.tables.lines import Line
from unpaired.systems.features.figures import (
    draw_filters,
    draw_layers,
    draw_neighbors,
    filter_picture,
    nearest,
)


def test_the_nearest_are_those_of_the_most_similar_direction():
    features = torch.tensor([[1.0, 0.0], [0.0, 5.0], [10.0, 1.0], [0.2, 0.2]])
    assert nearest(features, [0, 1], 2).tolist() == [[0, 2, 3], [1, 3, 2]]


def test_filters_of_lightness_are_gray_and_those_of_color_red_or_blue():
    weights = torch.tensor([[[1.0]], [[2.0]], [[-1.0]]])
    planes = filter_picture(weights, "lab")
    np.testing.assert_allclose(planes, [[[0.75] * 3, [1, 0, 0], [0.5, 0.5, 1]]])
    assert filter_picture(weights[1:], "ab").shape == (1, 2, 3)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return create("cross_channel", **TINY).eval()


def test_figures_are_written(encoder, tmp_path):
    lines = [
        Line(15, "", row, "things", f"top1_{layer}", value=50.0)
        for row in ("gaussian", "split_brain_cl")
        for layer in LAYERS
    ]
    draw_layers(tmp_path / "layers.png", lines, "things")
    draw_filters(tmp_path / "filters.png", encoder)
    draw_neighbors(
        tmp_path / "neighbors.png", encoder, things_pack(tmp_path / "things.h5", range(8))
    )
    for name in ("layers", "filters", "neighbors"):
        assert len(np.unique(np.asarray(Image.open(tmp_path / f"{name}.png")))) > 20
