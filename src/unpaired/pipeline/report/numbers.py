"""The numbers of a table as the cells of a page, in the paper's layout: one block per noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.data.noise import CAMERA, NOISES, NONE
from unpaired.pipeline.frames import read_frame
from unpaired.pipeline.models import TablePlan
from unpaired.pipeline.tables.layout import shown_names, title_of_testset
from unpaired.pipeline.tables.lines import Line, PaperKey, metric_of
from unpaired.pipeline.tables.measuring import IMAGES_FOR_INTERVAL

SIZES = ("match", "near")  # of a difference to the paper, as ``Metric`` says for each
LARGEST_SIZE = "far"
MINUS = "\N{MINUS SIGN}"

Anchors = Mapping[tuple[str, str, str], str]  # (setting, method, test set) -> id on the page


@dataclass(frozen=True)
class Shown:
    """What one cell shows. ``sort``: the exact number or the word; empty if there is no value."""

    text: str
    sort: str = ""
    kind: str = ""
    detail: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Column:
    """``quantity``: "ours", "paper" or "difference"; empty for the status, which has no metric."""

    title: str
    testset: str
    quantity: str
    metric: str


@dataclass(frozen=True)
class ColumnGroup:
    """A test set's columns; ``about`` says how many images its numbers are means of."""

    title: str
    about: str
    columns: list[Column]


@dataclass(frozen=True)
class NoiseBlock:
    """The rows of one noise: method and cells."""

    noise: str
    about: str
    rows: list[tuple[str, list[Shown]]]


@dataclass(frozen=True)
class CostTable:
    columns: list[str]
    rows: list[list[Shown]]


def column_groups(plan: TablePlan, lines: Sequence[Line]) -> list[ColumnGroup]:
    """Return the columns that hold anything, by test set; each test set has a status."""
    return [
        _column_group(plan, testset, [line for line in lines if line.dataset == testset])
        for testset in dict.fromkeys(line.dataset for line in lines)
    ]


def _column_group(plan: TablePlan, testset: str, lines: Sequence[Line]) -> ColumnGroup:
    has = {
        "ours": any(line.value is not None for line in lines),
        "paper": any(line.paper_value is not None for line in lines),
    }
    has["difference"] = has["ours"] and has["paper"]
    columns = [
        Column(metric_of(metric).title, testset, quantity, metric)
        for metric in dict.fromkeys(line.metric for line in lines)
        for quantity, there in has.items()
        if there
    ]
    columns.append(Column("status", testset, "", lines[0].metric))
    return ColumnGroup(title_of_testset(plan, testset), _about(lines), columns)


def _about(lines: Sequence[Line]) -> str:
    """Say what the means of a test set are over."""
    measured = next((line for line in lines if line.value is not None), None)
    if measured is None:
        return ""
    said = f"images: {measured.n_images}, noise draws of each: {measured.repeats}"
    if measured.ci_low is None:
        said += f"; an interval needs {IMAGES_FOR_INTERVAL} images"
    return said


def noise_blocks(
    plan: TablePlan, lines: Sequence[Line], groups: Sequence[ColumnGroup], anchors: Anchors
) -> list[NoiseBlock]:
    """Return the rows in the order of ``lines``, which is the paper's, by noise."""
    by_key = {(line.setting, line.method, line.dataset, line.metric): line for line in lines}
    rows = list(dict.fromkeys((line.setting, line.method) for line in lines))
    names, columns = shown_names(plan, rows), [c for group in groups for c in group.columns]
    blocks: dict[str, NoiseBlock] = {}
    for row in rows:
        noise, name = names[row]
        block = blocks.setdefault(noise, NoiseBlock(noise, describe_noise(noise), []))
        block.rows.append((name, [_shown(by_key, row, column, anchors) for column in columns]))
    return list(blocks.values())


def _shown(
    lines: Mapping[PaperKey, Line], row: tuple[str, str], column: Column, anchors: Anchors
) -> Shown:
    line = lines.get((*row, column.testset, column.metric))
    if line is None:
        return Shown("not in this table", kind="missing")
    if not column.quantity:
        return Shown(line.status, line.status, kind=f"status-{line.status.replace(' ', '-')}")
    if column.quantity == "paper":
        return _number(line.paper_value, line.metric, "not printed")
    if line.value is None:
        return Shown(line.status, kind="missing")
    if column.quantity == "ours":
        anchor = anchors.get((*row, column.testset), "")
        shown = _number(line.value, line.metric, line.status)
        return Shown(shown.text, shown.sort, detail=_interval(line), anchor=anchor)
    return _difference(line)


