"""How a run differs from the paper's."""

from __future__ import annotations

from unpaired import catalog
from unpaired.learning.conditions import is_drawn
from unpaired.pipeline.models import TablePlan

# How a training runs, not what it computes.
NOT_DEVIATIONS = {"threads", "workers", "checkpoint_seconds", "precision", "devices", "nodes"}


def deviations(plan: TablePlan) -> list[str]:
    """Say how this run differs from the paper's, from the settings themselves."""
    settings, scorer = plan.settings, catalog.scorer(plan.table.task)
    said = list(catalog.load(scorer.notes)(plan)) if scorer.notes else []
    changed = {
        f"{section}.{key}": value
        for section in ("training", "network")
        for key, value in getattr(settings, section).model_dump(exclude_defaults=True).items()
        if key not in NOT_DEVIATIONS
    }
    if changed and any(catalog.method(model.method).follows_settings for model in plan.trainings):
        listed = ", ".join(f"{key} = {value}" for key, value in sorted(changed.items()))
        said.append(f"Training differs from the papers': {listed}.")
    run = {model.method for model in [*plan.models, *plan.trainings]}
    run |= {cell.row.method for cell in plan.cells}
    for method, values in settings.overrides.items():
        if method not in run:
            continue
        listed = ", ".join(f"{key} = {value}" for key, value in sorted(values.items()))
        said.append(f"{method}: {listed}.")
    own = [row.train_sets or plan.table.train_sets for row in plan.table.rows]
    kept = {name for sets in own if sets for _, name in sets.paper if name}
    papers = sorted(kept | ({"imagenet_val"} if None in own else set()))
    instead = [name for name in plan.train_sets if name not in papers]
    if instead:
        said.append(f"Trained on {' and '.join(instead)} instead of {' and '.join(papers)}.")
    if settings.evaluation.crop_px and scorer.crops:
        said.append(
            f"Scored on center crops of {settings.evaluation.crop_px} px, not whole images."
        )
    if settings.evaluation.repeats and not scorer.samples and any(map(is_drawn, plan.noises)):
        said.append(
            f"{settings.evaluation.repeats} noise draw(s) per image, not the paper's number."
        )
    return said
