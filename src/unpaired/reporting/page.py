"""Results of a run -> one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unpaired import __version__
from unpaired.datasets import get_dataset, how_to_get
from unpaired.errors import UnpairedError
from unpaired.plan import TablePlan
from unpaired.reporting import curves, numbers, pictures, provenance
from unpaired.settings import Settings
from unpaired.tables import deviations, read_lines, row_notes
from unpaired.templating import write_html


def write_report(
    path: Path,
    plans: Mapping[int, TablePlan],
    refusals: Mapping[int, UnpairedError],
    settings: Settings,
    root: Path,
) -> None:
    """Write the report of all planned tables, aside and renamed; ``root`` holds ``results/``.

    refusals: why the other tables have no plan. Raises UnpairedError for missing results.
    """
    side_px = pictures.choose_side_px(plans.values())
    write_html(
        path,
        "report.html.j2",
        version=__version__,
        tables=[_table(plan, root, side_px) for plan in plans.values()],
        refusals={number: str(error) for number, error in refusals.items()},
        sizes=numbers.sizes_explained(plans.values()),
        settings=_settings_shown(settings),
    )


def _settings_shown(settings: Settings) -> str:
    """Return the settings that results depend on: where a run works is not among them."""
    return json.dumps(settings.model_dump(exclude={"device", "work_root"}), indent=2)


def _table(plan: TablePlan, root: Path, side_px: int) -> dict[str, Any]:
    lines = read_lines(root / f"results/{plan.name}.csv")
    groups = numbers.column_groups(plan, lines)
    blocks = numbers.noise_blocks(plan, lines, groups, provenance.anchors(plan))
    return {
        "number": plan.table.number,
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
