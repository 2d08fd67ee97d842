"""How well a distance orders images as opinion scores do: Spearman's correlation, as on TID2013.

Zhang 2018, section 6.4.3 and Figure 6.7. Images are brought to several sizes, and the distances at
all of them averaged. How they are resized is not said; here as in the loader of BAPPS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image
from scipy.stats import spearmanr

from unpaired.core.errors import UnpairedError
from unpaired.data.packs import Record

SIDES_PX = (128, 192, 256, 384, 512)  # of the smaller side

Distance = Callable[[np.ndarray, np.ndarray], float]


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


def correlations_by_size(
    records: Iterable[Record], distance: Distance, sides_px: tuple[int, ...] = SIDES_PX
) -> dict[str, float]:
    """Return Spearman's correlation at every size and, as "mean", that of the mean distance.

    records: with "reference", "distorted" (uint8 H x W x 3) and "mos". distance: of two of those,
    resized. The mean is over distances, not correlations, as one metric would be used.
    """
    distances, opinions = [], []
    for record in records:
        pair = record.arrays["reference"], record.arrays["distorted"]
        distances.append([distance(*(resize(p, side) for p in pair)) for side in sides_px])
        opinions.append(record.arrays["mos"].item())
    columns = np.array(distances).reshape(len(distances), len(sides_px))
    found = {
        str(side): spearman(column, opinions)
        for side, column in zip(sides_px, columns.T, strict=True)
    }
    return found | {"mean": spearman(columns.mean(1), opinions)}


def resize(picture: np.ndarray, side_px: int) -> np.ndarray:
    """Return uint8 H x W x 3 whose smaller side is ``side_px``: bilinear, no aliasing."""
    height, width = picture.shape[:2]
    scale = side_px / min(height, width)
    size = round(width * scale), round(height * scale)
    if size == (width, height):
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
