"""How distances agree with judgments, as drawings: Figures 6.3 to 6.6 of Zhang 2018."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from unpaired.core.errors import UnpairedError
from unpaired.core.files import save_figure
from unpaired.data.packs import Pack
from unpaired.metrics.perceptual import LPIPS
from unpaired.pipeline.datasets import title_of
from unpaired.pipeline.tables.lines import Line

if TYPE_CHECKING:
    import pandas as pd

DPI = 150
TRIPLETS_SHOWN = 5  # of each kind
VOTERS = ("observer", "human")
ZERO = 1e-6  # Weights that projection holds at 0.


def draw_scores(output: Path, lines: list[Line]) -> None:
    """Write a bar chart of the 2AFC scores, a panel per test set that was scored (Figure 6.3).

    Whiskers are 95 % intervals; the line across is what the voters score themselves.
    """
    scored = [line for line in lines if line.metric == "two_afc" and line.value is not None]
    testsets = list(dict.fromkeys(line.dataset for line in scored))
    if not testsets:
        raise UnpairedError("the table of 2AFC scores holds none; run its evaluations first")
    methods = [name for name in dict.fromkeys(line.method for line in scored) if name not in VOTERS]
    figure = Figure((3.2 * len(testsets) + 1.2, 0.28 * len(methods) + 1.2), layout="constrained")
    axes = figure.subplots(1, len(testsets), sharey=True, squeeze=False)[0]
    for axis, testset in zip(axes, testsets, strict=True):
        found = {line.method: line for line in scored if line.dataset == testset}
        for place, method in enumerate(methods):
            if method in found:
                _bar(axis, place, found[method])
        for name in VOTERS:
            if name in found:
                axis.axvline(found[name].value, color="black", linestyle="--", linewidth=1)
        axis.axvline(50, color="gray", linewidth=0.8)
        axis.set_title(title_of(testset), fontsize=8)
        axis.set_xlabel("2AFC (%); dashed: the voters themselves; 50: chance", fontsize=7)
        axis.tick_params(labelsize=7)
        axis.set_xlim(left=45)
    axes[0].set_yticks(range(len(methods)), methods, fontsize=7)
    axes[0].invert_yaxis()
    save_figure(figure, output, DPI)


def _bar(axis, place: int, line: Line) -> None:
    whiskers = None
    if line.ci_low is not None:
        whiskers = [[line.value - line.ci_low], [line.ci_high - line.value]]
    axis.barh(place, line.value, xerr=whiskers, height=0.7, color="C0", error_kw={"linewidth": 1})
    end = line.value if line.ci_high is None else line.ci_high
    axis.text(max(end, 45) + 0.4, place, f"{line.value:.1f}", fontsize=6, va="center")


def draw_tests(output: Path, lines: list[Line]) -> None:
    """Write JND average precision against 2AFC scores, a panel per kind of judge (Figure 6.4).

    Both are means over traditional and CNN distortions.
    """
    judges = [
        (name, points)
        for name in ("simulated_bapps", "bapps")
        if (points := points_of_tests(lines, name))
    ]
    if not judges:
        raise UnpairedError("the table of JND scores holds none; run its evaluations first")
    correlations = {line.dataset: line for line in lines if line.metric == "correlation"}
    figure = Figure((4.6 * len(judges), 4.2), layout="constrained")
    axes = figure.subplots(1, len(judges), squeeze=False)[0]
    for axis, (name, points) in zip(axes, judges, strict=True):
        for method, (first, second) in points.items():
            axis.plot(first, second, "o", markersize=4)
            axis.annotate(method, (first, second), (4, 2), textcoords="offset points", fontsize=6)
        found = correlations.get(name)
        told = (
            ""
            if found is None or found.value is None
            else f", correlation over networks {found.value:.3f}"
        )
        who = "simulated observer" if name.startswith("simulated") else "BAPPS"
        axis.set_title(f"{who}{told}", fontsize=8)
        axis.set_xlabel("2AFC (%)", fontsize=8)
        axis.set_ylabel("JND mAP (%)", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.margins(x=0.25)
    save_figure(figure, output, DPI)


def points_of_tests(lines: list[Line], prefix: str) -> dict[str, tuple[float, float]]:
    """Return method -> (2AFC, JND mAP), means over the distortion sets of ``prefix``."""
    columns = [
        [f"{prefix}_{part}{kind}" for kind in ("traditional", "cnn")] for part in ("", "jnd_")
    ]
    values = {(line.method, line.dataset): line.value for line in lines}
    points = {}
    for method in dict.fromkeys(line.method for line in lines):
        found = [[values.get((method, name)) for name in names] for names in columns]
        if not any(value is None for of_test in found for value in of_test):
            points[method] = tuple(float(np.mean(of_test)) for of_test in found)
    return points


def draw_weights(output: Path, metric: LPIPS, name: str) -> None:
    """Write the learned weights of channels by layer, in falling order (Figure 6.6)."""
    figure = Figure((6.4, 3.4), layout="constrained")
    axis = figure.subplots()
    for layer, share, weights in weights_by_layer(metric):
        place = np.linspace(0, 100, len(weights))
        axis.plot(place, weights, linewidth=1.2, label=f"{layer}: {100 * share:.1f} % are 0")
    axis.set_xlabel("channels of a layer, in falling order (%)", fontsize=8)
    axis.set_ylabel("weight", fontsize=8)
    axis.set_title(f"weights that {name} gives to channels", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=7)
    save_figure(figure, output, DPI)


def weights_by_layer(metric: LPIPS) -> list[tuple[str, float, np.ndarray]]:
    """Return (layer, share of weights that are 0, weights in falling order)."""
    found = []
    for layer, weight in metric.weights.items():
        values = np.sort(weight.detach().cpu().numpy())[::-1]
        found.append((layer, float(np.mean(values < ZERO)), values))
    return found


@dataclass(frozen=True)
class Disagreement:
    """A triplet of which SSIM takes another patch than a learned distance does.

    record: its number in the pack. ssim_takes: "first" or "second". judge: share of votes for the
    second. size: of the disagreement; see `disagreements`.
    """

    record: int
    ssim_takes: str
    judge: float
    size: float


def disagreements(ssim: pd.DataFrame, learned: pd.DataFrame) -> list[Disagreement]:
    """Return the triplets on which two distances disagree, the most first (Figure 6.5).

    The difference between a triplet's two distances is counted in standard deviations over all
    triplets, by each distance; how much they disagree is the smaller of the two. ssim, learned:
    score files of the same pack. Raises UnpairedError if they are not.
    """
    if list(ssim["image"]) != list(learned["image"]):
        raise UnpairedError("the scores of SSIM and of the learned distance are of two packs")
    own, other = (
        np.subtract(*scores[["first_distance", "second_distance"]].to_numpy(float).T)
        for scores in (ssim, learned)
    )
    own, other = own / own.std(), other / other.std()
    size = np.where(own * other < 0, np.minimum(abs(own), abs(other)), 0)
    return [
        Disagreement(
            int(record),
            "first" if own[record] < 0 else "second",
            float(ssim["judge"].iloc[record]),
            float(size[record]),
        )
        for record in np.argsort(-size, kind="stable")
        if size[record] > 0
    ]


def draw_disagreements(output: Path, pack: Pack, found: list[Disagreement], name: str) -> None:
    """Write the triplets of the strongest disagreements: reference, SSIM's choice, the other's."""
    shown = found[: 2 * TRIPLETS_SHOWN]
    if not shown:
        raise UnpairedError("SSIM and the learned distance agree on every triplet: nothing to show")
    rows, columns = -(-len(shown) // 2), 6
    figure = Figure((columns * 1.15, rows * 1.45), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.set(xticks=[], yticks=[], frame_on=False)
    for number, entry in enumerate(shown):
        line, left = number // 2, 3 * (number % 2)
        taken = entry.ssim_takes
        other = {"first": "second", "second": "first"}[taken]
        votes = {"first": 1 - entry.judge, "second": entry.judge}
        panels = (
            ("reference", "reference"),
            (taken, f"SSIM takes\n{votes[taken]:.0%} of votes"),
            (other, f"{name} takes\n{votes[other]:.0%} of votes"),
        )
        for axis, (field, title) in zip(axes[line, left:], panels, strict=False):
            axis.imshow(pack.read(entry.record, field), interpolation="nearest")
            axis.set_xlabel(title, fontsize=6)
    figure.suptitle(title_of(pack.source), fontsize=8)
    save_figure(figure, output, DPI)
