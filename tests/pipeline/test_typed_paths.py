"""A path that a person typed is there, or one line says that it is not."""

from __future__ import annotations

import os
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.datasets import require_typed_paths
from unpaired.pipeline.plan import plan_table, plan_tables
from unpaired.pipeline.settings import Settings, Typed, parse_settings
from unpaired.pipeline.table import load_table

TABLE = load_table(REPOSITORY / "config/tables/table1.yaml")

# What a shell, a format string or an option parser would take for its own.
NASTY = "-x y'z\"$(touch MARK)`touch MARK`;touch MARK&|>{x}{0}{{*?\\ü"


@pytest.fixture
def places(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/.DS_Store").touch()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/notes.txt").touch()
    (tmp_path / "good/sub").mkdir(parents=True)
    (tmp_path / "good/sub/a.PNG").touch()
    np.save(tmp_path / "prior.npy", np.full(313, 1 / 313))
    return tmp_path


@pytest.mark.parametrize(
    ("place", "flaw"),
    [
        ("typo", "does not exist"),
        ("prior.npy", "is a file, not a folder"),
        ("empty", "is empty"),
        ("hidden", "is empty"),
    ],
)
def test_folders_that_are_none(places, place, flaw):
    path = str(places / place)
    for key, config in (
        ("data_root", {"data_root": path}),
        ("folders.mine", {"folders": {"mine": path}}),
        ("folders.mine", {"folders": {"mine": path}, "testsets": ["embedded_test"]}),
    ):
        with pytest.raises(UnpairedError, match=f"config: {key}: .*{place} {flaw}"):
            require_typed_paths(parse_settings(config))


def test_an_own_folder_without_pictures(places):
    with pytest.raises(UnpairedError, match="texts holds no picture"):
        require_typed_paths(parse_settings({"folders": {"mine": str(places / "texts")}}))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read(places):
    (places / "good").chmod(0)
    with pytest.raises(UnpairedError, match="cannot be read; change its permissions"):
        require_typed_paths(parse_settings({"data_root": str(places / "good")}))
    (places / "good").chmod(0o700)


@pytest.mark.parametrize(
    ("place", "flaw"),
    [
        ("typo.npy", "does not exist"),
        ("good", "is a folder, not a file"),
        ("texts/notes.txt", "is no .npy file"),
    ],
)
def test_a_file_in_place_of_an_artifact_that_is_none(places, place, flaw):
    with pytest.raises(UnpairedError, match=rf"config: files\.color_prior: .*{flaw}"):
        require_typed_paths(parse_settings({"files": {"color_prior": str(places / place)}}))


def test_a_file_for_the_folder_of_checkpoints(places):
    with pytest.raises(UnpairedError, match=r"work_root: .* is a file; name a folder"):
        require_typed_paths(parse_settings({"work_root": str(places / "prior.npy")}))


def test_all_that_is_wrong_is_told_at_once_and_what_is_right_passes(places, monkeypatch):
    with pytest.raises(UnpairedError, match=r"data_root: /typo .*; files\.color_prior: /typo"):
        require_typed_paths(
            parse_settings({"data_root": "/typo", "files": {"color_prior": "/typo"}})
        )
    monkeypatch.chdir(places)
    monkeypatch.setenv("HOME", str(places))
    for folder in ("good", "./good", "~/good", str(places / "good")):
        typed = {
            "folders": {"mine": folder},
            "files": {"color_prior": "prior.npy"},
            "work_root": "new",
        }
        require_typed_paths(parse_settings(typed))


def test_a_test_set_that_was_asked_for_by_name_must_be_there(places):
    for config in ({}, {"data_root": str(places)}):
        settings = parse_settings(config)
        assert not all(cell.is_present for cell in plan_table(TABLE, settings).cells)
        with pytest.raises(UnpairedError, match="data set 'kodak': "):
            plan_table(TABLE, parse_settings(config | {"testsets": ["kodak"]}))


@pytest.mark.parametrize("make", ["touch", "mkdir"])
def test_a_listed_folder_that_holds_nothing_refuses_its_tables_alone(places, make):
    getattr(places / "kodak", make)()
    tables = [TABLE, load_table(REPOSITORY / "config/tables/table2.yaml")]
    plans, refusals = plan_tables(tables, parse_settings({"data_root": str(places)}))
    assert list(plans) == [2]
    assert "kodak is " in str(refusals[1])


# Settings whose text is passed on as it is; tests/workflow/test_settings_text.py runs them.
PASSED_ON = {"data_root", "folders", "files", "work_root", "overrides", "overrides_on"}


def takes_text(annotation: Any) -> bool:
    """Whether a setting of this type may be given as free text, or text in a list or mapping."""
    origin = get_origin(annotation)
    if origin is Literal or annotation in (NoneType, int, float, bool):
        return False
    if origin is Annotated:
        return takes_text(get_args(annotation)[0])
    if origin in (Union, UnionType, list, dict):
        return any(takes_text(argument) for argument in get_args(annotation))
    return annotation in (str, Any)


def text_settings(model: type[Typed] = Settings, above: tuple[str, ...] = ()) -> list[tuple]:
    """Return the place of every setting that takes text, from the settings model itself."""
    found = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Typed):
            found += text_settings(annotation, (*above, name))
        elif takes_text(annotation):
            found.append((*above, name))
    return found


def test_the_settings_that_take_text_are_found():
    found = {".".join(place) for place in text_settings()}
    assert found == PASSED_ON | {"train_set", "methods", "testsets", "noises"}


@pytest.mark.parametrize("text", [NASTY, "line\nbreak", "-x", ".", "{", "$(touch MARK)", "a b"])
@pytest.mark.parametrize("place", text_settings(), ids=".".join)
def test_text_is_refused_in_one_line_or_passed_on(place, text):
    if place[0] in PASSED_ON:
        return
    config: Any = text
    for key in reversed(place):
        config = {key: config}
    with pytest.raises(UnpairedError) as error:
        plan_table(TABLE, parse_settings(config))
    assert repr(text)[1:-1] in repr(str(error.value)) or text[:9] in str(error.value)


@pytest.mark.parametrize("text", [NASTY, "line\nbreak", "-x", "a b"])
def test_names_of_own_data_sets_and_methods_are_refused(places, text):
    with pytest.raises(UnpairedError, match="may hold a-z, 0-9 and _ only"):
        require_typed_paths(parse_settings({"folders": {text: str(places / "good")}}))
    with pytest.raises(UnpairedError, match="unknown method"):
        plan_table(TABLE, parse_settings({"overrides": {text: {"width": 8}}}))
    with pytest.raises(UnpairedError, match="unknown data set"):
        plan_table(TABLE, parse_settings({"overrides_on": {text: {"n2n": {"width": 8}}}}))
