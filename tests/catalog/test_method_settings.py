"""What methods can be told, read from their source: the same as what their classes say."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import pytest

from tests.learning.tiny import TinyConfig
from unpaired import catalog
from unpaired.catalog.method_settings import KINDS, check_settings, settings_of
from unpaired.catalog.system import MethodEntry
from unpaired.core.errors import UnpairedError


@pytest.mark.parametrize("name", catalog.methods())
def test_the_source_says_what_the_class_says(name):
    fields = dataclasses.fields(catalog.load(catalog.method(name).target).Config)
    assert settings_of(name) == {field.name: field.type for field in fields}
    assert all(set(kind.split(" | ")) <= set(KINDS) for kind in settings_of(name).values())


def test_a_class_elsewhere_is_read_as_well(monkeypatch):
    entry = MethodEntry("tests.learning.tiny:TinyGAN")
    monkeypatch.setitem(catalog.methods(), "tiny", entry)
    assert settings_of("tiny") == TinyConfig.__annotations__


class Bare:
    """A method that forgot its settings."""


def test_a_class_without_settings_is_told(monkeypatch):
    monkeypatch.setitem(catalog.methods(), "bare", MethodEntry(f"{__name__}:Bare"))
    with pytest.raises(UnpairedError, match="Bare: the class has no Config"):
        settings_of("bare")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"images_sen": 1}, "has no setting 'images_sen'; did you mean 'images_seen'?"),
        ({"gamma": 1.0}, "has no setting 'gamma'"),
        ({"images_seen": "many"}, "images_seen of method 'n2n' must be a whole number, not 'many'"),
        ({"images_seen": 1.5}, "must be a whole number, not 1.5"),
        ({"learning_rate": "1e-3"}, "must be a number, not '1e-3'; write 0.001"),
        ({"width": True}, "must be a whole number, not True"),
        ({"width": None}, "must be a whole number, not None"),
        ({"global_residual": 1}, "must be true or false, not 1"),
        ({"gradient_clip": [1]}, "must be a number or null, not [1]"),
        ({"schedule": 3}, "must be a text, not 3"),
    ],
)
def test_what_is_wrong_is_one_line(given, said):
    with pytest.raises(UnpairedError, match=re.escape(said)) as error:
        check_settings("n2n", given)
    assert "\n" not in str(error.value)


def test_what_is_right_passes():
    check_settings("n2n", {"images_seen": 8, "learning_rate": 1, "gradient_clip": None})
    check_settings("n2n", {"gradient_clip": 0.5, "global_residual": False, "schedule": "constant"})


def test_torch_is_not_loaded():
    code = (
        "import sys; from unpaired import catalog;"
        "from unpaired.catalog.method_settings import settings_of;"
        "[settings_of(name) for name in catalog.methods()];"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
