"""Figures of Zhang 2018 (chapter 2), drawn from trained models and test packs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from unpaired.core.files import save_figure
from unpaired.data.packs import Pack
from unpaired.imaging.color.ab_bins import BIN_SIDE, BINS, CENTERS, TEMPERATURE, hard_encode
from unpaired.imaging.color.lab import into_gamut, lab_to_rgb
from unpaired.imaging.pixels import center_crop, to_uint8
from unpaired.systems.colorization.methods.colorization import Colorization, Colorizer
from unpaired.systems.colorization.scoring import (
    Colored,
    as_batch,
    predict_ab,
    shrunk,
    with_colors,
)

TEMPERATURES = (1.0, 0.77, 0.58, TEMPERATURE, 0.29, 0.14, 0.0)
PICTURES_PER_SET = 3
PICTURES_COUNTED = 60
POINTS = 4  # of one picture, whose distributions are shown
CROP_PX = 256
PANEL_INCHES = 1.25
LIGHTNESS_SHOWN = 60.0
LIGHTNESS_RANGES = ((0, 40), (40, 60), (60, 100))
SHARE_MIN = 1e-6  # of the logarithmic scale
AXIS_RANGE = (-115, 115)
DPI = 130


@dataclass(frozen=True)
class Shown:
    """A test picture: uint8 H x W x 3, its data set and its name."""

    truth: np.ndarray
    source: str
    name: str

    @property
    def lab(self) -> Tensor:
        """3 x H x W."""
        return Colored(self.name, self.truth, torch.empty(0), 0.0).lab


def pictures_of(packs: Iterable[Pack], count: int) -> list[Shown]:
    """Return the first ``count`` pictures of every pack, center crops where they are large."""
    return [
        Shown(
            center_crop(to_uint8(pack.read_unit(index, "image")), CROP_PX),
            pack.source,
            pack.columns["name"][index],
        )
        for pack in packs
        for index in range(min(count, len(pack)))
    ]


# ---- Methods side by side, and temperatures (Figures 2.5 and 2.4) --------------------------------


def draw_methods(path: Path, products: Mapping[str, Colorizer], shown: Sequence[Shown]) -> None:
    """Write a sheet: a row per picture; gray, every method, truth."""
    columns = ["gray", *(name for name in products if name != "gray"), "truth"]
    rows = []
    for picture in shown:
        panels = {"gray": _gray(picture), "truth": picture.truth}
        for name, product in products.items():
            panels.setdefault(name, _colored(product, picture))
        rows.append([panels[name] for name in columns])
    _sheet(path, columns, rows)


def draw_temperatures(path: Path, model: Colorization, shown: Sequence[Shown]) -> None:
    """Write a sheet: a row per picture; the annealed mean from the mean (T = 1) to the mode (0)."""
    names = {1.0: "mean, T = 1", 0.0: "mode, T = 0"}
    columns = [names.get(t, f"T = {t:g}") for t in TEMPERATURES]
    rows = [[_colored(model, picture, temperature=t) for t in TEMPERATURES] for picture in shown]
    _sheet(path, columns, rows)


def _gray(picture: Shown) -> np.ndarray:
    return with_colors(picture.lab, torch.zeros_like(picture.lab[1:]))


def _colored(product: Colorizer, picture: Shown, **options: float) -> np.ndarray:
    return with_colors(picture.lab, _predicted(product, picture, **options))


def _predicted(product: Colorizer, picture: Shown, **options: float) -> Tensor:
    with torch.inference_mode():
        given = as_batch(picture.truth)
        return predict_ab(product, given, picture.source, picture.name, **options)[0]


def _sheet(path: Path, titles: Sequence[str], rows: Sequence[Sequence[np.ndarray]]) -> None:
    size = (len(titles) * PANEL_INCHES, len(rows) * PANEL_INCHES + 0.25)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for line, panels in zip(axes, rows, strict=True):
        for axis, panel in zip(line, panels, strict=True):
            axis.set(xticks=[], yticks=[], frame_on=False)
            axis.imshow(panel, interpolation="nearest")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=7)
    save_figure(figure, path, DPI)


# ---- Histograms in ab (Figure 2.3) ---------------------------------------------------------------


def draw_histograms(
    path: Path, prior: Tensor, products: Mapping[str, Colorizer], shown: Sequence[Shown]
) -> None:
    """Write the bins, the prior, and true colors by lightness; below, what each method predicts.

    prior: of the training set, 313. All but the prior is counted in ``shown``, in whole bins.
    """
    names = [name for name in products if name not in ("gray", "random")]
    columns = 1 + max(1 + len(LIGHTNESS_RANGES), len(names))
    figure = Figure((1.9 * columns, 4.3), layout="constrained")
    upper, lower = figure.subplots(2, columns)
    _draw_bins(upper[0], "the 313 bins")
    _draw_shares(upper[1], prior.numpy(), "training set, smoothed")
    truth = [(hard_encode(p.lab[None, 1:]), p.lab[0]) for p in shown]
    for axis, (low, high) in zip(upper[2:], LIGHTNESS_RANGES, strict=False):
        inside = [bins[0][(light >= low) & (light < high)] for bins, light in truth]
        _draw_shares(axis, _shares(inside), f"truth, L {low} to {high}")
    _draw_shares(lower[0], _shares([bins for bins, _ in truth]), "truth")
    for axis, name in zip(lower[1:], names, strict=False):
        bins = [hard_encode(_predicted(products[name], picture)[None].float()) for picture in shown]
        _draw_shares(axis, _shares(bins), name)
    for axis in [*upper[2 + len(LIGHTNESS_RANGES) :], *lower[1 + len(names) :]]:
        axis.set_axis_off()
    save_figure(figure, path, DPI)


def _shares(bins: Iterable[Tensor]) -> np.ndarray:
    counts = sum(torch.bincount(some.flatten(), minlength=BINS) for some in bins)
    return (counts / counts.sum().clamp(min=1)).numpy()


def _draw_shares(axis: Axes, shares: np.ndarray, title: str) -> None:
    grid = np.full((23, 23), np.nan)
    rows, columns = ((CENTERS[:, k] / BIN_SIDE).round().astype(int) + 11 for k in (1, 0))
    grid[rows, columns] = np.maximum(shares, SHARE_MIN)
    ends = (AXIS_RANGE[0], AXIS_RANGE[1])
    axis.imshow(
        grid, origin="lower", extent=(*ends, *ends), norm=LogNorm(SHARE_MIN, 1), cmap="viridis"
    )
    _label(axis, title)


def _draw_bins(axis: Axes, title: str) -> None:
    colors = _colors_of_bins(LIGHTNESS_SHOWN)
    axis.scatter(*CENTERS.T, s=9, c=colors, marker="s", linewidths=0)
    _label(axis, title)


def _label(axis: Axes, title: str) -> None:
    axis.set(xlim=AXIS_RANGE, ylim=AXIS_RANGE, aspect="equal", xticks=[-90, 0, 90])
    axis.set(yticks=[-90, 0, 90])
    axis.tick_params(labelsize=6)
    axis.set_title(title, fontsize=7)


def _colors_of_bins(lightness: float) -> np.ndarray:
    """Return RGB of every bin at a lightness, out of gamut paler: 313 x 3 in [0, 1]."""
    ab = torch.from_numpy(CENTERS).T[None, :, :, None]
    lab = torch.cat([torch.full_like(ab[:, :1], lightness), ab], dim=1)
    return lab_to_rgb(into_gamut(lab))[0, :, :, 0].T.numpy()


# ---- What is predicted for single pixels (Figure 2.15) -------------------------------------------


def draw_distributions(path: Path, model: Colorization, shown: Sequence[Shown]) -> None:
    """Write, per picture, the distributions predicted at some pixels.

    Pixels are those of a coarse grid whose true colors differ most from each other. Discs: bins
    in their colors, areas as their probabilities; cross: the annealed mean; square: truth. (The
    thesis shows the same numbers the other way round: of some bins, maps over the picture.)
    """
    figure = Figure((1.9 * (POINTS + 1), 1.9 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), POINTS + 1, squeeze=False)
    for line, picture in zip(axes, shown, strict=True):
        lab = picture.lab
        places = _different_places(lab)
        with torch.inference_mode():
            seen = _lightness(model, picture)
            distribution = model.distribution(seen)[0]
            annealed = _predicted(model, picture)
        line[0].imshow(picture.truth, interpolation="nearest")
        line[0].set(xticks=[], yticks=[], frame_on=False)
        for number, (axis, (row, column)) in enumerate(zip(line[1:], places, strict=True), 1):
            line[0].text(
                column,
                row,
                str(number),
                fontsize=8,
                ha="center",
                va="center",
                bbox={"boxstyle": "circle,pad=0.15", "fc": "white", "lw": 0.5},
            )
            cell = [
                position * size // side
                for position, size, side in zip(
                    (row, column), distribution.shape[1:], lab.shape[1:], strict=True
                )
            ]
            shares = distribution[:, cell[0], cell[1]].numpy()
            lightness = float(lab[0, row, column])
            axis.scatter(
                *CENTERS.T, s=400 * shares, c=_colors_of_bins(lightness), lw=0.3, edgecolors="0.5"
            )
            axis.plot(*annealed[:, row, column], "x", color="black", ms=5)
            axis.plot(*lab[1:, row, column], "s", color="black", ms=6, mfc="none", mew=0.7)
            _label(axis, f"{number}: L = {lightness:.0f}")
    save_figure(figure, path, DPI)


def _lightness(model: Colorization, picture: Shown) -> Tensor:
    """Return what the network sees of a picture: 1 x 1 x h x w."""
    small = Shown(
        to_uint8(shrunk(as_batch(picture.truth), model.picture_px)[0].permute(1, 2, 0).numpy()),
        picture.source,
        picture.name,
    )
    return small.lab[None, :1]


def _different_places(lab: Tensor) -> list[tuple[int, int]]:
    """Return POINTS pixels, one after the other the farthest in Lab from those before."""
    height, width = lab.shape[1:]
    rows, columns = (((torch.arange(12) + 0.5) * side / 12).long() for side in (height, width))
    places = torch.cartesian_prod(rows, columns)
    colors = lab[:, places[:, 0], places[:, 1]].T
    chosen = [int(colors[:, 1:].norm(dim=1).argmax())]
    while len(chosen) < POINTS:
        distances = torch.cdist(colors, colors[chosen]).amin(1)
        chosen.append(int(distances.argmax()))
    return [(int(row), int(column)) for row, column in places[chosen]]
