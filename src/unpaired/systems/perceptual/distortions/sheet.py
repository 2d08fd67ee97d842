"""One sheet of all distortions: every row one of them, at growing severity, on two patches.

Run by hand, with ``OUTPUT.png [NETWORK.safetensors ...]`` behind
``python -m unpaired.systems.perceptual.distortions.sheet``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from unpaired.core.errors import UnpairedError, exit_with
from unpaired.core.files import save_figure
from unpaired.core.randomness import numpy_generator
from unpaired.data.sources import embedded
from unpaired.systems.perceptual.distortions.formulas import DISTORTIONS, Distortion
from unpaired.systems.perceptual.distortions.networks import NetworkDistortion, load

SEVERITIES = (0.2, 0.5, 1.0)
# Photograph, top and left of the patches: one with edges and colors, one with texture.
PATCHES = (("motorcycle_left", 190, 300), ("china", 270, 330))
PATCH_PX = 64
PANEL_INCHES = 0.8
COLUMNS = 2  # of rows, side by side


def draw_distortions(output: Path, networks: Sequence[NetworkDistortion] = ()) -> None:
    """Write a PNG with the twenty traditional distortions and, if given, the networks' outputs."""
    patches = [_patch(*place) for place in PATCHES]
    rows = [_traditional_row(distortion, patches) for distortion in DISTORTIONS.values()]
    titles = [f"{d.name}\n{d.family}; at 1: {d.at_most}" for d in DISTORTIONS.values()]
    rows += [_network_row(network, patches) for network in networks]
    configs = [network.method.config for network in networks]
    titles += [f"network of {c.layers} layers\ninput: {c.corruption}" for c in configs]
    lines = -(-len(rows) // COLUMNS)
    panels = len(rows[0])
    size = COLUMNS * (panels + 2.6) * PANEL_INCHES, lines * PANEL_INCHES * 1.08 + 0.4
    figure = Figure(size)
    axes = figure.subplots(lines, COLUMNS, squeeze=False)
    figure.subplots_adjust(0.13, 0.01, 0.995, 0.98, wspace=0.32, hspace=0.06)
    for axis in axes.ravel():
        axis.set(xticks=[], yticks=[], frame_on=False)
    for axis, row, title in zip(axes.T.ravel(), rows, titles, strict=False):
        axis.imshow(_side_by_side(row), interpolation="nearest")
        axis.set_ylabel(title, rotation=0, fontsize=7, ha="right", va="center")
    legend = ", ".join(f"{severity:g}" for severity in SEVERITIES)
    for axis in axes[0]:
        axis.set_title(f"two patches: as they are, then at severity {legend}", fontsize=7, pad=3)
    save_figure(figure, output, dpi=150)


def _patch(name: str, top: int, left: int) -> np.ndarray:
    photographs = {record.name: record.arrays["image"] for record in embedded.train_records(None)}
    return photographs[name][top : top + PATCH_PX, left : left + PATCH_PX] / np.float32(255)


def _traditional_row(distortion: Distortion, patches: list[np.ndarray]) -> list[np.ndarray]:
    row = []
    for number, patch in enumerate(patches):
        row.append(patch)
        for severity in SEVERITIES:
            rng = numpy_generator("sheet", distortion.name, number)
            row.append(distortion.apply(patch, severity, rng))
    return row


def _network_row(network: NetworkDistortion, patches: list[np.ndarray]) -> list[np.ndarray]:
    """Networks have no severity: what differs is the noise that goes in."""
    row = []
    for number, patch in enumerate(patches):
        rngs = [numpy_generator("sheet", network.name, number, k) for k in range(len(SEVERITIES))]
        row += [patch, *(network.apply(patch, rng) for rng in rngs)]
    return row


def _side_by_side(row: list[np.ndarray]) -> np.ndarray:
    gap = np.ones((PATCH_PX, 2, 3), np.float32)
    return np.concatenate([part for panel in row for part in (panel, gap)][:-1], 1)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("networks", type=Path, nargs="*")
    arguments = parser.parse_args()
    try:
        draw_distortions(arguments.output, [load(path) for path in arguments.networks])
    except UnpairedError as error:
        exit_with(error)


if __name__ == "__main__":
    _main()
