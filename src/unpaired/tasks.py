"""The list of tasks: what a table's products do, and which function scores them.

No torch: Snakemake reads it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# Called with (product, pack, noise, repeats=, crop_px=, device=), for "colorize" also prior=;
# returns Scored.
TASKS = {
    "restore": "unpaired.evaluation:score",
    "colorize": "unpaired.colour_evaluation:score",
    "judge": "unpaired.judgments:score",
}


@dataclass(frozen=True)
class Scored:
    """What scoring a product on a test pack gave.

    rows: one per image and repeat, with "image", "repeat", "seconds_per_mpix" and the metrics that
    are means over images. pooled: metrics that are not. example: a picture to look at, uint8.
    summary: one line for the log.
    """

    rows: list[dict[str, Any]]
    example: np.ndarray
    summary: str
    pooled: dict[str, float] = field(default_factory=dict)


def module_of_task(name: str) -> str:
    """Return the module that scores a task's products."""
    return TASKS[name].partition(":")[0]


def scorer_of(name: str) -> Callable[..., Scored]:
    """Import and return the function that scores a task's products."""
    module, _, function = TASKS[name].partition(":")
    return getattr(importlib.import_module(module), function)
