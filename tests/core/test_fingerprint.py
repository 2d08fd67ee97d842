from __future__ import annotations

import json

import pytest

from unpaired.core import fingerprint as module
from unpaired.core.fingerprint import fingerprint, imported_modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in place of this one; returns its root and a function to forget caches."""
    root = tmp_path / "unpaired"
    (root / "catalog").mkdir(parents=True)
    (root / "methods").mkdir()
    (root / "__init__.py").write_text("")
    (root / "catalog/__init__.py").write_text("LIST = ['a']\n")
    (root / "methods/__init__.py").touch()
    (root / "base.py").write_text('"""Doc."""\ndef f(x):\n    """Doc."""\n    return x + 1\n')
    (root / "methods/a.py").write_text("def g():\n    from unpaired.base import f\n    return f\n")
    (root / "methods/b.py").write_text("import unpaired.catalog\nB = 1\n")
    monkeypatch.setattr(module, "ROOT", root)

    def forget():
        for cached in (
            module.fingerprint,
            module._path_of,
            module.syntax_tree,
            module._said,
            module._memory,
        ):
            cached.cache_clear()

    forget()
    yield root, forget
    forget()


def prints(package):
    package[1]()
    return fingerprint("unpaired.methods.a"), fingerprint("unpaired.methods.b")


def test_imports_inside_functions_count_and_registries_do_not(package):
    assert imported_modules("unpaired.methods.a") == {
        "unpaired.methods.a",
        "unpaired.base",
    }
    assert imported_modules("unpaired.methods.b") == {"unpaired.methods.b"}


def test_comments_docstrings_and_layout_do_not_count(package):
    before = prints(package)
    (package[0] / "base.py").write_text(
        '# New.\ndef f(x):\n    """Other."""\n\n    return (x + 1)\n'
    )
    assert prints(package) == before


def test_an_edit_changes_its_module_and_those_that_import_it(package):
    before = prints(package)
    (package[0] / "base.py").write_text("def f(x):\n    return x + 2\n")
    after = prints(package)
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_line_in_a_registry_changes_nothing(package):
    before = prints(package)
    (package[0] / "catalog/__init__.py").write_text("LIST = ['a', 'b']\n")
    assert prints(package) == before


@pytest.fixture
def remembered(package, tmp_path, monkeypatch):
    """A project's folder that remembers the small package; returns what its prints were."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").mkdir()
    before = prints(package)
    module._memory().save()
    return before


def test_files_that_were_read_once_are_not_parsed_again(package, remembered, monkeypatch):
    monkeypatch.setattr(module, "_canonical", None)
    assert prints(package) == remembered
    (package[0] / "base.py").write_text("def f(x):\n    return x + 2\n")
    with pytest.raises(TypeError):
        prints(package)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"reader": "another", "files": {}}', '{"files": 3}']
)
def test_a_memory_that_is_damaged_or_of_other_code_is_not_used(package, remembered, text):
    module.MEMORY.write_text(text)
    assert prints(package) == remembered


def test_what_is_used_no_more_is_forgotten(package, remembered):
    (package[0] / "base.py").write_text("def f(x):\n    return x + 2\n")
    before = module.MEMORY.read_text()
    prints(package)
    module._memory().save()
    assert len(json.loads(before)["files"]) == len(json.loads(module.MEMORY.read_text())["files"])
    assert module.MEMORY.read_text() != before


def test_the_real_training_stage_and_its_methods():
    closure = imported_modules("unpaired.stages.train")
    assert {"unpaired.learning.training", "unpaired.data.samples", "unpaired.data.packs"} <= closure
    assert not any(name.startswith("unpaired.systems") for name in closure)
    assert "unpaired.systems.denoising.methods.n2c" in imported_modules(
        "unpaired.systems.denoising.methods.n2n"
    )
    assert "unpaired.systems.denoising.methods.n2n" not in imported_modules(
        "unpaired.systems.denoising.methods.neighbor2neighbor"
    )
