"""Suggested colors: modes of a distribution over ab, by weighted k-means (Zhang 2018, 3.3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from unpaired.imaging.color.lab import LIGHTNESS_MAX, into_gamut, lab_to_rgb
from unpaired.networks.guided_colorization import LocalHintsNet

SUGGESTIONS = 9
STARTS = 3
SHARE_MIN = 1e-6


def suggested_colors(
    shares: np.ndarray, bins: np.ndarray, count: int = SUGGESTIONS
) -> tuple[np.ndarray, np.ndarray]:
    """Return at most ``count`` ab, N x 2, and their shares, the largest first.

    shares: of bins, sum to 1. bins: their ab, bins x 2. The authors draw 25,000 colors of the
    distribution and cluster these; its weights do the same without a draw.
    """
    weights = np.asarray(shares, dtype=np.float64)
    some = weights > SHARE_MIN
    clusters = min(count, int(some.sum()))
    found = KMeans(clusters, n_init=STARTS, random_state=0).fit(
        bins[some], sample_weight=weights[some]
    )
    sizes = np.bincount(found.labels_, weights[some], minlength=clusters)
    order = np.argsort(-sizes, kind="stable")
    return found.cluster_centers_[order], sizes[order] / sizes.sum()


def suggested_at(
    logits: Tensor,
    bins: np.ndarray,
    place: tuple[float, float],
    size: tuple[int, int],
    seen: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return `suggested_colors` at a place (y, x) of a picture of ``size``.

    logits: 1 x bins x h x w, softened, of the whole picture as the network saw it: ``seen``, its
    height and width.
    """
    there = [
        (where + 0.5) * inner / outer - 0.5
        for where, inner, outer in zip(place, seen, size, strict=True)
    ]
    return suggested_colors(torch.softmax(logits_at(logits, there), dim=0).cpu().numpy(), bins)


def logits_at(logits: Tensor, place: Sequence[float]) -> Tensor:
    """Return the logits of 1 x bins x h x w at a pixel (y, x) of what the network saw; float64.

    A cell stands for the first pixel of its square, the one that its target was taken from. Between
    cells logits are bilinear, as the authors' two fixed upsamplings make them; beyond the last cell
    they stay.
    """
    for axis, where in ((-2, place[0]), (-1, place[1])):
        cells = logits.shape[axis]
        at = min(max(where / LocalHintsNet.head_stride_px, 0.0), cells - 1.0)
        lower = int(at)
        upper = min(lower + 1, cells - 1)
        two = (logits.narrow(axis, cell, 1).double() for cell in (lower, upper))
        logits = torch.lerp(*two, at - lower)
    return logits[0, :, 0, 0]


def cell_at(
    place: tuple[float, float], size: tuple[int, int], shape: tuple[int, int]
) -> tuple[int, int]:
    """Return row and column of a map of ``shape`` at a place (y, x) of a picture of ``size``."""
    row, column = (
        min(int((where + 0.5) * cells / side), cells - 1)
        for where, side, cells in zip(place, size, shape, strict=True)
    )
    return row, column


def displayed(lightness: float, ab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return colors of a lightness as sRGB has them: ab, N x 2, less chroma where it must be.

    And their uint8 RGB, N x 3.
    """
    given = torch.from_numpy(np.asarray(ab, dtype=np.float64)).T[None, :, :, None]
    level = torch.full_like(given[:, :1], min(max(lightness, 0.0), LIGHTNESS_MAX))
    lab = into_gamut(torch.cat([level, given], dim=1))
    rgb = (255 * lab_to_rgb(lab)).round().to(torch.uint8)
    return lab[0, 1:, :, 0].T.numpy(), rgb[0, :, :, 0].T.numpy()
