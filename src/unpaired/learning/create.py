"""Methods by name."""

from __future__ import annotations

from typing import Any

from unpaired import catalog
from unpaired.catalog.method_settings import check_settings
from unpaired.core.errors import UnpairedError, one_line


def create(name: str, /, **overrides: Any):
    """Build a method by name; defaults are the paper's, ``overrides`` are fields of its ``Config``.

    Raises UnpairedError for an unknown method or setting, for a value of another kind or out of
    range, and for settings that do not fit each other.
    """
    check_settings(name, overrides)
    cls = catalog.load(catalog.method(name).target)
    config = cls.Config(**overrides)
    try:
        return cls(config)
    # What networks raise for sizes that do not fit, or that no memory holds.
    except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
        raise UnpairedError(
            f"these settings of method '{name}' make no network ({one_line(error)}); change the "
            "sizes among them"
        ) from error
