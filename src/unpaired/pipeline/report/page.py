"""Results of a run -> one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unpaired.core.errors import UnpairedError
from unpaired.core.templating import write_html
from unpaired.core.version import __version__
from unpaired.pipeline.datasets import get_dataset, how_to_get
from unpaired.pipeline.models import TablePlan
from unpaired.pipeline.report import curves, numbers, pictures, provenance, summary
from unpaired.pipeline.settings import Settings
from unpaired.pipeline.table import Table
from unpaired.pipeline.tables.deviations import deviations
from unpaired.pipeline.tables.layout import row_notes
from unpaired.pipeline.tables.lines import Line, read_lines


def write_report(
    path: Path,
    plans: Mapping[int, TablePlan],
    refusals: Sequence[tuple[Table, UnpairedError]],
    settings: Settings,
    root: Path,
) -> None:
    """Write the report of all tables that are made, aside and renamed; ``root`` holds ``results/``.

    refusals: the tables without a plan, and why. A planned table that is not made is listed with
    them. Raises UnpairedError if none is made, and for missing results of one that is.
    """
    files = {number: root / f"results/{plan.name}.csv" for number, plan in plans.items()}
    made = [plan for number, plan in plans.items() if files[number].is_file()]
    if not made:
        raise UnpairedError(f"{root / 'results'}: no table is made yet; run: snakemake --cores all")
    absent = [summary.not_made(plan) for plan in plans.values() if plan not in made]
    lines = {plan.table.number: read_lines(files[plan.table.number]) for plan in made}
    side_px = pictures.choose_side_px(made)
    write_html(
        path,
        "report.html.j2",
        version=__version__,
        scale=summary.describe_scale(settings.scale),
        dates=summary.describe_dates(files[plan.table.number] for plan in made),
        counts=summary.count_sizes([line for own in lines.values() for line in own]),
        tables=[_table(plan, lines[plan.table.number], root, side_px) for plan in made],
        left_out=[*absent, *(summary.left_out(table, error) for table, error in refusals)],
        sizes=numbers.sizes_explained(made),
        settings=_settings_shown(settings),
    )


def _settings_shown(settings: Settings) -> str:
    """Return the settings that results depend on: where a run works is not among them."""
    return json.dumps(settings.model_dump(exclude={"device", "work_root"}), indent=2)


def _table(plan: TablePlan, lines: list[Line], root: Path, side_px: int) -> dict[str, Any]:
    groups = numbers.column_groups(plan, lines)
    blocks = numbers.noise_blocks(plan, lines, groups, provenance.anchors(plan))
    return {
        "number": plan.table.number,
        "name": plan.table.name,
        "counts": summary.count_sizes(lines),
        "title": plan.table.title,
        "paper": plan.table.paper,
        "is_part": plan.is_part,
        "groups": groups,
        "blocks": [
            (block, pictures.picture_row(plan, block.noise, root, side_px)) for block in blocks
        ],
        "costs": numbers.read_costs(root / f"results/{plan.name}_costs.csv"),
        "curves": curves.learning_curves(plan, root),
        "deviations": [*deviations(plan), *_absent(plan)],
        "notes": row_notes(plan),
        "origins": provenance.entries(plan, root),
    }


def _absent(plan: TablePlan) -> list[str]:
    """Say how to get the test sets that are not there."""
    absent = dict.fromkeys(cell.testset for cell in plan.cells if not cell.is_present)
    return [
        f"Data absent: {how_to_get(get_dataset(name, plan.settings), plan.settings)}."
        for name in absent
    ]
