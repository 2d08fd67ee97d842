"""Score files + printed values -> a table that puts our number beside the paper's.

A cell is filled by score files and by nothing else; the paper's value has a column of its own.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from unpaired.corruptions.noise import CAMERA, NONE
from unpaired.datasets import get_dataset
from unpaired.errors import UnpairedError
from unpaired.files import reading
from unpaired.methods import METRICS as LEARNED_DISTANCES
from unpaired.plan import Cell, Model, Score, TablePlan
from unpaired.sealed_csv import REMEDY, read_record, read_rows
from unpaired.settings import Correlation


@dataclass(frozen=True)
class Metric:
    """match, near: differences to the paper that are called so, whatever their sign.

    A printed value is rounded, and seeds differ by about the first.
    """

    title: str
    decimals: int
    match: float
    near: float


METRICS = {
    "psnr_db": Metric("PSNR (dB)", 2, 0.1, 0.5),
    "ssim": Metric("SSIM", 3, 0.005, 0.02),
    # Of colours, in percent; a test set's prior or the averaging order move them by tenths.
    "auc": Metric("AuC (%)", 1, 0.3, 1.0),
    "auc_rebalanced": Metric("rebalanced AuC (%)", 1, 0.3, 1.0),
    "auc_per_image": Metric("AuC per image (%)", 1, 0.3, 1.0),
    "auc_rebalanced_per_image": Metric("rebalanced AuC per image (%)", 1, 0.3, 1.0),
    # The interval of a share of 5,000 triplets is about +-1.
    "two_afc": Metric("2AFC (%)", 1, 0.5, 2.0),
    "jnd_map": Metric("JND mAP (%)", 1, 0.5, 2.0),
    "correlation": Metric("correlation", 3, 0.02, 0.1),
}
GAIN_MIN_DB = 3.0  # A denoiser that gains less over its input is called undertrained.
IMAGES_FOR_INTERVAL = 10
BYTES_PER_PARAMETER = 4
CONFIDENCE = 0.95
CORRELATION = "correlation"
ROWS_FOR_CORRELATION = 4  # Fisher's interval needs them.
SIMULATED_OBSERVER = (
    "Columns of the simulated observer: a model of early vision votes, on patches of seven "
    "photographs. No human saw them; they are not the paper's numbers."
)
# How a training runs, not what it computes.
NOT_DEVIATIONS = {"threads", "workers", "checkpoint_seconds", "precision", "devices", "nodes"}

OK, UNDERTRAINED, NOT_RUN, DATA_ABSENT = "ok", "undertrained", "not run", "data absent"

PaperKey = tuple[str, str, str, str]  # setting, method, dataset, metric


@dataclass(frozen=True)
class Line:
    """One number of a table. ``value`` is ours, ``paper_value`` the printed one; either may lack.

    ci_low, ci_high: 95 % interval of the mean over images, from 10 images on. delta: ours minus the
    paper's, only where data set and scoring protocol are the paper's.
    """

    table: int
    setting: str
    method: str
    dataset: str
    metric: str
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n_images: int | None = None
    repeats: int | None = None
    seeds: str = ""
    paper_value: float | None = None
    delta: float | None = None
    scale: str = ""
    status: str = NOT_RUN


def read_paper_numbers(path: Path) -> dict[PaperKey, float]:
    """Read the printed values; raises UnpairedError for a missing column."""
    needed = {"setting", "method", "dataset", "metric", "value"}
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not needed <= set(reader.fieldnames or ()):
            raise UnpairedError(f"{path}: columns {', '.join(sorted(needed))} are needed")
        return {
            (row["setting"], row["method"], row["dataset"], row["metric"]): float(row["value"])
            for row in reader
        }


def read_scores(path: Path) -> list[dict[str, str]]:
    """Read one score file; raises UnpairedError if it is missing, empty or not as written."""
    rows = read_rows(path, path.with_suffix(".json"))
    if not rows:
        raise UnpairedError(f"{path}: holds no scores; {REMEDY}")
    return rows


def build_lines(plan: TablePlan, paper: dict[PaperKey, float], root: Path) -> list[Line]:
    """Return every number of the table in the paper's order; ``root`` holds ``results/``."""
    planned = {(cell.setting, cell.method, cell.testset): cell for cell in plan.cells}
    whole, paper = paper, {key: paper[key] for key in paper if key[3] != CORRELATION}
    printed = () if plan.is_part else (key[2] for key in paper)
    testsets = list(dict.fromkeys([*(cell.testset for cell in plan.cells), *printed]))
    lines: list[Line] = []
    for setting, method in row_order(plan, paper):
        for testset in testsets:
            key = setting, method, testset
            lines += _cell_lines(plan, planned.get(key), key, paper, root)
    return [*lines, *(_correlation_line(plan, how, lines, whole) for how in _correlations(plan))]


