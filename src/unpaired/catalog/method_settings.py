"""What a method can be told: the fields of its ``Config``, read from its source without torch.

A misspelled setting is refused when Snakemake plans, before hours of other trainings.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any

from unpaired import catalog
from unpaired.core.errors import UnpairedError, suggest
from unpaired.core.fingerprint import syntax_tree

# Annotation of a field -> how a person calls it, and what is one.
KINDS: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "int": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
    "str": ("a text", (str,)),
    "bool": ("true or false", (bool,)),
    "None": ("null", (NoneType,)),
}

# How a person is told a range, and whether a number lies in it.
Range = tuple[str, Callable[[float], bool]]
FROM_ONE: Range = "1 at least", lambda value: value >= 1
FROM_ZERO: Range = "0 at least", lambda value: value >= 0
ABOVE_ZERO: Range = "greater than 0", lambda value: value > 0
SHARE: Range = "from 0 to 1", lambda value: 0 <= value <= 1
BELOW_ONE: Range = "from 0 to less than 1", lambda value: 0 <= value < 1
ANY: Range = "a number", lambda _: True
# By the name of a setting, whatever its method; those of no other range are from 1 on if they are
# whole numbers, else from 0 on.
_RANGES = {
    FROM_ZERO: "critic_layers discriminator_layers dropout_layers history_images mapping_layers "
    "residual_blocks skips",
    ABOVE_ZERO: "alpha blur_std_px gradient_clip initialization_gain learning_rate output_scale "
    "sigma",
    SHARE: "dropout dropped eta full_share keep_probability mean_share ramp_share "
    "reveal_probability start stop_probability time_max time_min uniform_share",
    BELOW_ONE: "averaging beta2",
    ANY: "mask_center snr_max_db snr_min_db",
}
RANGE_OF = {name: range_ for range_, names in _RANGES.items() for name in names.split()}
LARGEST = 10**12  # No length, size or weight is near it; larger ones are misspelled.


def check_settings(method: str, given: Mapping[str, Any]) -> None:
    """Raise UnpairedError unless ``given`` are settings of a method, each of its kind and range."""
    known = settings_of(method)
    for key, value in given.items():
        if key not in known:
            raise UnpairedError(f"method '{method}' has no setting '{key}'{suggest(key, known)}")
        kinds = known[key].split(" | ")
        if not any(_is_of(kind, value) for kind in kinds):
            words = " or ".join(KINDS[kind][0] for kind in kinds)
            raise UnpairedError(
                f"{key} of method '{method}' must be {words}, not {value!r}{_as_number(value)}"
            )
        if isinstance(value, int | float) and not isinstance(value, bool):
            _check_range(f"{key} of method '{method}'", key, kinds, value)


def settings_of(method: str) -> dict[str, str]:
    """Return the settings of a method, name -> annotation; raises UnpairedError for an unknown one.

    They are the fields of ``Config``: a dataclass inside the method's class or one that is assigned
    to that name, in it or in a class that it is derived from.
    """
    return _settings(catalog.method(method).target)


def _is_of(kind: str, value: object) -> bool:
    """Say whether a value is of an annotation's kind; what is annotated otherwise takes all."""
    if kind not in KINDS:
        return True
    # True is an int to Python, and to nobody else.
    return isinstance(value, KINDS[kind][1]) and (kind == "bool") == isinstance(value, bool)


def _check_range(where: str, key: str, kinds: list[str], value: float) -> None:
    usual = FROM_ONE if "int" in kinds else FROM_ZERO
    words, holds = RANGE_OF.get(key, usual)
    if not -LARGEST <= value <= LARGEST:  # It holds for no NaN either.
        words = f"{words}, and at most {LARGEST:.0e}"
    elif holds(value):
        return
    raise UnpairedError(f"{where} must be {words}, not {value}")


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
