"""What stands below a table of transmissions on other pictures than the paper's."""

from __future__ import annotations

from unpaired.pipeline.models import TablePlan

OF_OTHERS = (
    "Not of CelebA-HQ, these pictures say little about photographs of people. The distances of "
    "portrait_features are no LPIPS, FID or KID."
)
HQ = "celeba_hq_test"


def notes(plan: TablePlan) -> list[str]:
    """Say that other pictures are not the paper's, where they are scored and its are not."""
    shown = {cell.testset for cell in plan.cells if cell.scores}
    return [OF_OTHERS] if shown - {HQ} and plan.settings.scale != "paper" else []