def _correlations(plan: TablePlan) -> list[Correlation]:
    """Return those to show: in a part of a table not all rows are there to correlate."""
    return [] if plan.is_part else plan.table.correlations


def _correlation_line(
    plan: TablePlan, how: Correlation, lines: list[Line], paper: dict[PaperKey, float]
) -> Line:
    """Return Pearson's correlation of two metrics over the networks of a table, as in the paper.

    Its n_images counts rows, and its interval is Fisher's. Formulas have no part in it: the paper
    correlates networks.
    """
    values = {(line.setting, line.method, line.metric, line.dataset): line.value for line in lines}
    networks = dict.fromkeys(
        (cell.setting, cell.method) for cell in plan.cells if cell.row.method in LEARNED_DISTANCES
    )
    points = []
    for row in networks:
        of_row = [
            [values.get((*row, metric, testset)) for testset in testsets]
            for metric, testsets in how.of.items()
        ]
        if not any(value is None for of_metric in of_row for value in of_metric):
            points.append([np.mean(of_metric) for of_metric in of_row])
    key = how.setting, how.method, how.dataset
    line = Line(plan.table.number, *key, CORRELATION, paper_value=paper.get((*key, CORRELATION)))
    if len(points) < ROWS_FOR_CORRELATION:
        return Line(**{**asdict(line), "status": DATA_ABSENT})
    from scipy.stats import pearsonr  # It takes longer to load than most tables to assemble.

    found = pearsonr(*np.transpose(points))
    interval = found.confidence_interval(CONFIDENCE)
    filled = {
        "value": float(found.statistic),
        "ci_low": float(interval.low),
        "ci_high": float(interval.high),
        "n_images": len(points),
        "repeats": 1,
        "scale": plan.settings.scale,
        "status": OK,
    }
    return Line(**{**asdict(line), **filled})


def row_order(plan: TablePlan, paper: dict[PaperKey, float]) -> list[tuple[str, str]]:
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


def _cell_lines(
    plan: TablePlan,
    cell: Cell | None,
    key: tuple[str, str, str],
    paper: dict[PaperKey, float],
    root: Path,
) -> list[Line]:
    """Return one line per metric; none if neither we nor the paper have anything to say."""
    metrics = plan.table.metrics_at(key[2])
    printed = [paper.get((*key, metric)) for metric in metrics]
    if cell is None and printed == [None] * len(metrics):
        return []
    measured = _measure(cell, metrics, root) if cell and cell.scores else None
    return [
        _line(plan, cell, key, metric, measured, paper_value)
        for metric, paper_value in zip(metrics, printed, strict=True)
    ]


@dataclass(frozen=True)
class _Measured:
    """Per-image means over repeats and seeds, by metric.

    pooled: metrics that are no mean over images, mean over seeds. n_images: how many there are.
    gain_db: mean gain over the input, None where nothing is restored.
    """

    per_image: dict[str, np.ndarray]
    pooled: dict[str, float]
    n_images: int
    gain_db: float | None


