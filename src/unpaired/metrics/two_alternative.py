"""How well distances agree with judgments: two alternatives, and just noticeable differences.

Zhang 2018, sections 6.3 and 6.5 (the data set BAPPS).
"""

from __future__ import annotations

import numpy as np

from unpaired.core.errors import UnpairedError


def agreement(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return every triplet's score in [0, 1]; their mean is the 2AFC score.

    first, second: distances of the two alternatives to the reference, any shape of N numbers.
    share: of the votes that found the second one closer, in [0, 1]. The score is the share of votes
    for the alternative with the smaller distance; a tie gets 1/2. Raises UnpairedError for numbers
    that are not finite, shares outside [0, 1] and different counts.
    """
    first, second, share = _vectors(first=first, second=second, share=share)
    _check_shares(share)
    return np.where(first < second, 1 - share, np.where(second < first, share, 0.5))


def ceiling(share: np.ndarray) -> np.ndarray:
    """Return p^2 + (1 - p)^2 for every vote share p: what the voters' own choices score.

    It is the expected `agreement` of one of the voters, who votes for either alternative as often
    as all of them did. With few votes it is too high for another voter: see `consistency`.
    """
    (share,) = _vectors(share=share)
    _check_shares(share)
    return share**2 + (1 - share) ** 2


def consistency(share: np.ndarray, votes: int) -> np.ndarray:
    """Return for every triplet how often two different voters of ``votes`` agree, in [0, 1].

    Its mean is an unbiased estimate of the p^2 + (1 - p)^2 of the population that the voters were
    drawn from. Raises UnpairedError if a share is not a multiple of 1 / votes.
    """
    (share,) = _vectors(share=share)
    _check_shares(share)
    if votes < 2:
        raise UnpairedError(f"two voters are needed to tell whether they agree, not {votes}")
    for_second = np.round(share * votes)
    if np.abs(for_second - share * votes).max() > 1e-3:
        raise UnpairedError(f"shares that are not multiples of 1/{votes}: give the true votes")
    for_first = votes - for_second
    pairs_agreed = for_second * (for_second - 1) + for_first * (for_first - 1)
    return pairs_agreed / (votes * (votes - 1))


def average_precision(distance: np.ndarray, same: np.ndarray) -> float:
    """Return how well small distances find the pairs that look the same, in [0, 1].

    distance: of N pairs, any shape of N numbers (so N x 1 x 1 x 1 as well, which the released code
    takes for N separate lists). same: share of the observers who took the pair for the same, in
    [0, 1]. Pairs are taken in the order of distance, those of equal distance together; every pair
    counts ``same`` as found and 1 - ``same`` as false. The area is that of PASCAL VOC since 2010:
    precision is first made to never rise with recall. Raises UnpairedError if no pair was ever
    called the same.
    """
    distance, same = _vectors(distance=distance, same=same)
    _check_shares(same)
    if same.sum() == 0:
        raise UnpairedError("no pair was called the same, so there is nothing to find")
    order = np.argsort(distance, kind="stable")
    is_last_of_equals = np.append(np.diff(distance[order]) > 0, True)
    found = np.cumsum(same[order])[is_last_of_equals]
    taken = np.arange(1, len(order) + 1)[is_last_of_equals]
    precision = np.maximum.accumulate((found / taken)[::-1])[::-1]
    recall_gained = np.diff(found / found[-1], prepend=0)
    return float(np.sum(recall_gained * precision))


def _vectors(**arrays: np.ndarray) -> list[np.ndarray]:
    vectors = [np.asarray(array, np.float64).ravel() for array in arrays.values()]
    counts = {name: len(vector) for name, vector in zip(arrays, vectors, strict=True)}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        told = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise UnpairedError(f"equally many values are needed, at least one: {told}")
    for name, vector in zip(arrays, vectors, strict=True):
        if not np.isfinite(vector).all():
            raise UnpairedError(f"{name}: values that are not finite")
    return vectors


def _check_shares(share: np.ndarray) -> None:
    if share.min() < 0 or share.max() > 1:
        raise UnpairedError(f"shares from {share.min():g} to {share.max():g}, not 0 to 1")
