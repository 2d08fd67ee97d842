"""A table laid out as the paper prints it, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from unpaired.pipeline.datasets import title_of
from unpaired.pipeline.models import TablePlan
from unpaired.pipeline.tables.deviations import deviations
from unpaired.pipeline.tables.lines import UNDERTRAINED, Line, PaperKey, metric_of


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
    return title_of(testset, plan.settings.folders) if run else testset


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
    titles = [metric_of(metric).title for metric in plan.table.all_metrics]
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
        "-" if value is None else f"{value:.{metric_of(metric).decimals}f}"
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
