"""What the networks of hints make of pictures: Figures 3.7 to 3.9 of Zhang 2018, and suggestions.

Places are those where the network, told nothing, is most wrong: there a person would click first.
Every point is a patch of 7 pixels of 256, as in the scoring.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from unpaired.core.files import save_figure
from unpaired.imaging.color.hints import Point, color_histogram, hint_maps, points_on
from unpaired.imaging.color.lab import lab_to_rgb, rgb_to_lab
from unpaired.imaging.color.recoloring import as_batch, with_colors
from unpaired.systems.guided_colorization.methods.local_hints import LocalHints
from unpaired.systems.guided_colorization.palette import SUGGESTIONS, displayed, suggested_at
from unpaired.systems.guided_colorization.revealing import PATCH_PX, max_error_patches, scaled_px
from unpaired.systems.guided_colorization.scoring import Guidable, Pictures, Truth

DPI = 150
PANEL_INCHES = 1.25
TRIED = 4  # Suggestions that are taken in turn.
UNUSUAL_POINTS = 4
UNUSUAL_CHROMA_MIN = 40.0  # The opposite of gray is gray.
REFERENCES = 5
SUGGESTIONS_A_SIDE = 3
SQUARE_LIGHTNESS = 55.0
# ab of what Figure 3.8 calls them.
NAMED = {"blue": (15.0, -50.0), "red": (60.0, 40.0), "green": (-45.0, 40.0), "pink": (50.0, -10.0)}


@dataclass(frozen=True)
class Panel:
    """A picture H x W x 3 uint8. points: where squares are drawn, in the colors of 8 bits."""

    picture: np.ndarray
    title: str = ""
    points: Sequence[tuple[Point, np.ndarray]] = ()


@dataclass(frozen=True)
class Guided:
    """A picture and the network that colors it. rgb: 1 x 3 x H x W in [0, 1]."""

    pictures: Pictures

    @property
    def lab(self) -> Tensor:
        """3 x H x W, on the CPU."""
        return rgb_to_lab(self.pictures.rgb)[0].cpu()

    @property
    def patch_px(self) -> int:
        """Side of a point."""
        return scaled_px(PATCH_PX, min(self.pictures.size))

    @property
    def gray(self) -> np.ndarray:
        return self._joined(torch.zeros_like(self.lab[1:]))

    @property
    def truth(self) -> np.ndarray:
        return self._joined(self.lab[1:])

    def told(self, **told: Tensor) -> np.ndarray:
        """Return the picture as the network colors it, told statistics, or nothing."""
        return self._joined(self.pictures.colors(**told)[0].cpu())

    def with_points(self, points: Sequence[Point]) -> np.ndarray:
        """Return the picture as the network colors it, told points."""
        seen = tuple(self.pictures.seen.shape[-2:])
        hints, mask = hint_maps(points, self.pictures.size, seen)
        return self.told(ab=hints[None], mask=mask[None])

    def most_wrong(self, count: int) -> list[Point]:
        """Return points in the true colors where the error is largest, one after the other."""
        true = self.pictures.true_ab
        (patches,) = max_error_patches(count, self.pictures.with_points, true)
        return points_on(true[0].cpu(), patches)

    def lightness_at(self, point: Point) -> float:
        """Return L of the pixel in the middle of a point, or nearest to it."""
        height, width = self.pictures.size
        y, x = (min(max(round(one), 0), side - 1) for one, side in _sides(point, height, width))
        return float(self.lab[0, y, x])

    def in_gamut(self, point: Point) -> tuple[Point, np.ndarray]:
        """Return a point in a color that sRGB has at its lightness, and that color in 8 bits."""
        ab, rgb = displayed(self.lightness_at(point), np.array([[point.a, point.b]]))
        return replace(point, a=float(ab[0, 0]), b=float(ab[0, 1])), rgb[0]

    def _joined(self, ab: Tensor) -> np.ndarray:
        return with_colors(self.lab, ab)


def _sides(point: Point, height: int, width: int) -> tuple[tuple[float, int], tuple[float, int]]:
    return (point.y, height), (point.x, width)


def guided(product: Guidable, shown: Iterable[Truth], device: torch.device) -> list[Guided]:
    """Return pictures with the network that is to color them."""
    return [
        Guided(Pictures(product, as_batch(one.truth).to(device), [(one.source, one.name)]))
        for one in shown
    ]


# ---- Suggested colors ----------------------------------------------------------------------------


def draw_suggestions(output: Path, model: LocalHints, shown: Sequence[Guided]) -> None:
    """Write a PNG: a row per picture: a point, its suggested colors, and what the first make."""
    save_sheet(output, [_suggestion_row(model, one) for one in shown])


def _suggestion_row(model: LocalHints, one: Guided) -> list[Panel]:
    place = one.most_wrong(1)[0]
    _, logits = model.suggestions(one.pictures.lightness)
    bins = model.bins().cpu().numpy()
    sizes = one.pictures.size, tuple(one.pictures.seen.shape[-2:])
    found, chances = suggested_at(logits, bins, (place.y, place.x), *sizes)
    points = [one.in_gamut(replace(place, a=float(a), b=float(b))) for a, b in found]
    row = [
        Panel(one.gray, "a point", [one.in_gamut(replace(place, a=0.0, b=0.0))]),
        Panel(_swatches([rgb for _, rgb in points]), "suggested"),
        Panel(one.told(), "automatic"),
    ]
    for number in range(TRIED):
        if number < len(points):
            point, rgb = points[number]
            title = f"{number + 1}: {chances[number]:.0%}"
            row.append(Panel(one.with_points([point]), title, [(point, rgb)]))
        else:
            row.append(Panel(np.full_like(one.gray, 255), "no other"))
    return [*row, Panel(one.truth, "truth")]


def _swatches(colors: Sequence[np.ndarray]) -> np.ndarray:
    """Return 3 x 3 cells, white where there is no color, the first at the upper left."""
    cells = np.full((SUGGESTIONS, 3), 255, np.uint8)
    cells[: len(colors)] = colors
    return cells.reshape(SUGGESTIONS_A_SIDE, SUGGESTIONS_A_SIDE, 3)


# ---- Unusual colors (Figure 3.7) -----------------------------------------------------------------


def draw_unusual(output: Path, shown: Sequence[Guided]) -> None:
    """Write a PNG: a row per picture: unusual points, what they make, what usual ones make."""
    save_sheet(output, [_unusual_row(one) for one in shown])


def _unusual_row(one: Guided) -> list[Panel]:
    usual = one.most_wrong(UNUSUAL_POINTS)
    unusual = [one.in_gamut(opposite(point)) for point in usual]
    return [
        Panel(one.gray, "opposite hues", unusual),
        Panel(one.with_points([point for point, _ in unusual]), "told these"),
        Panel(one.gray, "true colors", [one.in_gamut(point) for point in usual]),
        Panel(one.with_points(usual), "told these"),
        Panel(one.truth, "truth"),
    ]


def opposite(point: Point) -> Point:
    """Return a point of the opposite hue, of the same chroma but UNUSUAL_CHROMA_MIN at least.

    The opposite of gray is blue.
    """
    chroma = float(np.hypot(point.a, point.b))
    if chroma == 0:
        return replace(point, a=0.0, b=-UNUSUAL_CHROMA_MIN)
    factor = -max(chroma, UNUSUAL_CHROMA_MIN) / chroma
    return replace(point, a=factor * point.a, b=factor * point.b)


# ---- Two colors within one gray area (Figure 3.8) ------------------------------------------------


def draw_one_area(output: Path, model: LocalHints, shown: Sequence[Guided]) -> None:
    """Write a PNG: a row for the thesis's gray square on black, and one for each picture.

    A single point is blue, or red; then two points beside its place are blue and red, or green and
    pink.
    """
    toy, middle = square(model)
    rows = [_area_row(toy, middle, min(toy.pictures.size) / 8)]
    for one in shown:
        rows.append(_area_row(one, one.most_wrong(1)[0], min(one.pictures.size) / 16))
    save_sheet(output, rows)


def square(model: LocalHints) -> tuple[Guided, Point]:
    """Return a gray square in the middle half of a black one, and a point in its middle.

    It has the size of the pictures that the model knows.
    """
    side = model.picture_px
    lab = torch.zeros(1, 3, side, side)
    inside = slice(side // 4, side - side // 4)
    lab[:, 0, inside, inside] = SQUARE_LIGHTNESS
    rgb = lab_to_rgb(lab).to(next(model.parameters()).device)
    toy = Guided(Pictures(model, rgb, [("toy", "square")]))
    return toy, Point((side - 1) / 2, (side - 1) / 2, toy.patch_px, 0.0, 0.0)


def _area_row(one: Guided, place: Point, aside_px: float) -> list[Panel]:
    row = [Panel(one.gray, "gray")]
    for name in ("blue", "red"):
        row.append(_told_panel(one, name, [_named(one, place, name)]))
    for names in (("blue", "red"), ("green", "pink")):
        moved = [
            _named(one, _beside(one, place, shift), name)
            for name, shift in zip(names, (-aside_px, aside_px), strict=True)
        ]
        row.append(_told_panel(one, " and ".join(names), moved))
    return row


def _named(one: Guided, place: Point, name: str) -> tuple[Point, np.ndarray]:
    a, b = NAMED[name]
    return one.in_gamut(replace(place, a=a, b=b))


def _beside(one: Guided, place: Point, shift_px: float) -> Point:
    return replace(place, x=min(max(place.x + shift_px, 0.0), one.pictures.size[1] - 1.0))


def _told_panel(one: Guided, title: str, points: Sequence[tuple[Point, np.ndarray]]) -> Panel:
    return Panel(one.with_points([point for point, _ in points]), title, points)


# ---- Histogram transfer (Figure 3.9) -------------------------------------------------------------


def draw_histograms(output: Path, shown: Sequence[Guided]) -> None:
    """Write a PNG: the first picture, told the histograms of others; above each, whose.

    Of the others those are taken whose histograms differ most. Below them, the total variation
    distance to the histogram that was told: without being told it, and with.
    """
    first = shown[0]
    histograms = torch.cat([histogram_of(one.truth) for one in shown])
    automatic = first.told()
    above, below = [Panel(first.gray, "gray")], [Panel(automatic, "automatic")]
    for number in [0, *most_different(histograms, REFERENCES)]:
        wanted = histograms[number : number + 1]
        result = first.told(histogram=wanted.to(first.pictures.rgb.device))
        ends = [_variation(histogram_of(some), wanted) for some in (automatic, result)]
        above.append(Panel(shown[number].truth, "reference" if number else "its own colors"))
        below.append(Panel(result, f"{ends[0]:.2f} to {ends[1]:.2f}"))
    save_sheet(output, [above, below])


def histogram_of(picture: np.ndarray) -> Tensor:
    """Return the shares of the bins in H x W x 3 uint8: 1 x 313."""
    return color_histogram(rgb_to_lab(as_batch(picture))[:, 1:])


def most_different(histograms: Tensor, count: int) -> list[int]:
    """Return rows of N x 313, at most ``count``, each the farthest from the first and those before.

    The distance is total variation, half the sum of differences.
    """
    distances = torch.cdist(histograms, histograms, p=1) / 2
    chosen = [0]
    while len(chosen) <= min(count, len(histograms) - 1):
        nearest = distances[chosen].amin(0)
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return chosen[1:]


def _variation(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().sum() / 2)


# ---- Sheets --------------------------------------------------------------------------------------


def save_sheet(output: Path, rows: Sequence[Sequence[Panel]]) -> None:
    """Write a PNG of rows of panels, which are equally many in each."""
    columns = len(rows[0])
    size = (columns * PANEL_INCHES, len(rows) * (PANEL_INCHES + 0.2))
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, panels in zip(axes, rows, strict=True):
        for axis, panel in zip(line, panels, strict=True):
            _draw(axis, panel)
    save_figure(figure, output, DPI)


def _draw(axis: Axes, panel: Panel) -> None:
    axis.set(xticks=[], yticks=[], frame_on=False)
    axis.imshow(panel.picture, interpolation="nearest")
    axis.set_title(panel.title, fontsize=7)
    for point, color in panel.points:
        side = point.size_px
        corner = (point.x - side / 2, point.y - side / 2)
        axis.add_patch(Rectangle(corner, side, side, fc=color / 255, ec="white", lw=0.7))
