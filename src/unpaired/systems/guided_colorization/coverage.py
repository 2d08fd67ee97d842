"""Whether suggested colors hold every color that a thing can have, on drawn scenes.

Fruits of the scenes have one of four colors, drawn by chance: an open choice, whose possible
answers are known. In the middle of each area of fruit the network, told nothing, suggests its nine
colors. A true color is among them where one of them is near to it in ab.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.ndimage import label as areas_of
from scipy.stats import binomtest

from unpaired.core.progress import Progress
from unpaired.data.packs import Pack
from unpaired.data.sources.color_scenes import CLASSES, COLORS
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.imaging.color.recoloring import as_batch, shrunk
from unpaired.imaging.pixels import to_uint8
from unpaired.systems.guided_colorization.methods.local_hints import LocalHints
from unpaired.systems.guided_colorization.palette import SUGGESTIONS, displayed, suggested_at

OPEN = "fruit"  # The class that has several colors.
TRUE_COLORS = np.array([ab for ab, _ in COLORS[OPEN]], dtype=np.float64)
NEAR_AB = 15.0
CONFIDENCE = 0.95
EVERY = "every"


def middles(labels: np.ndarray, label: int) -> list[tuple[int, int]]:
    """Return of each connected area of a label in H x W the pixel (y, x) farthest from its edge.

    Fruits that overlap are one area. The border of the picture is an edge.
    """
    areas, count = areas_of(labels == label)
    found = []
    for number in range(1, count + 1):
        depths = distance_transform_edt(np.pad(areas == number, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(depths.argmax(), depths.shape)
        found.append((int(y), int(x)))
    return found


def are_near(colors: np.ndarray, suggested: np.ndarray) -> np.ndarray:
    """Tell which of N x 2 ab have one of M x 2 suggested ab within NEAR_AB: N, bool."""
    distances = np.linalg.norm(colors[:, None] - suggested[None], axis=2)
    return distances.min(axis=1) <= NEAR_AB


def found_colors(model: LocalHints, pack: Pack, device: torch.device) -> np.ndarray:
    """Return, for every open place of a pack of scenes, which true colors are suggested there.

    places x colors, bool. Suggestions are compared as the page shows them: at the lightness of the
    place, with less chroma where sRGB has no such color.
    """
    with Progress(f"suggest colors in {pack.source}", len(pack)) as progress:
        rows = [row for index in pack for row in _of_scene(model, pack, index, device, progress)]
    return np.array(rows, dtype=bool).reshape(-1, len(TRUE_COLORS))


def _of_scene(
    model: LocalHints, pack: Pack, index: int, device: torch.device, progress: Progress
) -> Iterator[np.ndarray]:
    rgb = as_batch(to_uint8(pack.read_unit(index, "image"))).to(device)
    lightness = rgb_to_lab(rgb)[0, 0].cpu()
    seen = rgb_to_lab(shrunk(rgb, model.picture_px))[:, :1]
    _, logits = model.suggestions(seen)
    bins = model.bins().numpy()
    sizes = tuple(lightness.shape), tuple(seen.shape[-2:])
    for y, x in middles(pack.read(index, "labels")[..., 0], CLASSES.index(OPEN)):
        colors, _ = suggested_at(logits, bins, (y, x), *sizes)
        shown, _ = displayed(float(lightness[y, x]), colors)
        yield are_near(TRUE_COLORS, shown)
    progress.advance()


def coverage_lines(found: np.ndarray, **about: object) -> list[dict[str, object]]:
    """Return lines of a CSV: of places with every true color, and of those with each of them.

    Shares have Wilson's 95 % interval over places, as if places of one scene were independent.
    """
    colors = {EVERY: found.all(axis=1)}
    colors |= {
        f"({a:g}, {b:g})": column for (a, b), column in zip(TRUE_COLORS, found.T, strict=True)
    }
    return [about | {"true_color_ab": name} | _share(held) for name, held in colors.items()]


def _share(held: np.ndarray) -> dict[str, object]:
    count, places = int(held.sum()), len(held)
    ends = binomtest(count, places).proportion_ci(CONFIDENCE, method="wilson")
    return {
        "places": places,
        "suggested_in": count,
        "share_pct": round(100 * count / places, 2),
        "ci_low_pct": round(100 * ends.low, 2),
        "ci_high_pct": round(100 * ends.high, 2),
        "within_ab": NEAR_AB,
        "suggestions": SUGGESTIONS,
    }
