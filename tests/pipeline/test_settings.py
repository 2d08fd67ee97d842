from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from tests.conftest import REPOSITORY
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.settings import canonical_json, parse_settings
from unpaired.pipeline.table import load_table, parse_table
from unpaired.pipeline.tables.deviations import NOT_DEVIATIONS


def overlay(name):
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    extra = yaml.safe_load((REPOSITORY / f"config/{name}.yaml").read_text())
    for key, value in extra.items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    return config


@pytest.mark.parametrize("name", ["config", "smoke", "overnight", "paper"])
def test_shipped_configurations_are_valid(name):
    parse_settings(overlay(name))


def test_paper_scale_overrides_nothing_of_a_method():
    settings = parse_settings(overlay("paper"))
    hyper = settings.training.model_dump(exclude=NOT_DEVIATIONS)
    assert set(hyper.values()) == {None}
    assert set(settings.network.model_dump().values()) == {None}
    assert set(settings.evaluation.model_dump().values()) == {None}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sede": [1]}, r"config: unknown key 'sede'; did you mean 'seeds'"),
        (
            {"training": {"image_seen": 5}},
            r"unknown key 'training.image_seen'; did you mean 'images_seen'",
        ),
        ({"training": {"images_seen": "many"}}, r"training.images_seen: .*integer.*'many'"),
        ({"training": {"patch_px": 100}}, r"training.patch_px: .*multiple of 64"),
        ({"seeds": []}, r"seeds: .*holds nothing; name one at least, or leave it out"),
        ({"methods": []}, r"methods: .*holds nothing"),
        ({"methods": "[]"}, r"methods: .*holds nothing"),
        ({"testsets": []}, r"testsets: .*holds nothing"),
        ({"noises": []}, r"noises: .*holds nothing"),
        (
            {"training.precision": "fp32"},
            r"unknown key 'training.precision'; write training: \{precision: fp32\}",
        ),
        ({"seeds": [1, 1]}, r"seeds: .*twice"),
        ({"scale": "big"}, r"scale: .*'demo', 'smoke', 'overnight' or 'paper'"),
    ],
)
def test_bad_configuration_is_one_line(config, message):
    with pytest.raises(UnpairedError, match=message) as error:
        parse_settings(config)
    assert "\n" not in str(error.value)


def test_values_that_arrive_as_text():
    """Snakemake's --config hands nested scalars over as text."""
    settings = parse_settings(
        {
            "seeds": ["1", "2"],
            "methods": "n2c,n2n",
            "network": {"global_residual": "false"},
            "training": {"images_seen": "8"},
        }
    )
    assert settings.seeds == [1, 2]
    assert settings.methods == ["n2c", "n2n"]
    assert settings.network.global_residual is False
    assert settings.training.images_seen == 8


def test_key_order_does_not_matter():
    assert canonical_json({"a": 1, "b": [1, {"d": 2, "c": 3}]}) == canonical_json(
        {"b": [1, {"c": 3, "d": 2}], "a": 1}
    )


def test_a_bare_row_is_a_method_and_tables_survive_json():
    table = load_table(REPOSITORY / "config/tables/table1.yaml")
    assert table.rows[0].method == table.rows[0].name == "n2c"
    assert {row.name: row.noise_draw for row in table.rows}["neighbor2neighbor_fixed"] == "fixed"
    assert parse_table(table.model_dump()) == table


def test_a_broken_table_is_one_line(tmp_path):
    path = tmp_path / "table1.yaml"
    path.write_text("number: [1\n")
    with pytest.raises(UnpairedError, match=r"table1\.yaml: not a readable table"):
        load_table(path)
    path.write_text("number: !!python/object/apply:os.system [exit]")
    with pytest.raises(UnpairedError, match=r"table1\.yaml: not a readable table"):
        load_table(path)
    path.write_text("number: 1\ntitel: x\n")
    with pytest.raises(UnpairedError, match="unknown key 'titel'; did you mean 'title'"):
        load_table(path)


def test_planning_never_loads_torch():
    code = (
        "import sys, unpaired.pipeline.plan, unpaired.core.fingerprint;"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_key_is_explained():
    from unpaired.pipeline.settings import Settings

    text = (REPOSITORY / "config/README.md").read_text()
    for name, field in Settings.model_fields.items():
        nested = getattr(field.annotation, "model_fields", None) or {}
        for key in [f"{name}.{sub}" for sub in nested] or [name]:
            assert f"`{key}`" in text, f"config/README.md does not explain {key}"


def test_overrides_typed_after_config_are_numbers_again():
    """Snakemake hands nested values of ``--config`` over as texts."""
    typed = {"dip": {"iterations": "20", "learning_rate": "0.01", "subsampler": "random"}}
    overrides = parse_settings({"overrides": typed}).overrides
    assert overrides == {"dip": {"iterations": 20, "learning_rate": 0.01, "subsampler": "random"}}
    assert parse_settings({"overrides": None}).overrides == {}


def test_null_typed_after_config_is_null():
    typed = {"methods": "null", "overrides": "null", "training": {"images_seen": "null"}}
    assert parse_settings(typed) == parse_settings({})


def test_a_home_folder_is_expanded_wherever_a_path_is_typed(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    typed = {
        "data_root": "~/data",
        "folders": {"mine": "~/x"},
        "files": {"color_prior": "~/p.npy"},
        "work_root": "~",
    }
    settings = parse_settings(typed)
    assert settings.data_root == f"{tmp_path}/data"
    assert settings.folders == {"mine": f"{tmp_path}/x"}
    assert settings.files == {"color_prior": f"{tmp_path}/p.npy"}
    assert settings.work_root == str(tmp_path)
    with pytest.raises(UnpairedError, match="there is no user ~nobody_of_that_name"):
        parse_settings({"data_root": "~nobody_of_that_name/data"})


@pytest.mark.parametrize("path", ["", "  ", "a\nb", "a\0b", "a\x7f"])
def test_what_is_no_path_is_refused_in_one_line(path):
    for config in ({"data_root": path}, {"folders": {"mine": path}}, {"work_root": path}):
        with pytest.raises(UnpairedError, match=r"an empty path|control character") as error:
            parse_settings(config)
        assert "\n" not in str(error.value)
