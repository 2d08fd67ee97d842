"""How a run differs from the paper's: by its settings, and by what the code does at any of them."""

from __future__ import annotations

from unpaired import catalog
from unpaired.learning.conditions import is_drawn
from unpaired.pipeline.datasets import get_dataset
from unpaired.pipeline.models import Cell, TablePlan
from unpaired.pipeline.specs import PAPERS_SET

# How a training runs, not what it computes. Of the precision, which hardware decides, see below.
NOT_DEVIATIONS = {"threads", "workers", "checkpoint_seconds", "precision", "devices", "nodes"}
LOW_PRECISION = "Networks compute in bfloat16 where the processor has it, the authors' in float32."


def deviations(plan: TablePlan) -> list[str]:
    """Say how this run differs from the paper's, a sentence each."""
    notes = catalog.scorer(plan.table.task).notes
    said = list(catalog.load(notes)(plan)) if notes else []
    return [*said, *_deviations_of_settings(plan), *deviations_of_code(plan)]


def deviations_of_code(plan: TablePlan) -> list[str]:
    """Say what the scoring and the methods of a table do otherwise, whatever the scale.

    Of what measures and of methods on raw pictures, only where the table has such cells.
    """
    scorer = catalog.scorer(plan.table.task)
    said = list(scorer.deviations)
    for metric in dict.fromkeys(m for c in plan.cells for m in plan.table.metrics_at(c.testset)):
        said += scorer.metrics[metric].deviations
    if plan.trainings and plan.settings.training.precision != "fp32":
        said.append(LOW_PRECISION)
    on_raw = {method for cell in plan.cells if _is_raw(cell, plan) for method in _methods_of(cell)}
    for method in sorted(_methods(plan)):
        entry = catalog.method(method)
        own = [*entry.deviations, *(entry.deviations_on_raw if method in on_raw else ())]
        said += [f"{method}: {sentence}" for sentence in own]
    return said


def _is_raw(cell: Cell, plan: TablePlan) -> bool:
    return get_dataset(cell.testset, plan.settings).is_raw


def _methods(plan: TablePlan) -> set[str]:
    return {method for cell in plan.cells for method in _methods_of(cell)}


def _methods_of(cell: Cell) -> set[str]:
    """Return the methods of a row, of what it learns from, and of what its scoring works with."""
    used = [score.model for score in cell.scores]
    used += [model for score in cell.scores for _, model in score.inputs]
    return {cell.row.method} | {model.method for one in used for model in one.lineage}


def _deviations_of_settings(plan: TablePlan) -> list[str]:
    settings, scorer = plan.settings, catalog.scorer(plan.table.task)
    said = []
    changed = {
        f"{section}.{key}": value
        for section in ("training", "network")
        for key, value in getattr(settings, section).model_dump(exclude_defaults=True).items()
        if key not in NOT_DEVIATIONS
    }
    if changed and any(catalog.method(model.method).follows_settings for model in plan.trainings):
        said.append(f"Training differs from the papers': {_listed(changed)}.")
    run = _methods(plan)
    said += [
        f"{method}: {_listed(values)}."
        for method, values in settings.overrides.items()
        if method in run
    ]
    said += [
        f"{method} on {train_set}: {_listed(values)}."
        for train_set, overrides in settings.overrides_on.items()
        for method, values in overrides.items()
        if method in run and train_set in plan.train_sets
    ]
    said += _other_training_sets(plan)
    if settings.evaluation.crop_px and scorer.crops:
        said.append(
            f"Scored on center crops of {settings.evaluation.crop_px} px, not whole images."
        )
    if settings.evaluation.repeats and not scorer.samples and any(map(is_drawn, plan.noises)):
        said.append(
            f"{settings.evaluation.repeats} noise draw(s) per image, not the paper's number."
        )
    return said


def _listed(values: dict[str, object]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in sorted(values.items()))


def _other_training_sets(plan: TablePlan) -> list[str]:
    own = [row.train_sets or plan.table.train_sets for row in plan.table.rows]
    kept = {name for sets in own if sets for _, name in sets.paper if name}
    papers = sorted(kept | ({PAPERS_SET} if None in own else set()))
    instead = [name for name in plan.train_sets if name not in papers]
    return (
        [f"Trained on {' and '.join(instead)} instead of {' and '.join(papers)}."]
        if instead
        else []
    )
