from __future__ import annotations

import json
import pickle

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.catalog.method_settings import settings_of
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.weights import load_model, read_about, save_model
from unpaired.pipeline.plan import plan_tables
from unpaired.pipeline.run import Run
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.table import load_tables


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    method = create("neighbor2neighbor", width=8, gamma=3.0)
    save_model(path, "neighbor2neighbor", method)
    return path, method


def test_round_trip(model):
    path, method = model
    name, loaded = load_model(path)
    assert name == "neighbor2neighbor"
    assert loaded.config == method.config
    assert not loaded.training
    for key, value in method.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)


class Payload:
    """What an attacker would hide in a pickle: unpickling it writes a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def test_a_pickle_is_refused_and_never_loaded(tmp_path):
    path, proof = tmp_path / "model.pth", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Payload(proof)))
    with pytest.raises(UnpairedError, match=r"model\.pth: not a safetensors model.*never loaded"):
        load_model(path)
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(UnpairedError, match="never loaded"):
        load_model(path)
    assert not proof.exists()


def test_another_architecture_is_listed(model):
    path, _ = model
    tensors = load_file(path)
    tensors.pop("network.last.bias")
    tensors["network.last.weight"] = torch.zeros(3, 17, 1, 1)
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    save_file(tensors, path, metadata=about)
    with pytest.raises(UnpairedError) as error:
        load_model(path)
    assert "network.last.bias: missing instead of (3,)" in str(error.value)
    assert "network.last.weight: (3, 17, 1, 1) instead of (3, 16, 1, 1)" in str(error.value)


def test_foreign_missing_and_broken_files(tmp_path, model):
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, foreign)
    with pytest.raises(UnpairedError, match="not a model of this project"):
        load_model(foreign)
    with pytest.raises(UnpairedError, match="no such model file"):
        load_model(tmp_path / "absent.safetensors")
    path, method = model
    with torch.no_grad():
        method.network.last.bias[0] = float("nan")
    save_model(path, "neighbor2neighbor", method)
    with pytest.raises(UnpairedError, match=r"not finite: network\.last\.bias"):
        load_model(path)


# ---- Files that were cut, and forged ones -------------------------------------------------------


def one_line_of(path, load=load_model):
    """Return what is said of a file that is refused; it names the file, in one line."""
    with pytest.raises(UnpairedError) as error:
        load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("load", [load_model, read_about])
def test_a_file_that_was_cut_says_so_and_how_to_make_it_again(model, load):
    path, _ = model
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for length in (1, 7, 8, 9, header // 2, header - 1, header, header + 1, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert f"cut short: {length} of " in one_line_of(path, load)
        assert "pickle" not in one_line_of(path, load)
    assert f"{len(whole) - 1} of {len(whole)} bytes; delete it and give the snakemake" in (
        one_line_of(path, load)
    )
    path.write_bytes(b"")
    assert "an empty file; delete it and give the snakemake command again" in one_line_of(path)
    other = path.rename(path.with_name("mine.safetensors"))
    assert "an empty file; copy it again, or make it again by the command" in one_line_of(other)


def test_a_length_that_begins_like_a_pickle_is_none(model):
    """One in 32 models has a header whose length begins with the byte that pickles begin with."""
    path, _ = model
    about = safetensors_header(path)
    body = path.read_bytes()[8 + int.from_bytes(path.read_bytes()[:8], "little") :]
    text = json.dumps(about).encode()
    text = text.ljust(-(-(len(text) - 0x80) // 0x100) * 0x100 + 0x80)
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    assert path.read_bytes()[0] == 0x80
    load_model(path)


def safetensors_header(path):
    with open(path, "rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def forge(path, **says):
    """Give a file another description of itself; None leaves the key out."""
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["unpaired"])
    about = {key: value for key, value in (about | says).items() if value is not None}
    save_file(tensors, path, metadata={"unpaired": json.dumps(about)})


FORGED = {
    "a text": ({"method": "no such"}, "unknown method 'no such'"),
    "a list as method": ({"method": ["n2n"]}, "what it says of its method is damaged"),
    "no method": ({"method": None}, "not a model of this project"),
    "a method that learns nothing": ({"method": "cbm3d"}, "'cbm3d' learns nothing"),
    "a list as settings": ({"config": [1]}, "what it says of its config is damaged"),
    "an unknown setting": ({"config": {"widht": 8}}, "has no setting 'widht'; did you mean"),
    "a setting that is an argument": ({"config": {"name": "n2n"}}, "has no setting 'name'"),
    "a text for a number": ({"config": {"width": "8"}}, "must be a whole number"),
    "an object for a number": ({"config": {"width": {"a": 1}}}, "must be a whole number"),
    "a width of 0": ({"config": {"width": 0}}, ""),
    "a width of -8": ({"config": {"width": -8}}, "must be 1 at least, not -8"),
    "a width beyond all memory": ({"config": {"width": 10**6}}, "another architecture"),
    "a width beyond all counting": ({"config": {"width": 10**30}}, "at most 1e+12"),
    "a choice that there is not": ({"config": {"subsampler": "x"}}, "has no subsampler 'x'"),
    "a list as notes": ({"notes": [1]}, "what it says of its notes is damaged"),
    "layers without end": (
        {"method": "lud_vae", "config": {"residual_blocks": 10**9, "width": 8}},
        "more layers than it has weights for",
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_description_is_one_line(model, case):
    path, _ = model
    says, told = FORGED[case]
    forge(path, **says)
    assert told in one_line_of(path)


def test_a_setting_that_is_gone_does_not_keep_a_model_from_being_loaded(tmp_path):
    path = tmp_path / "model.safetensors"
    method = create("sud2", widths="8 8", groups=4, patch_px=16)
    save_model(path, "sud2", method)
    saved = read_about(path)["config"]
    forge(path, config=saved | {"decorrelation_less_mean": True})
    assert load_model(path)[1].config == method.config
    forge(path, config=saved | {"decorrelation_less_means": True})
    assert "has no setting 'decorrelation_less_means'" in one_line_of(path)


FORGED_HEADERS = {
    "no JSON": b"{" + b"x" * 15,
    "a list": b"[1, 2]  ",
    "a number": b"12345678",
    "nested without end": b'{"__metadata__":{"unpaired":"' + b"[" * 100_000 + b'"}}',
    "metadata that is no JSON": b'{"__metadata__":{"unpaired":"{"}}',
    "metadata that is null": b'{"__metadata__":{"unpaired":"null"}}',
    "metadata that is no text": b'{"__metadata__":{"unpaired":1}}',
    "a tensor without a place": b'{"a":{"dtype":"F32","shape":[1]}}',
    "a tensor of an unknown type": b'{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,4]}}',
    "a negative shape": b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
    "a shape beyond its bytes": b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,4]}}',
    "a place that ends before it begins": b'{"a":{"dtype":"F32","shape":[],"data_offsets":[4,0]}}',
}


@pytest.mark.parametrize("case", FORGED_HEADERS)
def test_a_forged_header_is_one_line(tmp_path, case):
    path = tmp_path / "forged.safetensors"
    text = FORGED_HEADERS[case]
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    one_line_of(path)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9])
def test_a_header_of_any_length_is_not_read(tmp_path, length):
    path = tmp_path / "forged.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b'{"a":1}')
    assert "not a safetensors model" in one_line_of(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_weights_of_another_type_are_another_architecture(model, dtype):
    path, _ = model
    tensors = load_file(path)
    tensors["network.last.bias"] = tensors["network.last.bias"].to(dtype)
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    save_file(tensors, path, metadata=about)
    name = str(dtype).removeprefix("torch.")
    assert f"network.last.bias: (3,) of {name} instead of (3,)" in one_line_of(path)


def test_a_page_of_the_web_is_no_model(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("<!DOCTYPE html><html><body>404: not found</body></html>")
    assert "not a safetensors model" in one_line_of(path)


TRAINED = [name for name, one in catalog.methods().items() if one.is_trained]


def small_config(name):
    """Return a small width where there is one: channels, or a share of the paper's channels."""
    kind = settings_of(name).get("width")
    return {} if kind is None else {"width": 0.125 if kind == "float" else 8}


def demo_trainings():
    """Return method and settings of everything that the demo trains, each once."""
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    settings = parse_settings(config)
    run = Run(settings, *plan_tables(load_tables(REPOSITORY / "config/tables"), settings))
    trained = [model for model in run.models.values() if model.is_trained]
    return list(
        {str(m.spec["overrides"]): (m.method, m.spec["overrides"]) for m in trained}.values()
    )


@pytest.mark.parametrize(
    ("name", "config"),
    [
        *((name, small_config(name)) for name in TRAINED),
        *(pytest.param(*one, marks=pytest.mark.long) for one in demo_trainings()),
    ],
)
def test_every_method_is_built_without_memory_as_with_it(name, config):
    """What the layout of a file is held against: the same names, shapes and types."""
    with torch.device("meta"):
        bare = create(name, **config).state_dict()
    real = create(name, **config).state_dict()
    assert [*bare] == [*real]
    assert {k: (v.shape, v.dtype) for k, v in bare.items()} == {
        k: (v.shape, v.dtype) for k, v in real.items()
    }
