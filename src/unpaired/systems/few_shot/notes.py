"""What stands below a table of reconstructions, besides its deviations."""

from __future__ import annotations

from unpaired.pipeline.models import TablePlan
from unpaired.systems.few_shot import DRAWN

OF_DRAWN = (
    "Drawn portraits are no photographs: their numbers stand beside none of the paper's. The "
    "Fréchet distance of portrait_features is no FID."
)


def notes(plan: TablePlan) -> list[str]:
    """Say that drawn portraits are not people's, where they are scored and no others are."""
    shown = {cell.testset for cell in plan.cells if cell.scores}
    return [OF_DRAWN] if DRAWN in shown and plan.settings.scale != "paper" else []
