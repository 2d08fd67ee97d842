"""What scoring gives, whatever the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Scored:
    """What scoring a product on a test pack gave.

    rows: one per image and repeat, with "image", "repeat", "seconds_per_mpix" and the metrics that
    are means over images. pooled: metrics that are not, and in words why one has no value at all.
    example: a picture to look at, uint8.
    summary: one line for the log.
    """

    rows: list[dict[str, Any]]
    example: np.ndarray
    summary: str
    pooled: dict[str, float | str] = field(default_factory=dict)
