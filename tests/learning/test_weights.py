from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.weights import load_model, save_model


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
    from safetensors import safe_open

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
