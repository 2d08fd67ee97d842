"""Methods by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from unpaired import catalog
from unpaired.core.errors import UnpairedError, suggest


def create(name: str, **overrides: Any):
    """Build a method by name; defaults are the paper's, ``overrides`` are fields of its ``Config``.

    Raises UnpairedError for an unknown method or setting.
    """
    cls = catalog.load(catalog.method(name).target)
    known = {field.name for field in dataclasses.fields(cls.Config)}
    for key in overrides:
        if key not in known:
            raise UnpairedError(f"method '{name}' has no setting '{key}'{suggest(key, known)}")
    return cls(cls.Config(**overrides))