def _number(value: float | None, metric: str, absent: str) -> Shown:
    if value is None:
        return Shown(absent, kind="missing")
    return Shown(f"{value:.{metric_of(metric).decimals}f}", str(value))


def _interval(line: Line) -> str:
    if line.ci_low is None or line.ci_high is None:
        return ""
    return " to ".join(
        f"{end:.{metric_of(line.metric).decimals}f}" for end in (line.ci_low, line.ci_high)
    )


def _difference(line: Line) -> Shown:
    if line.paper_value is None:
        return Shown("not printed", kind="missing")
    if line.delta is None:
        return Shown("other protocol", kind="missing")
    text = f"{line.delta:+.{metric_of(line.metric).decimals}f}".replace("-", MINUS)
    size = size_of(line.delta, line.metric)
    return Shown(text, str(line.delta), kind=f"size-{size}", detail=size)


def size_of(difference: float, metric: str) -> str:
    """Return the word for a difference to the paper, whatever its sign."""
    fitting = (word for word in SIZES if abs(difference) <= getattr(metric_of(metric), word))
    return next(fitting, LARGEST_SIZE)


def sizes_explained(plans: Iterable[TablePlan]) -> str:
    """Return the legend of the words for differences, for the metrics of these tables."""
    metrics = [
        metric_of(m) for m in dict.fromkeys(m for plan in plans for m in plan.table.all_metrics)
    ]
    said = [
        f"{word}: at most {', '.join(f'{getattr(m, word):g} in {m.title}' for m in metrics)}"
        for word in SIZES
    ]
    return "; ".join([*said, f"{LARGEST_SIZE}: more"]) + "."


def describe_noise(name: str) -> str:
    """Say what a noise or a condition is called in full; empty for one that only the paper has."""
    if name == CAMERA:
        return "noise as a camera took it"
    if name == NONE:
        return "pictures as they are"
    if name in catalog.conditions():
        return catalog.conditions()[name].title
    if name not in NOISES:
        return ""
    noise = NOISES[name]
    factor = 255 if noise.family == "gaussian" else 1
    ends = dict.fromkeys(f"{factor * end:g}" for end in (noise.level_min, noise.level_max))
    level = " to ".join(ends)
    if noise.family == "gaussian":
        return f"Gaussian noise, standard deviation {level} of 255"
    return f"Poisson noise, {level} photons at full intensity"


# Column of the CSV: its title, and what an empty cell of it means.
COST_COLUMNS = {
    "row": ("method", ""),
    "noise": ("noise", ""),
    "model": ("model", ""),
    "seed": ("seed", "none"),
    "train_parameters": ("parameters", "not trained"),
    "train_images_seen": ("images seen", "not trained"),
    "train_seconds": ("training (s)", "not trained"),
    "train_device": ("trained on", "not trained"),
    "train_precision": ("precision", "not trained"),
    "train_peak_memory_mib": ("peak memory (MiB)", "not trained"),
    "model_megabytes": ("model (MB)", "not trained"),
    "restore_seconds_per_mpix": ("restoring (s per megapixel)", "makes pairs"),
    "paper_budget_hours": ("paper's budget here (h)", "not measured"),
    "paper_budget_hours_per": ("budget is per", "not measured"),
}


def read_costs(path: Path) -> CostTable:
    """Read a table's costs; raises UnpairedError if they are missing or of another version."""
    costs = read_frame(path)
    if list(costs) != list(COST_COLUMNS):
        raise UnpairedError(f"{path}: columns {', '.join(COST_COLUMNS)} are needed")
    rows = [[_cost(key, text) for key, text in row.items()] for row in costs.to_dict("records")]
    return CostTable([title for title, _ in COST_COLUMNS.values()], rows)


def _cost(column: str, text: str) -> Shown:
    if not text:
        return Shown(COST_COLUMNS[column][1], kind="missing")
    return Shown(text, text)
