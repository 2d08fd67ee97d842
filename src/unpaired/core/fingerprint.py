"""Which code a result depends on, found statically.

The fingerprint of a module covers its syntax tree and that of every module of this package that it
imports, directly or not, wherever in the file the import stands. Comments, docstrings and layout do
not count; nor do the registries, which only list names, so adding a method changes no other result,
nor the form of what they list.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = "unpaired"
ROOT = Path(__file__).parents[1]
REGISTRIES = frozenset({"unpaired", "unpaired.catalog", "unpaired.catalog.system"})


def fingerprint(*modules: str) -> str:
    """Return 16 hexadecimal digits for the code of ``modules`` and all they import."""
    closure: set[str] = set()
    for module in modules:
        _collect(module, closure)
    digest = hashlib.sha256()
    for module in sorted(closure):
        digest.update(f"{module}\n{_canonical_text(_path_of(module))}\n".encode())
    return digest.hexdigest()[:16]


def imported_modules(module: str) -> set[str]:
    """Return ``module`` and the modules of this package that it depends on, registries left out."""
    closure: set[str] = set()
    _collect(module, closure)
    return closure


def _collect(module: str, closure: set[str]) -> None:
    if module in closure or module in REGISTRIES:
        return
    closure.add(module)
    for imported in _imports(_path_of(module)):
        _collect(imported, closure)


@cache
def _path_of(module: str) -> Path | None:
    """Return the file of a module of this package, None if there is no such module."""
    stem = ROOT.joinpath(*module.split(".")[1:])
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in names if name.split(".")[0] == PACKAGE and _path_of(name)}


@cache
def _canonical_text(path: Path) -> str:
    return _canonical(_tree(path))


def _canonical(node: object) -> str:
    """Render a syntax tree without positions and docstrings, alike on every Python version."""
    if isinstance(node, list):
        return f"[{','.join(_canonical(item) for item in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = []
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(value, list) and value and _is_docstring(value[0]):
            value = value[1:]
        if value not in (None, []):
            parts.append(f"{name}={_canonical(value)}")
    return f"{type(node).__name__}({','.join(parts)})"


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
