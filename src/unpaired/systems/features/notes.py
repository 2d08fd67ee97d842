"""What stands below a table of features, besides its deviations."""

from __future__ import annotations

from unpaired.pipeline.models import TablePlan

OF_DRAWN = (
    "Drawn things and places are no photographs: their numbers stand beside none of the paper's. "
    "Color tells much of their class. An encoder that sees lightness alone, or color alone, is to "
    "be compared with the network of Gaussian weights that sees the same: gaussian_l, gaussian_ab."
)


OF_SCENES = (
    "Drawn scenes are no photographs: their numbers stand beside none of the paper's. Things are "
    "few and large."
)


OF_ROOMS = (
    "Drawn rooms are no photographs: their numbers stand beside none of the paper's. Things are "
    "few and large, their depth is without noise, and half of the classes differ in relief alone."
)


def notes(plan: TablePlan) -> list[str]:
    """Say what drawn pictures are worth, where they are scored and no others are."""
    shown = {cell.testset for cell in plan.cells if cell.scores}
    is_drawn = any(name.startswith("drawn_") for name in shown)
    return [OF_DRAWN] if is_drawn and plan.settings.scale != "paper" else []


def notes_of_scenes(plan: TablePlan) -> list[str]:
    """Say what drawn scenes are worth, at other scales than the paper's."""
    return [OF_SCENES] if plan.settings.scale != "paper" else []


def notes_of_rooms(plan: TablePlan) -> list[str]:
    """Say what drawn rooms are worth, at other scales than the paper's."""
    return [OF_ROOMS] if plan.settings.scale != "paper" else []
