"""Files of weights whose name says which network of timm's they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from unpaired.core.errors import UnpairedError
from unpaired.systems.perceptual.authors_weights import PUBLISHED


def test_the_name_of_a_file_may_be_one_of_timm(tmp_path):
    path = tmp_path / "test_resnet.r160_in1k.pth"
    whole = timm.create_model("test_resnet")
    torch.save(whole.state_dict(), path)
    assert PUBLISHED.name_of(path, None) == "test_resnet.r160_in1k"
    method = PUBLISHED.read(path)
    assert (method.config.net, method.config.form) == ("test_resnet.r160_in1k", "unweighted")
    assert torch.equal(method.metric.network.features.conv1[0].weight, whole.conv1[0].weight)


@pytest.mark.parametrize("name", ["model.safetensors", "vgg17-397923af.pth"])
def test_other_names_do_not_say_which_network_it_is(name):
    with pytest.raises(UnpairedError, match="does not say which network it is"):
        PUBLISHED.name_of(Path(name), None)


def test_names_of_torchvision_are_theirs():
    assert PUBLISHED.name_of(Path("vgg16-397923af.pth"), None) == "vgg"
    assert PUBLISHED.name_of(Path("vgg16.tv_in1k.safetensors"), None) == "vgg16.tv_in1k"