def _measure(cell: Cell, metrics: list[str], root: Path) -> _Measured:
    rows = [row for score in cell.scores for row in read_scores(root / f"{score.stem}.csv")]
    images: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        images.setdefault(row["image"], []).append(row)
    per_image = {
        metric: np.array([_mean(of_image, metric) for of_image in images.values()])
        for metric in metrics
        if metric in rows[0]
    }
    pooled = {}
    if len(per_image) < len(metrics):
        records = [read_record(root / f"{score.stem}.json") for score in cell.scores]
        pooled = {
            metric: float(np.mean([record["pooled"][metric] for record in records]))
            for metric in metrics
            if metric not in per_image
        }
    gain = None
    if "noisy_psnr_db" in rows[0]:
        gain = _mean(rows, "psnr_db") - _mean(rows, "noisy_psnr_db")
    return _Measured(per_image, pooled, len(images), gain)


def _mean(rows: list[dict[str, str]], metric: str) -> float:
    return float(np.mean([float(row[metric]) for row in rows]))


def _line(
    plan: TablePlan,
    cell: Cell | None,
    key: tuple[str, str, str],
    metric: str,
    measured: _Measured | None,
    paper_value: float | None,
) -> Line:
    line = Line(plan.table.number, *key, metric, paper_value=paper_value)
    if measured is None:
        status = DATA_ABSENT if cell is not None else NOT_RUN
        return Line(**{**asdict(line), "status": status})
    values, protocol = measured.per_image.get(metric), cell.scores[0].protocol
    value = measured.pooled[metric] if values is None else float(values.mean())
    low, high = (None, None) if values is None else interval(values)
    comparable = paper_value is not None and protocol.is_papers
    seeds = [score.model.spec["seed"] for score in cell.scores if score.model.is_trained]
    filled = {
        "value": value,
        "ci_low": low,
        "ci_high": high,
        "n_images": measured.n_images,
        "repeats": protocol.repeats,
        "seeds": " ".join(map(str, seeds)),
        "delta": value - paper_value if comparable else None,
        "scale": plan.settings.scale,
        "status": _status(measured.gain_db),
    }
    return Line(**{**asdict(line), **filled})


def _status(gain_db: float | None) -> str:
    return OK if gain_db is None or gain_db >= GAIN_MIN_DB else UNDERTRAINED


def interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Return Student's 95 % interval of the mean; (None, None) for fewer than 10 values."""
    n = len(values)
    if n < IMAGES_FOR_INTERVAL:
        return None, None
    half = stdtrit(n - 1, 0.5 + CONFIDENCE / 2) * values.std(ddof=1) / math.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)


def lines_as_csv(lines: Iterable[Line]) -> str:
    """Return the tidy table: one row per number, empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Line))
    for line in lines:
        writer.writerow(_plain(value, line.metric) for value in asdict(line).values())
    return text.getvalue()


def _plain(value: object, metric: str) -> object:
    if value is None:
        return ""
    return f"{value:.{METRICS[metric].decimals + 2}f}" if isinstance(value, float) else value


def read_lines(path: Path) -> list[Line]:
    """Read the tidy table back.

    Raises UnpairedError if it is missing, not as it was written, or of another version.
    """
    names = [field.name for field in fields(Line)]
    with reading(path), open(path, "rb") as file:
        if file.readline().strip() != ",".join(names).encode():
            raise UnpairedError(f"{path}: columns {', '.join(names)} are needed; {REMEDY}")
    return [_line_from(row) for row in read_rows(path, path.with_suffix(".json"))]


def _line_from(row: dict[str, str]) -> Line:
    numbers = dict.fromkeys(("value", "ci_low", "ci_high", "paper_value", "delta"), float)
    numbers |= dict.fromkeys(("table", "n_images", "repeats"), int)
    return Line(
        **{
            key: (number(row[key]) if row[key] else None)
            if (number := numbers.get(key))
            else row[key]
            for key in row
        }
    )


def shown_names(
    plan: TablePlan, rows: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, str]]:
    """Return (noise, row) by what the paper's numbers call them.

    Where the paper's names hide what a row is, as in its ablations, ours are shown. A row that only
    the paper has stands with ours of its setting.
    """
    ours = {(cell.setting, cell.method): (cell.noise, cell.row.name) for cell in plan.cells}
    noises = {cell.setting: cell.noise for cell in plan.cells}
    printed = {row: (noises.get(row[0], row[0]), row[1]) for row in rows}
    return printed | ours


def row_notes(plan: TablePlan) -> list[str]:
    """Return what is particular about a row, each note once."""
    noted = dict.fromkeys((cell.row.name, cell.row.note) for cell in plan.cells if cell.row.note)
    return [f"{name}: {note}." for name, note in noted]


def title_of_testset(plan: TablePlan, testset: str) -> str:
    """Return a test set's full name; one that only the paper has goes by its short name."""
    run = any(cell.testset == testset for cell in plan.cells)
    return get_dataset(testset, plan.settings).title if run else testset


