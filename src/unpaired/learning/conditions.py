"""What pictures are seen under: a noise, or a condition that a system declares in its place."""

from __future__ import annotations

from unpaired import catalog
from unpaired.catalog.system import Condition
from unpaired.data.noise import Noise, get_noise


def noise_or_condition(name: str) -> Noise | Condition | None:
    """Return either by its name; None for what is there already, as `get_noise`.

    Raises UnpairedError for a name that is neither.
    """
    return catalog.conditions().get(name) or get_noise(name)


def is_drawn(name: str) -> bool:
    """Whether every repeat draws another one; all else is what it is."""
    return isinstance(noise_or_condition(name), Noise)
