"""Drawings: accuracy by layer (Figures 5.3 and 5.4), filters of conv1, nearest neighbors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from unpaired.core.files import save_figure
from unpaired.data.packs import Pack
from unpaired.imaging.pixels import center_crop
from unpaired.networks.alexnet_caffe import LAYERS
from unpaired.pipeline.tables.lines import Line
from unpaired.systems.features.methods.encoder import CHANNELS, LabEncoder

DPI = 150
QUERIES, NEIGHBORS = 6, 5
LAYER_OF_NEIGHBORS = "conv5"
COMPARED = 500  # pictures among which neighbors are looked for
BATCH = 100
GRAY = 0.5
SEEN = {"l": "lightness", "ab": "a, b", "lab": "L, a, b"}


def draw_layers(output: Path, lines: Iterable[Line], testset: str) -> None:
    """Write a PNG: a line over conv1 .. conv5 for every row that has values on a test set."""
    rows: dict[str, dict[str, float]] = {}
    for line in lines:
        if line.dataset == testset and line.value is not None:
            rows.setdefault(line.method, {})[line.metric] = line.value
    figure = Figure((7, 4), layout="constrained")
    axis = figure.subplots()
    for number, (name, values) in enumerate(rows.items()):
        style = ("-", "--", ":")[number // 10]
        axis.plot(LAYERS, [values[f"top1_{layer}"] for layer in LAYERS], style, label=name)
    axis.set_ylabel("top-1 accuracy (%)")
    axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    save_figure(figure, output, DPI)


def draw_filters(output: Path, encoder: LabEncoder) -> None:
    """Write a PNG of all filters of conv1; each channel of Lab that is seen is a plane.

    A filter's planes of lightness are gray; those of color are shown as a and b side by side, red
    where positive. Every filter is scaled by its own largest weight; the first of a network is
    named after what it sees.
    """
    panels = [
        (filter_picture(weights, what), SEEN[what] if number == 0 else "")
        for what, network in zip(encoder.seen, encoder.networks, strict=True)
        for number, weights in enumerate(network.convolutions[0].weight.detach().cpu())
    ]
    columns = 12
    rows = -(-len(panels) // columns)
    figure = Figure((columns * 0.6, rows * 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (panel, title) in zip(axes, panels, strict=False):
        axis.imshow(panel, interpolation="nearest")
        axis.set_title(title, fontsize=7)
    save_figure(figure, output, DPI)


def filter_picture(weights: Tensor, what: str) -> np.ndarray:
    """Return a filter, C x K x K, as planes side by side: K x C K x 3 in [0, 1]."""
    scaled = weights / weights.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    names = ("l", "a", "b")[CHANNELS[what]]
    planes = [
        _gray(plane) if name == "l" else _red_and_blue(plane)
        for name, plane in zip(names, scaled, strict=True)
    ]
    return torch.cat(planes, dim=1).numpy()


def _gray(plane: Tensor) -> Tensor:
    return (GRAY + GRAY * plane)[..., None].expand(-1, -1, 3)


def _red_and_blue(plane: Tensor) -> Tensor:
    """White for 0, red for 1, blue for -1."""
    white = 1 - plane.abs()
    return torch.stack([white + plane.clamp(min=0), white, white - plane.clamp(max=0)], dim=-1)


def draw_neighbors(output: Path, encoder: LabEncoder, pack: Pack) -> None:
    """Write a PNG: test pictures, each with those whose features of conv5 are the nearest."""
    count = min(COMPARED, len(pack))
    pictures = [pack.read_unit(index) for index in range(count)]
    side = min(min(picture.shape[:2]) for picture in pictures)
    square = [np.ascontiguousarray(center_crop(picture, side)) for picture in pictures]
    features = features_of(encoder, square, LAYER_OF_NEIGHBORS)
    found = nearest(features, range(min(QUERIES, count)), min(NEIGHBORS, count - 1))
    size = ((NEIGHBORS + 1) * 0.8, len(found) * 0.8)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(len(found), found.shape[1], squeeze=False)
    for own, numbers in zip(axes, found, strict=True):
        for axis, number in zip(own, numbers, strict=True):
            axis.imshow(square[number], interpolation="nearest")
            axis.set_axis_off()
    axes[0, 0].set_title("picture", fontsize=7)
    if found.shape[1] > 1:
        axes[0, 1].set_title("nearest", fontsize=7)
    save_figure(figure, output, DPI)


def features_of(encoder: Any, pictures: Sequence[np.ndarray], layer: str) -> Tensor:
    """Return the features of pictures of one size, H x W x 3 in [0, 1], of a layer: N x D."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            batch = torch.from_numpy(np.stack(pictures[start : start + BATCH]))
            found.append(encoder.features(batch.permute(0, 3, 1, 2))[layer].flatten(1))
    return torch.cat(found)


def nearest(features: Tensor, queries: Iterable[int], count: int) -> np.ndarray:
    """Return for every query itself and the ``count`` rows of the most similar direction."""
    directions = functional.normalize(features, dim=1)
    rows = []
    for query in queries:
        similar = directions @ directions[query]
        similar[query] = torch.inf
        rows.append(similar.argsort(descending=True, stable=True)[: count + 1].numpy())
    return np.stack(rows)
