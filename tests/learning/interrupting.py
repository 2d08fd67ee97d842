"""Trainings that are stopped as by Ctrl-C."""

from __future__ import annotations

import pytest

from unpaired.learning import training


def interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop every training after its first step, which is written to a checkpoint."""

    class Asked(training.stop_signals):
        def __enter__(self):
            super().__enter__()
            return lambda: True

    monkeypatch.setattr(training, "stop_signals", Asked)