def lines_as_markdown(plan: TablePlan, lines: list[Line]) -> str:
    """Return the table laid out as the paper prints it, with its deviations listed below."""
    cells = {(line.setting, line.method, line.dataset, line.metric): line for line in lines}
    rows = list(dict.fromkeys((line.setting, line.method) for line in lines))
    names = shown_names(plan, rows)
    columns = _columns(plan, lines)
    header = ["noise", "method", *(title for title, _, _ in columns)]
    body, last_noise = [], None
    for row in rows:
        noise, name = names[row]
        texts = [_cell_text(plan, cells, (*row, testset), own) for _, testset, own in columns]
        body.append(["" if noise == last_noise else noise, name, *texts])
        last_noise = noise
    titles = [METRICS[metric].title for metric in plan.table.all_metrics]
    # Different columns hold different metrics, or every cell holds all of them.
    cells_are = (" or " if plan.table.metrics_of else " / ").join(titles)
    sections = [
        f"# {plan.table.name}: {plan.table.title}",
        f"{plan.table.paper}. Cells are {cells_are}.",
        align_markdown([header, *body]),
        "\n".join(f"- {item}" for item in [*deviations(plan), *row_notes(plan)]),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _columns(plan: TablePlan, lines: list[Line]) -> list[tuple[str, str, bool]]:
    """Return (title, test set, is ours); a column of the paper only where it printed something."""
    columns = []
    for testset in dict.fromkeys(line.dataset for line in lines):
        title = title_of_testset(plan, testset)
        columns.append((f"{title}: ours", testset, True))
        if any(line.paper_value is not None for line in lines if line.dataset == testset):
            columns.append((f"{title}: paper", testset, False))
    return columns


def _cell_text(
    plan: TablePlan, cells: dict[PaperKey, Line], key: tuple[str, str, str], own: bool
) -> str:
    found = {m: cells.get((*key, m)) for m in plan.table.all_metrics}
    metrics = [metric for metric, line in found.items() if line is not None]
    lines = [found[metric] for metric in metrics]
    if not lines:
        return ""
    values = [line.value if own else line.paper_value for line in lines]
    if all(value is None for value in values):
        return lines[0].status if own else ""
    texts = [
        "-" if value is None else f"{value:.{METRICS[metric].decimals}f}"
        for value, metric in zip(values, metrics, strict=True)
    ]
    text = "/".join(texts)
    return f"{text} ({UNDERTRAINED})" if own and lines[0].status == UNDERTRAINED else text


def align_markdown(rows: list[list[str]]) -> str:
    """Return a Markdown table whose columns also line up in a terminal; the head comes first."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])


def deviations(plan: TablePlan) -> list[str]:
    """Say how this run differs from the paper's, from the settings themselves."""
    settings, said = plan.settings, []
    if plan.table.task == "judge":
        said += _judge_deviations(plan)
    changed = {
        f"{section}.{key}": value
        for section in ("training", "network")
        for key, value in getattr(settings, section).model_dump(exclude_defaults=True).items()
        if key not in NOT_DEVIATIONS
    }
    if changed and plan.table.task == "restore":
        listed = ", ".join(f"{key} = {value}" for key, value in sorted(changed.items()))
        said.append(f"Training differs from the papers': {listed}.")
    run = {model.method for model in [*plan.models, *plan.trainings]}
    run |= {cell.row.method for cell in plan.cells}
    for method, values in settings.overrides.items():
        if method not in run:
            continue
        listed = ", ".join(f"{key} = {value}" for key, value in sorted(values.items()))
        said.append(f"{method}: {listed}.")
    own = [row.train_sets or plan.table.train_sets for row in plan.table.rows]
    kept = {name for sets in own if sets for _, name in sets.paper if name}
    papers = sorted(kept | ({"imagenet_val"} if None in own else set()))
    instead = [name for name in plan.train_sets if name not in papers]
    if instead:
        said.append(f"Trained on {' and '.join(instead)} instead of {' and '.join(papers)}.")
    if plan.table.task == "judge":
        return said
    if settings.evaluation.crop_px:
        said.append(
            f"Scored on centre crops of {settings.evaluation.crop_px} px, not whole images."
        )
    if settings.evaluation.repeats and not set(plan.noises) <= {CAMERA, NONE}:
        said.append(
            f"{settings.evaluation.repeats} noise draw(s) per image, not the paper's number."
        )
    return said


def _judge_deviations(plan: TablePlan) -> list[str]:
    shown = {cell.testset for cell in plan.cells if cell.scores}
    rendered = any(get_dataset(name, plan.settings).rendered for name in shown)
    return [SIMULATED_OBSERVER] if rendered else []


def costs_as_csv(plan: TablePlan, root: Path) -> str:
    """Return what each model cost to train and costs to use, from the records of the runs.

    At demo scale also what the paper's budget would cost here, per training, or per image where a
    method is fitted to each (see costs.py); empty for a method that is not fitted, and where the
    cost is not that of the method (see ``TablePlan.measured_budgets``).
    """
    budgets = {
        method: read_record(root / f"results/budgets/{method}.json")
        for method in plan.measured_budgets
    }
    with_defaults = {cell.row.name for cell in plan.cells if cell.row.defaults}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    about = ("parameters", "images_seen", "seconds", "device", "precision", "peak_memory_mib")
    writer.writerow(
        [
            "row",
            "noise",
            "model",
            "seed",
            *(f"train_{key}" for key in about),
            "model_megabytes",
            "restore_seconds_per_mpix",
            "paper_budget_hours",
            "paper_budget_hours_per",
        ]
    )
    for (row, noise, model), scores in _scores_by_model(plan).items():
        record = {}
        if model.is_trained:
            record = read_record(root / f"results/models/{model.id}/model.json")
        seconds = [
            float(line["seconds_per_mpix"])
            for score in scores
            for line in read_scores(root / f"{score.stem}.csv")
        ]
        restoring = f"{np.mean(seconds):.3f}" if seconds else ""
        cost = [record.get(key, "") for key in about]
        cost.append(f"{BYTES_PER_PARAMETER * record['parameters'] / 1e6:.3f}" if record else "")
        budget = _budget_texts(None if row in with_defaults else budgets.get(model.method))
        seed = model.spec.get("seed", "")
        writer.writerow([row, noise, model.id, seed, *cost, restoring, *budget])
    return text.getvalue()


def _scores_by_model(plan: TablePlan) -> dict[tuple[str, str, Model], list[Score]]:
    """Return the scores of every model of a row; none for one that only others need."""
    scores: dict[tuple[str, str, Model], list[Score]] = {}
    for cell in plan.cells:
        for score in cell.scores:
            for needed in score.model.lineage:
                scores.setdefault((cell.row.name, cell.noise, needed), [])
            scores[cell.row.name, cell.noise, score.model].append(score)
    return scores


def _budget_texts(budget: dict[str, Any] | None) -> tuple[str, str]:
    if budget is None or budget["hours"] is None:
        return "", ""
    return f"{budget['hours']:.3g}", budget["hours_per"]
