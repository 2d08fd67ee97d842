"""Score files and printed values -> the numbers of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from unpaired.core.sealed_csv import read_record
from unpaired.pipeline.frames import read_scores
from unpaired.pipeline.models import Cell, TablePlan
from unpaired.pipeline.table import Correlation
from unpaired.pipeline.tables.lines import (
    CORRELATION,
    DATA_ABSENT,
    KEY,
    OK,
    UNDERTRAINED,
    Line,
    PaperKey,
)

GAIN_MIN_DB, GAIN_MAX_DB = 0.5, 3.0
IMAGES_FOR_INTERVAL = 10
CONFIDENCE = 0.95
ROWS_FOR_CORRELATION = 4  # Fisher's interval needs them.
CELL = KEY[:3]
OUTPUT, INPUT = "psnr_db", "noisy_psnr_db"
SECONDS = "seconds_per_mpix"  # Of every score file, whatever else it holds.

CellKey = tuple[str, str, str]  # as in CELL
Numbers = float | pd.Series


def build_lines(plan: TablePlan, paper: dict[PaperKey, float], root: Path) -> list[Line]:
    """Return every number of the table in the paper's order; ``root`` holds ``results/``."""
    planned = {(cell.setting, cell.method, cell.testset): cell for cell in plan.cells}
    printed = {key: paper[key] for key in paper if key[3] != CORRELATION}
    measured = _measure(plan, planned, root)
    lines = [
        _line(plan, planned.get(key), (*key, metric), measured, printed.get((*key, metric)))
        for key in _cells(plan, planned, printed)
        for metric in plan.table.metrics_at(key[2])
    ]
    return [*lines, *(_correlation_line(plan, how, lines, paper) for how in _correlations(plan))]


def _cells(
    plan: TablePlan, planned: Iterable[CellKey], printed: dict[PaperKey, float]
) -> list[CellKey]:
    """Return the cells of which we or the paper have anything to say."""
    testsets = [cell.testset for cell in plan.cells]
    if not plan.is_part:
        testsets += [testset for _, _, testset, _ in printed]
    told = {*planned, *(key[:3] for key in printed if key[3] in plan.table.metrics_at(key[2]))}
    return [
        (*row, testset)
        for row in row_order(plan, printed)
        for testset in dict.fromkeys(testsets)
        if (*row, testset) in told
    ]


def row_order(plan: TablePlan, paper: Iterable[PaperKey]) -> list[tuple[str, str]]:
    """Return the paper's order of (setting, method); a row of ours alone follows the one before it.

    A part of a table shows the rows that were asked for and no others.
    """
    ours = list(dict.fromkeys((cell.setting, cell.method) for cell in plan.cells))
    if plan.is_part:
        return ours
    order = list(dict.fromkeys(key[:2] for key in paper))
    for position, row in enumerate(ours):
        if row not in order:
            order.insert(order.index(ours[position - 1]) + 1 if position else 0, row)
    return order


def _line(
    plan: TablePlan,
    cell: Cell | None,
    key: PaperKey,
    measured: dict[PaperKey, dict[str, Any]],
    paper_value: float | None,
) -> Line:
    line = Line(plan.table.number, *key, paper_value=paper_value)
    if cell is None or not cell.scores:
        return line if cell is None else replace(line, status=DATA_ABSENT)
    protocol = cell.scores[0].protocol
    seeds = [score.model.spec["seed"] for score in cell.scores if score.model.is_trained]
    line = replace(
        line,
        repeats=protocol.repeats,
        seeds=" ".join(map(str, seeds)),
        scale=plan.settings.scale,
        **measured[key],
    )
    if line.value is None:
        return line  # Its status says why.
    comparable = paper_value is not None and protocol.is_papers
    return replace(line, delta=line.value - paper_value) if comparable else line


def _measure(
    plan: TablePlan, planned: Mapping[CellKey, Cell], root: Path
) -> dict[PaperKey, dict[str, Any]]:
    """Return value, ci_low, ci_high, n_images and status of all that is scored.

    Where a record says in words why there is no value, these are the status.
    """
    scored = [
        (key, score, plan.table.metrics_at(key[2]))
        for key, cell in planned.items()
        for score in cell.scores
    ]
    if not scored:
        return {}
    scores = pd.concat(
        [_read_numbers(root / f"{score.stem}.csv", metrics) for _, score, metrics in scored],
        keys=[key for key, _, _ in scored],
        names=CELL,
    )
    # Over repeats and seeds first: the interval is one over images.
    per_image = scores.groupby([*KEY, "image"], sort=False).mean(skipna=False)
    found = _over_images(per_image)
    # What is no mean over images stands in the records of the scores.
    pooled = [
        ((*key, metric), read_record(root / f"{score.stem}.json")["pooled"][metric])
        for key, score, metrics in scored
        for metric in metrics
        if (*key, metric) not in found.index
    ]
    why_none = {key: told for key, told in pooled if isinstance(told, str)}
    numbers = [(key, told) for key, told in pooled if key not in why_none]
    of_cells = _of_cells(per_image, found["value"])
    found = pd.concat([found, _over_seeds(numbers)]).join(of_cells, on=CELL)
    without = {
        key: {"n_images": int(of_cells.loc[key[:3], "n_images"]), "status": why}
        for key, why in why_none.items()
    }
    return found.to_dict("index") | without


