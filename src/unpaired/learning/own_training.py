"""Training for a person who waits for it: Ctrl-C ends it as it ends other commands."""

from __future__ import annotations

from typing import Any

from unpaired.core.errors import Stopped
from unpaired.learning.method import Method
from unpaired.learning.training import Checkpointing, Interrupted, Result, train


def train_own(
    method: Method, samples: Any, *, seed: int, device: str, checkpointing: Checkpointing
) -> Result:
    """Train as `train` does; raises Stopped, which says how to go on, where it is interrupted."""
    try:
        return train(method, samples, seed=seed, device=device, checkpointing=checkpointing)
    except Interrupted as error:
        raise Stopped(str(error)) from None
