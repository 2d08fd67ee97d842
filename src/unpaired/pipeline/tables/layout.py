"""A table laid out as the paper prints it, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from unpaired.pipeline.datasets import title_of
from unpaired.pipeline.models import TablePlan
from unpaired.pipeline.tables.deviations import deviations
from unpaired.pipeline.tables.lines import UNDERTRAINED, Line, PaperKey, metric_of

METRICS_IN_A_CELL = 5  # More of them get columns of their own.


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
    widest = max(len(plan.table.metrics_at(line.dataset)) for line in lines) if lines else 0
    laid_out = _a_table_per_testset if widest > METRICS_IN_A_CELL else _one_table
    sections = [
        f"# {plan.table.name}: {plan.table.title}",
        *laid_out(plan, lines),
        "\n".join(f"- {item}" for item in [*deviations(plan), *row_notes(plan)]),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _one_table(plan: TablePlan, lines: list[Line]) -> list[str]:
    """Return what cells are, and a table with a column for every test set."""
    cells = {(line.setting, line.method, line.dataset, line.metric): line for line in lines}
    columns = _columns(plan, lines)
    titles = [metric_of(metric).title for metric in plan.table.all_metrics]
    # Different columns hold different metrics, or every cell holds all of them.
    cells_are = (" or " if plan.table.metrics_of else " / ").join(titles)
    body = [
        [*names, *(_cell_text(plan, cells, (*row, testset), own) for _, testset, own in columns)]
        for row, names in _rows(plan, lines)
    ]
    header = ["noise", "method", *(title for title, _, _ in columns)]
    return [f"{plan.table.paper}. Cells are {cells_are}.", align_markdown([header, *body])]


def _a_table_per_testset(plan: TablePlan, lines: list[Line]) -> list[str]:
    """Return a table for every test set, with a column for every metric that has a value there."""
    sections = [f"{plan.table.paper}."]
    for testset in dict.fromkeys(line.dataset for line in lines):
        here = [line for line in lines if line.dataset == testset]
        cells = {(line.setting, line.method, line.metric): line for line in here}
        columns = [
            (metric, own)
            for metric in plan.table.metrics_at(testset)
            for own in (True, False)
            if any(_value(line, own) is not None for line in here if line.metric == metric)
        ]
        titles = [metric_of(metric).title + ("" if own else ": paper") for metric, own in columns]
        status = {(line.setting, line.method): line.status for line in here}
        body = [
            [*names, *(_number(cells.get((*row, m)), own) for m, own in columns), status[row]]
            for row, names in _rows(plan, here)
        ]
        sections.append(f"## {title_of_testset(plan, testset)}")
        sections.append(align_markdown([["noise", "method", *titles, "status"], *body]))
    return sections


def _rows(plan: TablePlan, lines: list[Line]) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Return every row with its noise, where that is another than the row's above, and its name."""
    rows = list(dict.fromkeys((line.setting, line.method) for line in lines))
    names, last_noise, found = shown_names(plan, rows), None, []
    for row in rows:
        noise, name = names[row]
        found.append((row, ("" if noise == last_noise else noise, name)))
        last_noise = noise
    return found


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
    lines = [line for line in found.values() if line is not None]
    if not lines:
        return ""
    if all(_value(line, own) is None for line in lines):
        return lines[0].status if own else ""
    text = "/".join(_number(line, own) or "-" for line in lines)
    return f"{text} ({UNDERTRAINED})" if own and lines[0].status == UNDERTRAINED else text


def _value(line: Line, own: bool) -> float | None:
    return line.value if own else line.paper_value


def _number(line: Line | None, own: bool) -> str:
    """Return a value with as many decimals as its metric has; nothing where there is none."""
    value = None if line is None else _value(line, own)
    if value is None:
        return ""
    decimals = metric_of(line.metric).decimals
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # + 0.0: no "-0.00".


def align_markdown(rows: list[list[str]]) -> str:
    """Return a Markdown table whose columns also line up in a terminal; the head comes first."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([texts[0], rule, *texts[1:]])
