"""Figures of merit. ``unpaired.metrics.lpips`` is the function of `unpaired.metrics.perceptual`."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the other metrics need no network.
    if name == "lpips":
        from unpaired.metrics.perceptual import lpips

        return lpips
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
