"""Which code a result depends on, found statically.

The fingerprint of a module covers its syntax tree and that of every module of this package that it
imports, directly or not, wherever in the file the import stands. Comments, docstrings and layout do
not count; nor do the registries, which only list names, so adding a method changes no other result,
nor the form of what they list.

Reading a hundred files of Python takes a second, so a project's folder remembers what they said, by
the digest of their bytes.
"""

from __future__ import annotations

import ast
import atexit
import hashlib
import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from unpaired.core.errors import UnpairedError
from unpaired.core.files import atomic_path

PACKAGE = "unpaired"
ROOT = Path(__file__).parents[1]
MEMORY = Path(".snakemake", "fingerprints.json")
REGISTRIES = frozenset(
    {"unpaired", "unpaired.catalog", "unpaired.catalog.system", "unpaired.data.sources"}
)


@cache
def fingerprint(*modules: str) -> str:
    """Return 16 hexadecimal digits for the code of ``modules`` and all they import."""
    closure: set[str] = set()
    for module in modules:
        _collect(module, closure)
    digest = hashlib.sha256()
    for module in sorted(closure):
        digest.update(f"{module}\n{_said(_path_of(module)).digest}\n".encode())
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
    for imported in _said(_path_of(module)).names:
        if _path_of(imported):
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
def syntax_tree(path: Path) -> ast.Module:
    """Return what a file of Python says, parsed once."""
    return ast.parse(path.read_text(encoding="utf-8"))


class _Said(NamedTuple):
    """What a file of Python says: the names of this package in it, and a digest of its code."""

    names: list[str]
    digest: str


@cache
def _said(path: Path) -> _Said:
    memory = _memory()
    key = hashlib.sha256(path.read_bytes()).hexdigest()
    if key not in memory.known:
        tree = syntax_tree(path)
        code = hashlib.sha256(_canonical(tree).encode()).hexdigest()
        memory.known[key] = _Said(_imports(tree), code)
        memory.is_behind = True
    memory.used.add(key)
    return memory.known[key]


class _Memory:
    """What files said to this process and to those before it, by the digest of their bytes."""

    def __init__(self) -> None:
        # Other code that reads files may find that they say something else.
        self._reader = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        self.known: dict[str, _Said] = {}
        self.used: set[str] = set()
        self.is_behind = False
        with suppress(OSError, ValueError, KeyError, TypeError):
            held = json.loads(MEMORY.read_text(encoding="utf-8"))
            if held["reader"] == self._reader:
                self.known = {key: _Said(*said) for key, said in held["files"].items()}

    def save(self) -> None:
        """Leave what this process used to later ones, where Snakemake keeps what it knows."""
        if self.is_behind and MEMORY.parent.is_dir():
            files = {key: self.known[key] for key in sorted(self.used)}
            with suppress(UnpairedError), atomic_path(MEMORY) as aside:
                aside.write_text(json.dumps({"reader": self._reader, "files": files}))


@cache
def _memory() -> _Memory:
    memory = _Memory()
    atexit.register(memory.save)
    return memory


def _imports(tree: ast.Module) -> list[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return sorted(name for name in names if name.split(".")[0] == PACKAGE)


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
