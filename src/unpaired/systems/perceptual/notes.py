"""What stands below a table of distances, besides its deviations."""

from __future__ import annotations

from unpaired.pipeline.datasets import get_dataset
from unpaired.pipeline.models import TablePlan

SIMULATED_OBSERVER = (
    "Columns of the simulated observer: a model of early vision votes, on patches of seven "
    "photographs. No human saw them; they are not the paper's numbers. Ranges of distortions, the "
    "24 distorting networks and the mixing of their outputs are ours."
)


def notes(plan: TablePlan) -> list[str]:
    """Say where no human judged."""
    shown = {cell.testset for cell in plan.cells if cell.scores}
    is_made = any(get_dataset(name, plan.settings).made_in for name in shown)
    return [SIMULATED_OBSERVER] if is_made else []
