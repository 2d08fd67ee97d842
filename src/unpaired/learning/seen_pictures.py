"""What pictures a model has learned from, and what that means for what it makes of others.

Without PyTorch, so that a person is told before anything is computed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unpaired import catalog
from unpaired.data.sources import DRAWN_BY_RULE
from unpaired.learning.weights import resolve_model

DRAWN_SETS = ("color_scenes_train", "color_scenes_test")
DRAWN_SETS += ("colour_scenes_train",)  # codespell:ignore - in models that were trained before


def drawn_pictures(model: Path, about: dict[str, Any]) -> str | None:
    """Return "drawn portraits", or whatever a model has seen in place of photographs, else None.

    about: what `read_about` returns.
    """
    dataset = catalog.datasets().get(_train_set(resolve_model(model), about))
    return dataset.title.partition(",")[0] if dataset and dataset.where == DRAWN_BY_RULE else None


def doubt_about(model: Path, about: dict[str, Any], remedy: str) -> str:
    """Return a line on a model that has seen no photographs, or that does not say what it saw.

    about: what `read_about` returns. remedy: how to get one that knows photographs. Empty if there
    is nothing to doubt.
    """
    train_set = _train_set(resolve_model(model), about)
    if train_set in DRAWN_SETS:
        return (
            "this model has seen drawn scenes only; on photographs its colors are wrong. "
            f"For photographs: {remedy}"
        )
    if train_set is None:
        return (
            f"{model} does not say what pictures it has learned from; look at its colors before "
            "you use them"
        )
    return ""


def _train_set(file: Path, about: dict[str, Any]) -> str | None:
    """Return the name of the data set that a model learned from, of its notes or of its record."""
    if "train_set" in (about.get("notes") or {}):
        return about["notes"]["train_set"]
    try:
        return json.loads(file.with_suffix(".json").read_text())["spec"]["train_set"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
