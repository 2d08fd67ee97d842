"""Methods by name."""

from __future__ import annotations

from typing import Any

from unpaired import catalog
from unpaired.catalog.method_settings import check_settings


def create(name: str, /, **overrides: Any):
    """Build a method by name; defaults are the paper's, ``overrides`` are fields of its ``Config``.

    Raises UnpairedError for an unknown method or setting, and for a value of another kind.
    """
    check_settings(name, overrides)
    cls = catalog.load(catalog.method(name).target)
    return cls(cls.Config(**overrides))
