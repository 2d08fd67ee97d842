"""What methods can be told, read from their source: the same as what their classes say."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
from dataclasses import MISSING

import pytest

from tests.learning.tiny import TinyConfig
from unpaired import catalog
from unpaired.catalog.method_settings import KINDS, check_settings, settings_of
from unpaired.catalog.system import MethodEntry
from unpaired.core import kinds
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


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("bicyclegan", {"images_seen": -4}, "images_seen of method 'bicyclegan' must be 1 at leas"),
        ("bicyclegan", {"images_seen": 0}, "must be 1 at least, not 0"),
        ("bicyclegan", {"images_seen": 10**30}, "must be 1 at least, and at most 1e+12, not 1000"),
        ("bicyclegan", {"batch_size": -1}, "must be 1 at least, not -1"),
        ("bicyclegan", {"learning_rate": 0}, "must be greater than 0, not 0"),
        ("bicyclegan", {"learning_rate": -0.001}, "must be greater than 0, not -0.001"),
        ("bicyclegan", {"learning_rate": math.nan}, "must be greater than 0, and at most 1e+12, "),
        ("bicyclegan", {"learning_rate": math.inf}, "must be greater than 0, and at most 1e+12, "),
        ("bicyclegan", {"kl_weight": -0.1}, "must be 0 at least, not -0.1"),
        ("ddpm", {"attention_px": 0}, "must be 1 at least, not 0"),
        ("n2n", {"beta2": 1}, "must be from 0 to less than 1, not 1"),
        ("n2n", {"gradient_clip": 0.0}, "must be greater than 0, not 0.0"),
        ("local_hints", {"full_share": 1.5}, "must be from 0 to 1, not 1.5"),
        ("cyclegan", {"history_images": -1}, "must be 0 at least, not -1"),
    ],
)
def test_numbers_out_of_range_are_one_line(method, given, said):
    with pytest.raises(UnpairedError, match=re.escape(said)) as error:
        check_settings(method, given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", catalog.methods())
def test_the_papers_settings_are_in_range(name):
    config = catalog.load(catalog.method(name).target).Config
    fields = [field for field in dataclasses.fields(config) if field.default is not MISSING]
    check_settings(name, {field.name: field.default for field in fields})


def test_kinds_of_numbers_are_numbers_to_python():
    own = {name: kind for name, kind in vars(kinds).items() if isinstance(kind, type)}
    assert set(own) == set(KINDS) - {"int", "float", "str", "bool", "None"}
    assert all(KINDS[name].types[-1] is kind for name, kind in own.items())


def test_numbers_of_any_sign_pass():
    check_settings("deepjscc", {"snr_min_db": -5.0, "snr_max_db": -1})
    check_settings("cyclegan", {"history_images": 0})


class Either:
    """A method with a setting that is a number, or what `KINDS` does not know."""

    @dataclasses.dataclass(frozen=True)
    class Config:
        rate: float | list[float] = 1.0


def test_a_number_is_in_range_where_something_else_is_taken_too(monkeypatch):
    monkeypatch.setitem(catalog.methods(), "either", MethodEntry(f"{__name__}:Either"))
    check_settings("either", {"rate": [-1.0]})
    with pytest.raises(UnpairedError, match="must be 0 at least, not -1"):
        check_settings("either", {"rate": -1.0})


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
