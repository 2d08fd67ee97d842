from __future__ import annotations

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
        for cached in (module._path_of, module._tree, module._imports, module._canonical_text):
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
