"""What a method can be told: the fields of its ``Config``, read from its source without torch.

A misspelled setting is refused when Snakemake plans, before hours of other trainings.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any

from unpaired import catalog
from unpaired.core.errors import UnpairedError, suggest
from unpaired.core.fingerprint import syntax_tree


@dataclass(frozen=True)
class Kind:
    """What an annotation takes: how a person calls it, its types, and for a number its range."""

    words: str
    types: tuple[type, ...]
    range_words: str = ""
    holds: Callable[[Any], bool] = lambda _: True

    def takes(self, value: object) -> bool:
        """Say whether a value is of this kind, in its range or not."""
        # True is an int to Python, and to nobody else.
        return isinstance(value, self.types) and (bool in self.types) == isinstance(value, bool)


def _whole(range_words: str, holds: Callable[[int], bool]) -> Kind:
    return Kind("a whole number", (int,), range_words, holds)


def _number(range_words: str, holds: Callable[[float], bool]) -> Kind:
    return Kind("a number", (int, float), range_words, holds)


# By the annotation of a field; those of numbers are explained in `core.kinds`.
KINDS: Mapping[str, Kind] = {
    "int": _whole("1 at least", lambda value: value >= 1),
    "CountFromZero": _whole("0 at least", lambda value: value >= 0),
    "float": _number("0 at least", lambda value: value >= 0),
    "PositiveNumber": _number("greater than 0", lambda value: value > 0),
    "Share": _number("from 0 to 1", lambda value: 0 <= value <= 1),
    "ShareBelowOne": _number("from 0 to less than 1", lambda value: 0 <= value < 1),
    "SignedNumber": _number("a number", lambda _: True),
    "str": Kind("a text", (str,)),
    "bool": Kind("true or false", (bool,)),
    "None": Kind("null", (NoneType,)),
}
LARGEST = 10**12  # No length, size or weight is near it; larger ones are misspelled.


def check_settings(method: str, given: Mapping[str, Any]) -> None:
    """Raise UnpairedError unless ``given`` are settings of a method, each of its kind and range."""
    known = settings_of(method)
    for key, value in given.items():
        if key not in known:
            raise UnpairedError(f"method '{method}' has no setting '{key}'{suggest(key, known)}")
        _check(f"{key} of method '{method}'", known[key].split(" | "), value)


def _check(where: str, annotations: list[str], value: object) -> None:
    kinds = [KINDS[annotation] for annotation in annotations if annotation in KINDS]
    kind = next((kind for kind in kinds if kind.takes(value)), None)
    if kind is None:
        if len(kinds) < len(annotations):
            return  # What is annotated otherwise takes all.
        words = " or ".join(kind.words for kind in kinds)
        raise UnpairedError(f"{where} must be {words}, not {value!r}{_as_number(value)}")
    if not kind.range_words:
        return
    if not -LARGEST <= value <= LARGEST:  # It holds for no NaN either.
        most = f"{kind.range_words}, and at most {LARGEST:.0e}"
        raise UnpairedError(f"{where} must be {most}, not {value}")
    if not kind.holds(value):
        raise UnpairedError(f"{where} must be {kind.range_words}, not {value}")


def settings_of(method: str) -> dict[str, str]:
    """Return the settings of a method, name -> annotation; raises UnpairedError for an unknown one.

    They are the fields of ``Config``: a dataclass inside the method's class or one that is assigned
    to that name, in it or in a class that it is derived from.
    """
    return _settings(catalog.method(method).target)


def _as_number(value: object) -> str:
    """Say how YAML wants a number that it took for a text, as it does with 1e-3."""
    try:
        return f"; write {float(value)!r}" if isinstance(value, str) else ""
    except ValueError:
        return ""


@cache
def _settings(target: str) -> dict[str, str]:
    module, _, name = target.partition(":")
    configs = (_config_of(*one) for one in _lineage(module, name))
    config = next(filter(None, configs), None)
    if config is None:
        raise UnpairedError(f"{target}: the class has no Config; see docs/add_a_method.md")
    return {
        one.target.id: ast.unparse(one.annotation)
        for node, _ in reversed(config)  # What a class is derived from comes first.
        for one in node.body
        if isinstance(one, ast.AnnAssign) and not ast.unparse(one.annotation).startswith("ClassVar")
    }


def _lineage(module: str, name: str) -> Iterator[tuple[ast.ClassDef, str]]:
    """Yield a class and those that it is derived from, as far as this project writes them."""
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            yield from _below(node, module)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    yield from _lineage(node.module, alias.name)


def _below(node: ast.ClassDef, module: str) -> Iterator[tuple[ast.ClassDef, str]]:
    yield node, module
    for base in node.bases:
        if isinstance(base, ast.Name):
            yield from _lineage(module, base.id)


def _config_of(node: ast.ClassDef, module: str) -> list[tuple[ast.ClassDef, str]]:
    """Return the ``Config`` of a class and what it is derived from; nothing if it has no own."""
    for one in node.body:
        if isinstance(one, ast.ClassDef) and one.name == "Config":
            return list(_below(one, module))
        if isinstance(one, ast.Assign | ast.AnnAssign) and isinstance(one.value, ast.Name):
            targets = one.targets if isinstance(one, ast.Assign) else [one.target]
            if [ast.unparse(target) for target in targets] == ["Config"]:
                return list(_lineage(module, one.value.id))
    return []


def _tree(module: str) -> ast.Module:
    return syntax_tree(Path(importlib.util.find_spec(module).origin))
