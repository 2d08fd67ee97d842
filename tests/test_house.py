"""How the house is built: where imports may lead, and that shared rooms know no system."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.pipeline.settings import Settings
from unpaired.pipeline.specs import data_models
from unpaired.pipeline.table import load_tables

SOURCE = REPOSITORY / "src/unpaired"
SHARED = ("pipeline", "learning", "stages", "catalog", "core", "cli.py")
# Examples that a person sees in the help of a command.
SHOWN = {
    "unpaired status --table 19 -v",
    "unpaired data check --data-root ~/data --table 10",
    "unpaired import-weights neighbor2neighbor model_gauss25_b4e100r02.pth",
    "unpaired import-weights lpips",
    "unpaired import-weights lpips alexnet-owt-7be5be79.pth",
}
# A rule that no table asks for, with wildcards of its own, which a declared stage cannot have.
ASKED_FOR_BY_NAME = {"unpaired.systems.denoising.stages.submit"}


def test_imports_lead_where_they_may():
    linter = pytest.importorskip("importlinter.cli", reason="needs import-linter (extra 'test')")
    configuration = str(REPOSITORY / "pyproject.toml")
    assert linter.lint_imports(configuration, no_cache=True, no_logo=True) == 0


# ---- Shared rooms know no system ----


def names() -> re.Pattern[str]:
    """Return what finds the name of a system or a method, and the number of a table.

    A name behind a dot is a module of another room, such as that of a metric.
    """
    words = "|".join(sorted([*catalog.systems(), *catalog.methods()]))
    return re.compile(
        rf"(?<![\w.])({words})\b|\bunpaired\.systems\.\w|(?i:\btables?[ _]?\d)|PLANS\["
    )


def code_of_python(path: Path) -> Iterator[str]:
    """Yield names and texts of a module, but for docstrings, which may give examples."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    of_docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in of_docs and node.value not in SHOWN:
                yield node.value
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            fields = {"id", "arg", "name", "attr"} & set(node._fields)
            yield from (str(getattr(node, field)) for field in fields)


def code_of_rules(path: Path) -> Iterator[str]:
    """Yield the lines of a file of rules, without comments and what still belongs to a system."""
    for line in path.read_text(encoding="utf-8").splitlines():
        code = line.partition("#")[0]
        if not any(module in code for module in ASKED_FOR_BY_NAME):
            yield code


def shared_files() -> list[Path]:
    modules = [path for room in SHARED for path in (SOURCE / room).rglob("*.py")]
    rules = [REPOSITORY / "Snakefile", *(REPOSITORY / "workflow").rglob("*.smk")]
    return sorted([*modules, SOURCE / "cli.py", *rules])


@pytest.mark.parametrize("path", shared_files(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_shared_code_names_no_system_no_method_and_no_table(path):
    code = code_of_python(path) if path.suffix == ".py" else code_of_rules(path)
    found = [text for text in code if names().search(text)]
    assert not found


@pytest.mark.parametrize(
    "text", ["n2c", "lpips", "unpaired.systems.denoising", "results/table10.csv", "RUN.PLANS[6]"]
)
def test_what_is_forbidden_is_found(text, tmp_path):
    (tmp_path / "module.py").write_text(f'"""About {text}."""\n\nX = "{text}"\n')
    (tmp_path / "rules.smk").write_text(f"# About {text}.\nX = '{text}'\n")
    for code in (code_of_python(tmp_path / "module.py"), code_of_rules(tmp_path / "rules.smk")):
        assert [found for found in code if names().search(found)]
    assert not names().search("unpaired.metrics.perceptual")


# ---- What systems declare ----


def test_every_folder_of_systems_declares_one():
    folders = {path.parent.name for path in (SOURCE / "systems").glob("*/__init__.py")}
    assert catalog.systems().keys() == folders


def targets(value: object) -> Iterator[str]:
    """Yield every "module" and "module:name" of this package in a declaration."""
    if isinstance(value, str):
        if re.fullmatch(r"unpaired(\.\w+)+(:\w+)?", value):
            yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from targets(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from targets(entry)
    elif isinstance(value, (tuple, list)):
        for entry in value:
            yield from targets(entry)


@pytest.mark.parametrize("system", catalog.systems())
def test_everything_that_a_system_names_is_there(system):
    named = set(targets(catalog.systems()[system]))
    assert any(":" in target for target in named)
    for target in sorted(named):
        if ":" in target:
            catalog.load(target)
        else:
            importlib.import_module(target)


def test_every_method_stands_in_a_table_or_makes_data():
    used = {model.method for models in data_models(Settings()).values() for model in models}
    for table in load_tables(REPOSITORY / "config/tables"):
        for row in [*table.rows, *table.models]:
            used |= {row.method, *([row.pairs_from.method] if row.pairs_from else [])}
    assert used == catalog.methods().keys()


def test_every_task_of_a_table_is_declared_and_the_other_way_round():
    tasks = {table.task for table in load_tables(REPOSITORY / "config/tables")}
    assert tasks == catalog.scorers().keys()


def test_declarations_are_read_without_torch():
    code = (
        "import sys\nfrom unpaired import catalog\ncatalog.systems()\n"
        "print(sorted({'torch', 'h5py'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_broken_folder_is_one_line(monkeypatch):
    catalog.systems.cache_clear()
    real = importlib.import_module

    def broken(name, *rest):
        if name == "unpaired.systems.denoising":
            raise ImportError("no module named torhc")
        return real(name, *rest)

    monkeypatch.setattr(catalog.importlib, "import_module", broken)
    try:
        with pytest.raises(catalog.UnpairedError, match="the system denoising cannot be loaded"):
            catalog.systems()
    finally:
        catalog.systems.cache_clear()
