"""The temperature of an annealed mean; apart from the bins, since checking it needs no PyTorch."""

from __future__ import annotations

import math

from unpaired.core.errors import UnpairedError

TEMPERATURE = 0.38  # Zhang 2018, section 2.2.3


def check_temperature(temperature: float) -> None:
    """Raise UnpairedError unless the temperature of an annealed mean is finite and 0 or more."""
    if not (math.isfinite(temperature) and temperature >= 0):
        raise UnpairedError(
            f"temperature must be 0 (the mode) or more (1 is the mean), not {temperature}"
        )
