"""The figures of merit of PASCAL VOC (Everingham et al. 2010): average precision and mean overlap.

Boxes are left, top, right, bottom in pixels, of which right and bottom are just outside. So
overlaps are those of the development kit, whose boxes name their last pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

OVERLAP_MIN = 0.5
ELEVEN_POINTS = "eleven points"
AREA = "area"


def average_precision(
    scores: np.ndarray, is_right: np.ndarray, positives: int, kind: str = ELEVEN_POINTS
) -> float:
    """Return the average precision of a ranking, in [0, 1].

    scores: N. is_right: N, bool. positives: how many there are to find, found or not; one at least.
    kind: "eleven points", the mean of the greatest precision at a recall of 0, 0.1 .. 1 or more
    (VOC2007), or "area" under the same precision as a step function (from VOC2010 on). Entries of
    one score stand in the order given.
    """
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(is_right[order])
    recall = found / positives
    precision = found / np.arange(1, len(order) + 1)
    # The greatest at this recall or a higher one.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if kind == AREA:
        steps = np.diff(recall, prepend=0.0)
        return float((steps * envelope).sum())
    # Compared as whole numbers: 0.3 of 10 is 3.
    places = [np.searchsorted(found * 10, tenth * positives) for tenth in range(11)]
    return float(np.mean([envelope[at] if at < len(envelope) else 0.0 for at in places]))


@dataclass(frozen=True)
class Boxes:
    """Boxes of a picture, N x 4, with the class of each; scores or, of true ones, difficult.

    What is difficult counts neither as found nor as missed.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray | None = None
    difficult: np.ndarray | None = None


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return intersection over union of N x 4 and M x 4 boxes: N x M."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    sizes = [(one[:, 2:] - one[:, :2]).prod(axis=1) for one in (first, second)]
    return shared / (sizes[0][:, None] + sizes[1][None] - shared)


def detection_precisions(
    found: Sequence[Boxes], true: Sequence[Boxes], classes: int, kind: str = ELEVEN_POINTS
) -> list[float]:
    """Return the average precision of every class that is there to find.

    found, true: of every picture. By falling score a box takes the true one that it overlaps most,
    by half at least; the second that takes it is wrong.
    """
    precisions = []
    for number in range(classes):
        outcome = [_matched(mine, theirs, number) for mine, theirs in zip(found, true, strict=True)]
        positives = sum(count for _, _, count in outcome)
        if positives:
            scores, right = (np.concatenate([one[part] for one in outcome]) for part in (0, 1))
            precisions.append(average_precision(scores, right, positives, kind))
    return precisions


def _matched(found: Boxes, true: Boxes, number: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return scores and whether right, of boxes that count, and how many there are to find."""
    mine, theirs = found.classes == number, true.classes == number
    scores = found.scores[mine]
    order = np.argsort(-scores, kind="stable")
    boxes, difficult = found.boxes[mine][order], true.difficult[theirs]
    shared = overlaps(boxes, true.boxes[theirs])
    taken = np.zeros(len(difficult), bool)
    right, counts = np.zeros(len(boxes), bool), np.ones(len(boxes), bool)
    for place, row in enumerate(shared):
        if not len(row) or row.max() < OVERLAP_MIN:
            continue
        best = int(row.argmax())
        if difficult[best]:
            counts[place] = False
        else:
            right[place], taken[best] = not taken[best], True
    return scores[order][counts], right[counts], int((~difficult).sum())


def confusion(told: np.ndarray, true: np.ndarray, classes: int, void: int = 255) -> np.ndarray:
    """Return how many pixels of each true class (rows) were told as each (columns)."""
    known = true != void
    pairs = true[known].astype(np.int64) * classes + told[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def mean_overlap(counts: np.ndarray) -> float:
    """Return the mean intersection over union of the classes that are there or were told."""
    right = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - right
    return float((right[union > 0] / union[union > 0]).mean())
