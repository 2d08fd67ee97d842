"""Rows against the pairs alone, portrait by portrait: paired bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unpaired.core.errors import UnpairedError
from unpaired.metrics.paired_bootstrap import paired_difference

METRICS = ("psnr_db", "ssim", "hole_psnr_db", "feature_distance", "lpips")
OVER_SEEDS = "all"
UNSEEDED = "none"  # Of a row that learns nothing: it is compared with every seed.


@dataclass(frozen=True)
class Scores:
    """A score file. seed: as text, "none" where nothing was trained."""

    row: str
    seed: str
    frame: pd.DataFrame


def differences(files: Iterable[Scores], base: str) -> list[dict[str, object]]:
    """Return, for every row but ``base``, what each metric is above that of ``base``.

    Rows are of the same portraits; a seed is compared with the same seed, and the seed "all" is the
    mean over seeds of every portrait. Raises UnpairedError where portraits differ.
    """
    found: list[dict[str, object]] = []
    by_row: dict[str, dict[str, pd.DataFrame]] = {}
    for one in files:
        by_row.setdefault(one.row, {})[one.seed] = one.frame.set_index("image")
    bases = by_row[base]
    for row, own in by_row.items():
        if row == base:
            continue
        seeds = [seed for seed in bases if seed in own or UNSEEDED in own]
        each = {seed: (bases[seed], own.get(seed, own.get(UNSEEDED))) for seed in seeds}
        for metric in METRICS:
            found += _of_metric(row, metric, each)
    return found


def _of_metric(
    row: str, metric: str, each: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]
) -> list[dict[str, object]]:
    columns = {}
    for seed, (base, own) in each.items():
        if metric not in base or metric not in own:
            return []
        if not base.index.equals(own.index):
            raise UnpairedError(f"row {row}, seed {seed}: scored on other portraits")
        columns[seed] = base[metric].astype(float).to_numpy(), own[metric].astype(float).to_numpy()
    if len(columns) > 1:
        pairs = zip(*columns.values(), strict=True)
        columns[OVER_SEEDS] = tuple(np.mean(side, axis=0) for side in pairs)
    lines = []
    for seed, (first, second) in columns.items():
        difference = paired_difference(first, second, metric, seed)
        numbers = {"difference": difference.mean, "ci_low": difference.low}
        numbers |= {"ci_high": difference.high, "portraits": len(first)}
        lines.append({"row": row, "seed": seed, "metric": metric, **numbers})
    return lines