def _read_numbers(path: Path, metrics: list[str]) -> pd.Series:
    """Return what a score file says of each image and metric, one number per repeat."""
    scores = read_scores(path).set_index("image").rename_axis(columns="metric")
    columns = scores.columns.intersection([*metrics, OUTPUT, INPUT, SECONDS])
    return scores[columns].astype(float).stack()


def _over_images(per_image: pd.Series) -> pd.DataFrame:
    """Return the mean over images of every metric, with its interval."""
    of_metrics = per_image.groupby(KEY, sort=False)
    means, counts = of_metrics.mean(skipna=False), of_metrics.size()
    ends = interval(means, of_metrics.std(skipna=False), counts)
    low, high = (end.astype(object).where(counts >= IMAGES_FOR_INTERVAL, None) for end in ends)
    return pd.DataFrame({"value": means, "ci_low": low, "ci_high": high})


def _over_seeds(pooled: list[tuple[PaperKey, float]]) -> pd.DataFrame:
    """Return metrics that are no means over images, one number per seed: their means."""
    values = pd.Series(
        [value for _, value in pooled],
        index=pd.MultiIndex.from_tuples([key for key, _ in pooled], names=KEY),
        dtype=float,
    )
    means = values.groupby(KEY, sort=False).mean(skipna=False)
    return pd.DataFrame({"value": means, "ci_low": None, "ci_high": None})


def _of_cells(per_image: pd.Series, values: pd.Series) -> pd.DataFrame:
    """Return what the metrics of a cell share: its number of images, and how it is called."""
    counts = per_image.xs(SECONDS, level="metric").groupby(CELL).size()
    ends = values.unstack("metric").reindex(columns=[OUTPUT, INPUT])
    # Without an input nothing is restored, and nothing can be gained.
    gained = ends[OUTPUT] - ends[INPUT]
    is_trained = ends[INPUT].isna() | (gained >= least_gain_db(ends[INPUT]))
    return pd.DataFrame(
        {"n_images": counts, "status": is_trained.map({True: OK, False: UNDERTRAINED})}
    )


def least_gain_db(input_psnr_db: Numbers) -> Numbers:
    """Return what a denoiser must gain over its input to be called trained.

    That is 3 dB at 20 dB and less where there is less to gain: over a quarter of what BM3D gains
    on photographs with as much Gaussian noise (10.8 dB at 20.2 dB, 7.8 at 28.1, 5.8 at 34.2, 3.6 at
    42.1: crops of eight Kodak images at noise of standard deviation 25, 10, 5 and 2 of 255).
    """
    return np.clip(5 - input_psnr_db / 10, GAIN_MIN_DB, GAIN_MAX_DB)


def interval(mean: Numbers, std: Numbers, count: Numbers) -> tuple[Numbers, Numbers]:
    """Return Student's 95 % interval of means, from the samples' standard deviations (ddof 1)."""
    half = stdtrit(count - 1, 0.5 + CONFIDENCE / 2) * std / np.sqrt(count)
    return mean - half, mean + half


def _correlations(plan: TablePlan) -> list[Correlation]:
    """Return those to show: in a part of a table not all rows are there to correlate."""
    return [] if plan.is_part else plan.table.correlations


def _correlation_line(
    plan: TablePlan, how: Correlation, lines: list[Line], paper: dict[PaperKey, float]
) -> Line:
    """Return Pearson's correlation of two metrics over the rows of one method.

    Its n_images counts rows, and its interval is Fisher's.
    """
    values = {(line.setting, line.method, line.metric, line.dataset): line.value for line in lines}
    correlated = dict.fromkeys(
        (cell.setting, cell.method) for cell in plan.cells if cell.row.method == how.over
    )
    points = []
    for row in correlated:
        of_row = [
            [values.get((*row, metric, testset)) for testset in testsets]
            for metric, testsets in how.of.items()
        ]
        if not any(value is None for of_metric in of_row for value in of_metric):
            points.append([np.mean(of_metric) for of_metric in of_row])
    key = how.setting, how.method, how.dataset
    line = Line(plan.table.number, *key, CORRELATION, paper_value=paper.get((*key, CORRELATION)))
    if len(points) < ROWS_FOR_CORRELATION:
        return replace(line, status=DATA_ABSENT)
    from scipy.stats import pearsonr  # It takes longer to load than most tables to assemble.

    found = pearsonr(*np.transpose(points))
    ends = found.confidence_interval(CONFIDENCE)
    return replace(
        line,
        value=float(found.statistic),
        ci_low=float(ends.low),
        ci_high=float(ends.high),
        n_images=len(points),
        repeats=1,
        scale=plan.settings.scale,
        status=OK,
    )
