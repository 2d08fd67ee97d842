"""What stands below a table of super-resolution, besides its deviations."""

from __future__ import annotations

from unpaired.pipeline.models import TablePlan
from unpaired.systems.super_resolution import STAND_IN_TEST

OF_STAND_IN = (
    "Small photographs of a simulated camera are no challenge's: their numbers stand beside none "
    "of the paper's, and LPIPS' form in a random AlexNet is no LPIPS."
)
BY_L1 = (
    "No adversarial loss and none of features: at this scale the rows that the paper calls ESRGAN "
    "are the same network trained by the absolute error alone."
)


def notes(plan: TablePlan) -> list[str]:
    """Say what is a stand-in, and what a GAN is not."""
    shown = {cell.testset for cell in plan.cells if cell.scores}
    said = [OF_STAND_IN] if STAND_IN_TEST in shown and plan.settings.scale != "paper" else []
    own = plan.settings.overrides.get("esrgan", {})
    without = [own.get(f"{kind}_weight") == 0 for kind in ("adversarial", "feature")]
    return [*said, *([BY_L1] if all(without) else [])]
