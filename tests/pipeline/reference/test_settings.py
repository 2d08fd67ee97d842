from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from tests.conftest import REPOSITORY
from unpaired.pipeline.reference import settings as settings_reference
from unpaired.pipeline.reference.settings import allowed, keys, page_text, schema, schema_text


def config(name):
    return yaml.safe_load((REPOSITORY / f"config/{name}.yaml").read_text())


def test_the_committed_files_are_what_the_types_give():
    again = "run: python -m unpaired.pipeline.reference.settings"
    page = (REPOSITORY / settings_reference.PAGE).read_text()
    assert page == page_text(REPOSITORY / "config"), again
    assert (REPOSITORY / settings_reference.SCHEMA).read_text() == schema_text(), again


def test_both_files_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    for name in ("config", "smoke", "overnight", "paper"):
        (tmp_path / f"config/{name}.yaml").write_text(yaml.safe_dump(config(name)))
    settings_reference.main()
    assert (tmp_path / "docs/settings.md").read_text() == page_text(REPOSITORY / "config")
    assert json.loads((tmp_path / "config/schema.json").read_text()) == schema()


@pytest.mark.parametrize("name", ["config", "smoke", "overnight", "paper"])
def test_shipped_configurations_fit_the_schema(name):
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(config(name), schema())


@pytest.mark.parametrize(
    "wrong",
    [{"sede": [1]}, {"training": {"patch_px": 100}}, {"scale": "big"}, {"seeds": []}],
)
def test_wrong_configurations_do_not_fit_the_schema(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())


def test_every_key_has_a_description():
    described = dict(keys())
    assert {"scale", "seeds", "training.patch_px", "evaluation.repeats"} <= described.keys()
    assert [key for key, own in described.items() if not own.get("description")] == []


def test_values_are_told_in_words():
    told = {key: allowed(own) for key, own in keys()}
    assert told["training.patch_px"] == "integer, > 0, multiple of 64 or `null`"
    assert told["seeds"] == "list of integer, >= 0"
    assert told["device"] == "`auto`, `cpu`, `cuda`, `mps`"
