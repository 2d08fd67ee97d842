"""What the models of a table cost to train and to use, as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from unpaired.core.sealed_csv import read_record
from unpaired.pipeline.frames import as_csv, read_scores
from unpaired.pipeline.models import Model, Score, TablePlan

BYTES_PER_PARAMETER = 4
# Of a training's record.
ABOUT = ("parameters", "images_seen", "seconds", "device", "precision", "peak_memory_mib")
COLUMNS = [
    "row",
    "noise",
    "model",
    "seed",
    *(f"train_{key}" for key in ABOUT),
    "model_megabytes",
    "restore_seconds_per_mpix",
    "paper_budget_hours",
    "paper_budget_hours_per",
]


def costs_as_csv(plan: TablePlan, root: Path) -> str:
    """Return what each model cost to train and costs to use, from the records of the runs.

    At demo scale also what the paper's budget would cost here, per training, or per image where a
    method is fitted to each (see budgets.py); empty for a method that is not fitted, and for models
    without a budget (see ``Model.budget``).
    """
    budgets = {one.id: read_record(root / one.file) for one in plan.measured_budgets}
    rows = [
        {
            "row": row,
            "noise": noise,
            "model": model.id,
            "seed": model.spec.get("seed"),
            **_training(model, root),
            **_restoring(scores, root),
            **_budget(budgets.get(model.budget.id, {}) if model.budget else {}),
        }
        for (row, noise, model), scores in _scores_by_model(plan).items()
    ]
    return as_csv(rows, COLUMNS)


def _training(model: Model, root: Path) -> dict[str, Any]:
    if not model.is_trained:
        return {}
    record = read_record(root / f"results/models/{model.id}/model.json")
    size = f"{BYTES_PER_PARAMETER * record['parameters'] / 1e6:.3f}"
    return {f"train_{key}": record.get(key) for key in ABOUT} | {"model_megabytes": size}


def _restoring(scores: list[Score], root: Path) -> dict[str, str]:
    if not scores:
        return {}
    files = pd.concat([read_scores(root / f"{score.stem}.csv") for score in scores])
    seconds = files["seconds_per_mpix"].astype(float).mean(skipna=False)
    return {"restore_seconds_per_mpix": f"{seconds:.3f}"}


def _budget(budget: dict[str, Any]) -> dict[str, str]:
    if budget.get("hours") is None:
        return {}
    return {
        "paper_budget_hours": f"{budget['hours']:.3g}",
        "paper_budget_hours_per": budget["hours_per"],
    }


def _scores_by_model(plan: TablePlan) -> dict[tuple[str, str, Model], list[Score]]:
    """Return the scores of every model of a row; none for one that only others need."""
    scores: dict[tuple[str, str, Model], list[Score]] = {}
    for cell in plan.cells:
        for score in cell.scores:
            for needed in score.model.lineage:
                scores.setdefault((cell.row.name, cell.noise, needed), [])
            scores[cell.row.name, cell.noise, score.model].append(score)
    return scores
