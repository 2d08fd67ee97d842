"""How well distances order pictures as opinion scores do: Spearman's correlation on TID2013.

Zhang 2018, section 6.4.3 and Figure 6.7. Pictures are brought to several sizes, and the distances
at all of them averaged. How they are resized is not said; here as in the loader of BAPPS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import spearmanr

from unpaired.core.errors import UnpairedError
from unpaired.core.files import save_figure
from unpaired.core.progress import Progress
from unpaired.data.packs import Pack
from unpaired.learning.weights import load_model
from unpaired.metrics.ms_ssim import SMALLEST_SIDE_PX, ms_ssim
from unpaired.systems.perceptual.methods.formulas import FORMULAS
from unpaired.systems.perceptual.samples import check_fields

SIDES_PX = (128, 192, 256, 384, 512)  # of the smaller side
FIELDS = ("reference", "distorted", "mos")
DPI = 150

Distance = Callable[[np.ndarray, np.ndarray], float]
Pair = tuple[np.ndarray, np.ndarray, float]


@dataclass(frozen=True)
class Judge:
    """A distance of two uint8 pictures, by its name, and the sizes that it takes."""

    name: str
    distance: Distance
    sides_px: tuple[int, ...] = SIDES_PX


def judges(models: Mapping[str, Path]) -> list[Judge]:
    """Return all formulas, MS-SSIM where its five scales fit, and models of distances by name."""
    by_formula = [Judge(name, _of_batches(formula)) for name, formula in FORMULAS.items()]
    fitting = tuple(side for side in SIDES_PX if side >= SMALLEST_SIDE_PX)
    several_scales = Judge("ms_ssim", lambda a, b: 1 - ms_ssim(a, b), fitting)
    learned = [
        Judge(name, _of_batches(load_model(path)[1].distance)) for name, path in models.items()
    ]
    return [*by_formula, several_scales, *learned]


def _of_batches(distance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Distance:
    def of_pair(*pair: np.ndarray) -> float:
        batches = (torch.from_numpy(a.copy()).movedim(-1, 0)[None] / 255 for a in pair)
        return distance(*batches).item()

    return of_pair


def score_opinions(pack: Pack, judges: Sequence[Judge]) -> list[dict[str, object]]:
    """Return a row per judge: its name, Spearman's correlation at every size, and "mean".

    pack: of "reference", "distorted" (uint8) and "mos", mean opinion scores. A size that a judge
    does not take is None. Raises UnpairedError for another pack.
    """
    check_fields(pack, FIELDS)
    rows = []
    with Progress(f"order {pack.source}", len(judges) * len(pack)) as progress:
        for judge in judges:
            pairs = _pairs(pack, progress.advance)
            found = correlations_by_size(pairs, judge.distance, judge.sides_px)
            by_size = {str(side): found.get(str(side)) for side in SIDES_PX}
            rows.append({"distance": judge.name, **by_size, "mean": found["mean"]})
    return rows


def _pairs(pack: Pack, advance: Callable[[], None]) -> Iterable[Pair]:
    for index in pack:
        reference, distorted, score = (pack.read(index, field) for field in FIELDS)
        yield reference, distorted, score.item()
        advance()


def correlations_by_size(
    pairs: Iterable[Pair], distance: Distance, sides_px: tuple[int, ...] = SIDES_PX
) -> dict[str, float]:
    """Return Spearman's correlation at every size and, as "mean", that of the mean distance.

    pairs: reference and distorted picture (uint8 H x W x 3) and its mean opinion score. distance:
    of two pictures, resized. The mean is over distances, not correlations, as one metric would be
    used.
    """
    distances, opinions = [], []
    for first, second, score in pairs:
        distances.append([distance(resize(first, side), resize(second, side)) for side in sides_px])
        opinions.append(score)
    columns = np.array(distances).reshape(len(distances), len(sides_px))
    found = {
        str(side): spearman(column, opinions)
        for side, column in zip(sides_px, columns.T, strict=True)
    }
    return found | {"mean": spearman(columns.mean(1), opinions)}


def spearman(distances: np.ndarray, opinions: np.ndarray) -> float:
    """Return Spearman's correlation of opinions (more is better) and distances, with its sign
    turned: 1 where the distance orders as the opinions do. Ties get their mean rank.

    Raises UnpairedError for fewer than two, or if either is constant or not finite.
    """
    both = np.stack([np.ravel(distances), np.ravel(opinions)]).astype(float)
    if not np.isfinite(both).all() or both.shape[1] < 2 or np.any(np.ptp(both, axis=1) == 0):
        raise UnpairedError(
            f"no rank correlation of {both.shape[1]} values that are constant or not finite; "
            "score more images, or find out where the distance fails"
        )
    return -float(spearmanr(*both).statistic)


def resize(picture: np.ndarray, side_px: int) -> np.ndarray:
    """Return uint8 H x W x 3 whose smaller side is ``side_px``: bilinear, no aliasing."""
    height, width = picture.shape[:2]
    scale = side_px / min(height, width)
    size = round(width * scale), round(height * scale)
    if size == (width, height):
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def draw_opinions(output: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a bar per distance, its correlation of mean distances, and a dot per size."""
    figure = Figure((6.4, 0.3 * len(rows) + 1.0), layout="constrained")
    axis = figure.subplots()
    for place, row in enumerate(rows):
        axis.barh(place, row["mean"], height=0.7, color="C0")
        at_sizes = [row[str(side)] for side in SIDES_PX if row[str(side)] is not None]
        axis.plot(at_sizes, [place] * len(at_sizes), "k.", markersize=4)
        axis.text(1.01, place, f"{row['mean']:.3f}", fontsize=7, va="center")
    axis.set_yticks(range(len(rows)), [row["distance"] for row in rows], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlim(min(0, *(row["mean"] for row in rows)), 1)
    axis.set_xlabel("Spearman's correlation with opinions; dots: single sizes", fontsize=7)
    axis.tick_params(labelsize=7)
    save_figure(figure, output, DPI)
