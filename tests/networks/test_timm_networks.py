"""Networks of timm's by name, with weights from files, and what is said without a hub."""

from __future__ import annotations

import logging
import subprocess
import sys

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from unpaired.core.errors import UnpairedError
from unpaired.networks.timm_networks import build_features, is_name, load_classifier, load_features

NAME = "test_resnet.r160_in1k"
CHANNELS_LAST = "test_mambaout"
TRANSFORMER = "test_vit"


def random_network(name, **options):
    torch.manual_seed(0)
    return timm.create_model(name, **options).eval()


def save(network, path):
    tensors = {key: value.clone().contiguous() for key, value in network.state_dict().items()}
    (save_file if path.suffix == ".safetensors" else torch.save)(tensors, path)
    return path


@pytest.mark.parametrize("name", [NAME, TRANSFORMER, "test_efficientnet", CHANNELS_LAST])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_features_with_weights_of_a_file_are_those_of_the_whole_network(
    tmp_path, name, suffix, caplog
):
    whole = random_network(name, num_classes=3)
    path = save(whole, tmp_path / f"weights{suffix}")
    picture = torch.rand(1, 3, 160, 160)
    with torch.inference_mode():
        expected = whole.forward_intermediates(picture, norm=False, intermediates_only=True)
        found = load_features(name, path).eval()(picture)
        assert torch.equal(load_classifier(name, path).eval()(picture), whole(picture))
    if name == CHANNELS_LAST:
        found = [feature.movedim(-1, 1) for feature in found]
    for feature in found:
        assert any(feature.shape == one.shape and torch.equal(feature, one) for one in expected)
    assert not caplog.records


def test_weights_of_another_network_are_one_line(tmp_path):
    path = save(random_network(NAME), tmp_path / "resnet.pth")
    for load in (load_classifier, load_features):
        with pytest.raises(UnpairedError, match="not the weights of 'test_vit'") as error:
            load(TRANSFORMER, path)
        assert str(error.value).startswith(str(path))
        assert "\n" not in str(error.value)
    network = random_network(NAME)
    network.conv1[0].weight.data[0] = float("nan")
    with pytest.raises(UnpairedError, match=r"not finite in conv1\.0\.weight"):
        load_features(NAME, save(network, path))
    torch.save(network, path)
    with pytest.raises(UnpairedError, match="not a PyTorch file of tensors alone"):
        load_features(NAME, path)


def test_unknown_names_are_one_line_with_those_near():
    assert is_name("resnet18")
    assert is_name("resnet18.a1_in1k")
    for name, near in (
        ("resnt18", "resnet18"),
        ("resnet18.a1", r"resnet18\.a1_in1k"),
        ("hf_hub:timm/resnet18", "near it: resnet18"),
        ("../resnet18.a1_in1k", r"near it: resnet18\.a1_in1k"),
        ("convnext_", "near it: convnext"),
        ("dino", "dinov2"),
        ("", r"timm\.list_models"),
    ):
        assert not is_name(name)
        with pytest.raises(UnpairedError, match=f"timm has no model '{name}'; .*{near}") as error:
            build_features(name)
        assert "\n" not in str(error.value)


def test_the_hub_says_nothing_of_its_retries(monkeypatch):
    hub = logging.getLogger("huggingface_hub.utils._http")
    before, said = hub.getEffectiveLevel(), []

    def retry(*_, **__):
        said.append(hub.getEffectiveLevel())
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", retry)
    with pytest.raises(UnpairedError, match=r"cannot be had \(no network\)"):
        load_classifier(NAME)
    assert said == [logging.ERROR]
    assert hub.getEffectiveLevel() == before != logging.ERROR


def test_without_a_hub_and_a_cache_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for load in (load_classifier, load_features):
        with pytest.raises(UnpairedError, match=rf"weights of '{NAME}' cannot be had .*--weights"):
            load(NAME)
    with pytest.raises(UnpairedError, match=r"cannot be had .*No pretrained weights"):
        load_features("botnet50ts_256")


@pytest.mark.long
def test_timm_and_sklearn_are_imported_where_they_are_needed_alone():
    """Each takes a second, for which neither commands nor other jobs should wait."""
    code = """
import sys
import unpaired.cli, unpaired.stages.train, unpaired.systems.perceptual.distance
from unpaired.learning.create import create
create("n2c", width=8)
create("lpips", width=0.1)
create("colorization", width=4)
create("cross_channel", width=0.1)
assert not {"timm", "sklearn"} & set(sys.modules)
create("lpips", net="test_resnet", form="unweighted")
assert "timm" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
