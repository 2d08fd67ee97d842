"""Drawings: scores against the channel's quality as in Figure 4 of CommIN, pictures as Figure 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.special import stdtrit

from unpaired.core.files import save_figure
from unpaired.imaging.pixels import to_uint8
from unpaired.systems.transmission.scoring import Sent

DPI = 150
EXAMPLES = 6
PANEL_INCHES = 0.85
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Point:
    """A row at one SNR: a number for each picture, as far as there is one."""

    row: str
    snr_db: float
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def half_interval(self) -> float:
        """Half of Student's 95 % interval over pictures; 0 for a single one."""
        count = len(self.values)
        if count < 2:
            return 0.0
        spread = float(np.std(self.values, ddof=1))
        return float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2)) * spread / count**0.5


def draw_curves(output: Path, points: Sequence[Point], title: str) -> None:
    """Write a PNG: a line for every row that has a value, with intervals over pictures."""
    figure = Figure((4.6, 3.4), layout="constrained")
    axis = figure.subplots()
    rows = dict.fromkeys(point.row for point in points if point.values)
    for number, row in enumerate(rows):
        own = sorted(
            (point for point in points if point.row == row and point.values),
            key=lambda point: point.snr_db,
        )
        axis.errorbar(
            [point.snr_db for point in own],
            [point.mean for point in own],
            yerr=[point.half_interval for point in own],
            marker="o",
            markersize=3,
            capsize=2,
            linewidth=1,
            linestyle="--" if number % 2 else "-",  # Shows both of two that coincide.
            label=row,
        )
    axis.set_xlabel("SNR of the channel (dB)")
    axis.set_ylabel(title)
    axis.grid(alpha=0.3)
    if rows:
        axis.legend(fontsize=6)
    save_figure(figure, output, DPI)


def draw_examples(output: Path, rows: Mapping[str, Sequence[Sent]], snr_db: float) -> None:
    """Write a PNG: a column for each picture, what was sent, and a row for every product."""
    first = next(iter(rows.values()))
    size = ((len(first) + 2) * PANEL_INCHES, (len(rows) + 1.4) * PANEL_INCHES)
    figure = Figure(size, layout="constrained")
    figure.suptitle(f"SNR {snr_db:g} dB", fontsize=8)
    axes = figure.subplots(len(rows) + 1, len(first), squeeze=False)
    for axis, one in zip(axes[0], first, strict=True):
        axis.imshow(to_uint8(one.truth), interpolation="nearest")
    axes[0][0].set_ylabel("sent", rotation=0, ha="right", va="center", fontsize=7)
    for own, (row, sent) in zip(axes[1:], rows.items(), strict=True):
        for axis, one in zip(own, sent, strict=True):
            if one.came:
                axis.imshow(to_uint8(one.picture), interpolation="nearest")
            else:
                axis.text(0.5, 0.5, "no\npicture", ha="center", va="center", fontsize=6)
        own[0].set_ylabel(row, rotation=0, ha="right", va="center", fontsize=7)
    for axis in axes.ravel():
        axis.set(xticks=[], yticks=[], frame_on=False)
    save_figure(figure, output, DPI)
