"""What stands below a table of translations, besides its deviations."""

from __future__ import annotations

from unpaired.pipeline.models import TablePlan
from unpaired.systems.translation import DRAWN_TEST

OF_DRAWN = (
    "Drawn facades are no photographs: their numbers stand beside none of the paper's. Diversity "
    "is a distance in an AlexNet with random weights. true_styles is what perfect samples score, "
    "random_real the distance of outputs of any two inputs. A row whose samples are all alike may "
    "be near to a style, or an average that is far from none: its styles' distance to their "
    "chances tells."
)


def notes(plan: TablePlan) -> list[str]:
    """Say that drawn facades are not the paper's pictures, where they are scored."""
    shown = {cell.testset for cell in plan.cells if cell.scores}
    return [OF_DRAWN] if DRAWN_TEST in shown and plan.settings.scale != "paper" else []
