"""Outcomes of methods in order, by their estimated error, and that order for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from unpaired.metrics.coupled_bootstrap import NOISE_RATIO
from unpaired.metrics.unsupervised_error import (
    bootstrap_umse,
    interval,
    unit_errors,
    upsnr_db,
    upsnr_text,
)
from unpaired.systems.denoising.candidates import Tried
from unpaired.systems.denoising.short_training import CROPS_FEW
from unpaired.systems.denoising.trials import Outcome

COLUMNS = (
    "place",
    "method",
    "estimated PSNR, dB",
    "95 % interval",
    "uPSNR, dB",
    "seconds to train",
    "seconds per megapixel",
    "memory, MiB",
)
WIDTH = 128  # characters
NARROW_COLUMNS = 4


@dataclass(frozen=True)
class Ranked:
    """An outcome and its place from 1 on; the PSNR is estimated, with a 95 % interval.

    like_first: whether the interval of the paired difference to the first does not exclude zero.
    """

    number: int
    outcome: Outcome
    psnr_db: float
    low_db: float
    high_db: float
    like_first: bool


def rank(outcomes: Sequence[Outcome], is_unsure: bool = False) -> list[Ranked]:
    """Sort by estimated error, with intervals by bootstrap.

    is_unsure: the estimate cannot be trusted, so that no method can be told apart from the first.
    """
    if not outcomes:
        return []
    ordered = sorted(outcomes, key=lambda outcome: unit_errors(outcome.errors).umse)
    units = [unit_errors(outcome.errors) for outcome in ordered]
    draws = bootstrap_umse(units)
    ranking = []
    for index, outcome in enumerate(ordered):
        count = len(units[index].pixels)
        low, high = interval(draws[:, index], count)
        behind, _ = interval(draws[:, index] - draws[:, 0], count)
        like_first = is_unsure or not behind > 0
        psnr_db, low_db, high_db = map(upsnr_db, (units[index].umse, high, low))
        ranking.append(Ranked(index + 1, outcome, psnr_db, low_db, high_db, like_first))
    return ranking


def cells(ranked: Ranked) -> list[str]:
    """Return a line of the table for people, one text for each of COLUMNS."""
    outcome = ranked.outcome
    low, high = (upsnr_text(value) for value in (ranked.low_db, ranked.high_db))
    return [
        f"{ranked.number}{'=' if ranked.like_first and ranked.number > 1 else ''}",
        outcome.name,
        upsnr_text(ranked.psnr_db),
        low if low == high else f"{low} to {high}",
        upsnr_text(outcome.upsnr_db),
        f"{outcome.training_seconds:.0f}",
        f"{outcome.seconds_per_megapixel:.1f}",
        str(outcome.peak_memory_mib),
    ]


def all_cells(ranking: Sequence[Ranked], noisy_db: float) -> list[list[str]]:
    """Return the lines of the table for people; the last is the noisy pictures themselves.

    noisy_db: their estimated PSNR.
    """
    noisy = ["", "noisy, as they are", upsnr_text(noisy_db)]
    return [*map(cells, ranking), [*noisy, *[""] * (len(COLUMNS) - len(noisy))]]


def columns_within(width: int) -> int:
    """Return how many of COLUMNS are shown in so many characters; all of them need WIDTH."""
    return len(COLUMNS) if width >= WIDTH else NARROW_COLUMNS


def as_text(ranking: Sequence[Ranked], noisy_db: float, columns: int = len(COLUMNS)) -> str:
    """Return the first ``columns`` of the table for people, in columns of equal width."""
    lines = [line[:columns] for line in (COLUMNS, *all_cells(ranking, noisy_db))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def legend(ranking: Sequence[Ranked]) -> list[str]:
    """Say what the columns mean, and which methods had too little time to be judged by."""
    units = unit_errors(ranking[0].outcome.errors)
    return [
        *hardly_trained(ranking),
        "Estimated PSNR: how close the result comes to the clean picture, which nobody has; higher "
        "is better. It is estimated from the noisy pictures, scaled to [0, 1], with noise "
        f"{100 * (NOISE_RATIO - 1):.0f} % stronger than theirs.",
        f"95 % interval: how far that can be trusted, by drawing the {len(units.pixels)} "
        f"{units.kind} again and again. A method marked = cannot be told apart from the first.",
        "uPSNR: a second opinion (Marcos-Morales et al. 2023), on pictures of half the size. It "
        "favors blur where detail is fine.",
        "Seconds per megapixel: of restoring. Memory: the most that the method took, Python and "
        "PyTorch included.",
    ]


def hardly_trained(ranking: Sequence[Ranked]) -> list[str]:
    """Say which methods had too little time, if any had."""
    crops = {ranked.outcome.method: ranked.outcome.learned_crops for ranked in ranking}
    few = [f"{name} ({n})" for name, n in crops.items() if n is not None and n < CROPS_FEW]
    if not few:
        return []
    return [
        f"Learned from few crops of the pictures, so more time would do better: {', '.join(few)}. "
        "More minutes, or fewer methods at a time, judge them fairly."
    ]


def rows(ranking: Sequence[Ranked], unranked: Sequence[Tried]) -> Iterator[dict[str, Any]]:
    """Yield the lines of comparison.csv: the ranking, then the methods that are not in it."""
    for ranked in ranking:
        outcome = ranked.outcome
        yield {
            "place": ranked.number,
            "method": outcome.name,
            "psnr_db": round(ranked.psnr_db, 3),
            "low_db": round(ranked.low_db, 3),
            "high_db": round(ranked.high_db, 3),
            "like_first": ranked.like_first,
            "upsnr_db": round(outcome.upsnr_db, 3),
            "seconds_to_train": round(outcome.training_seconds, 1),
            "seconds_per_megapixel": round(outcome.seconds_per_megapixel, 2),
            "peak_memory_mib": outcome.peak_memory_mib,
            "failure": "",
        }
    for tried in unranked:
        yield {"method": tried.method, "failure": tried.failure}
