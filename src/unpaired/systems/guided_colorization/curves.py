"""PSNR against the number of revealed points, as Figure 3.6 of Zhang 2018."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unpaired.core.files import save_figure
from unpaired.pipeline.tables.measuring import interval

DPI = 150
TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
ALL_AT = 2000  # Where "all colors" stand on the axis.
STYLES = {"random": "-", "max_error": "--"}
TITLES = {"random": "random points", "max_error": "points of largest error"}
NOT_POINTS = {
    "nothing": "automatic",
    "histogram": "histogram",
    "saturation": "saturation",
    "both": "histogram and saturation",
}


@dataclass(frozen=True)
class Level:
    """What a row reaches when it is told something: PSNR in dB, with its 95 % interval.

    told: as a condition's values say. points: the mean number that pictures got.
    """

    row: str
    told: str
    points: float
    mean_db: float
    low_db: float
    high_db: float


def level(row: str, told: str, scores: Sequence[pd.DataFrame]) -> Level:
    """Return the mean over pictures of score files, one per seed; seeds are averaged first."""
    whole = pd.concat(scores)[["image", "psnr_db", "points"]]
    numbers = whole.astype({"psnr_db": float, "points": float})
    per_picture = numbers.groupby("image", sort=False).mean()
    decibels = per_picture["psnr_db"]
    mean = float(decibels.mean())
    low, high = interval(mean, float(decibels.std()), len(decibels))
    return Level(row, told, float(per_picture["points"].mean()), mean, float(low), float(high))


def draw_curves(output: Path, levels: Sequence[Level]) -> None:
    """Write a PNG: a line for each row and kind of points, with intervals over pictures.

    What is told no points is a level line. Rows that are told all colors have a mark at the right
    end, unless they copy them, which makes an infinite PSNR.
    """
    figure = Figure((6.4, 4.0), layout="constrained")
    axis = figure.subplots()
    shown = [one for one in levels if np.isfinite(one.mean_db)]
    rows = list(dict.fromkeys(one.row for one in shown))
    colors = {row: f"C{number % 10}" for number, row in enumerate(rows)}
    guided = {one.row for one in shown if one.told in STYLES}
    for row in rows:
        own = [one for one in shown if one.row == row]
        if row in guided:
            _draw_guided(axis, row, own, colors[row])
        else:
            _draw_unguided(axis, own, colors)
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xticks([*TICKS, ALL_AT], [*map(str, TICKS), "all"], fontsize=7)
    axis.minorticks_off()
    axis.set_xlabel("revealed points (mean over pictures)")
    axis.set_ylabel("PSNR (dB)")
    axis.grid(alpha=0.3)
    if rows:
        axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
    save_figure(figure, output, DPI)


def _draw_guided(axis: Axes, row: str, own: Sequence[Level], color: str) -> None:
    start = [one for one in own if one.told == "nothing"]
    for told, style in STYLES.items():
        line = sorted((one for one in own if one.told == told), key=lambda one: one.points)
        if line:
            _errorbars(axis, [*start, *line], color, style, f"{row}, {TITLES[told]}")
    for one in own:
        if one.told == "all":
            bars = [[one.mean_db - one.low_db], [one.high_db - one.mean_db]]
            axis.errorbar([ALL_AT], [one.mean_db], yerr=bars, fmt="s", color=color, capsize=2, ms=4)


def _errorbars(axis: Axes, line: Sequence[Level], color: str, style: str, label: str) -> None:
    means = [one.mean_db for one in line]
    bars = [
        [one.mean_db - one.low_db for one in line],
        [one.high_db - one.mean_db for one in line],
    ]
    axis.errorbar(
        [one.points for one in line],
        means,
        yerr=bars,
        color=color,
        linestyle=style,
        marker="o",
        markersize=3,
        capsize=2,
        linewidth=1,
        label=label,
    )


def _draw_unguided(axis: Axes, own: Sequence[Level], colors: Mapping[str, str]) -> None:
    """Draw a row that takes no points: a line and its interval for all it is told instead."""
    widths = dict(zip(NOT_POINTS, (0.8, 1.2, 1.2, 1.2), strict=True))
    patterns = dict(zip(NOT_POINTS, (":", "-.", (0, (1, 3)), (0, (5, 1))), strict=True))
    for one in own:
        if one.told not in NOT_POINTS:
            continue
        label = f"{one.row}, {NOT_POINTS[one.told]}"
        style = {"linestyle": patterns[one.told], "linewidth": widths[one.told]}
        axis.axhline(one.mean_db, color=colors[one.row], label=label, **style)
        axis.axhspan(one.low_db, one.high_db, color=colors[one.row], alpha=0.06, linewidth=0)
