from __future__ import annotations

import pytest

from unpaired import fingerprint as module
from unpaired.fingerprint import fingerprint, imported_modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in place of this one; returns its root and a function to forget caches."""
    root = tmp_path / "unpaired"
    (root / "methods").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "methods/__init__.py").write_text("LIST = ['a']\n")
    (root / "base.py").write_text('"""Doc."""\ndef f(x):\n    """Doc."""\n    return x + 1\n')
    (root / "methods/a.py").write_text("def g():\n    from unpaired.base import f\n    return f\n")
    (root / "methods/b.py").write_text("import unpaired.methods\nB = 1\n")
    monkeypatch.setattr(module, "ROOT", root)

    def forget():
        module._tree.cache_clear()
        module._canonical_text.cache_clear()

    forget()
    yield root, forget
    forget()


def prints(package):
    package[1]()
    return fingerprint("unpaired.methods.a"), fingerprint("unpaired.methods.b")


def test_imports_inside_functions_count_and_registries_do_not(package):
    assert imported_modules("unpaired.methods.a") == {"unpaired.methods.a", "unpaired.base"}
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


def test_a_line_in_the_list_of_methods_changes_nothing(package):
    before = prints(package)
    (package[0] / "methods/__init__.py").write_text("LIST = ['a', 'b']\n")
    assert prints(package) == before


def test_the_real_training_stage_and_its_methods():
    closure = imported_modules("unpaired.stages.train")
    assert {"unpaired.training", "unpaired.sampling", "unpaired.packs"} <= closure
    assert not any(name.startswith("unpaired.methods.n") for name in closure)
    assert "unpaired.methods.n2c" in imported_modules("unpaired.methods.n2n")
    assert "unpaired.methods.n2n" not in imported_modules("unpaired.methods.neighbor2neighbor")
