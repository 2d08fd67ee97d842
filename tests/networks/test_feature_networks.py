"""Feature networks against torchvision's own, and what is said where weights are missing."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models
from torchvision.models import vgg

from unpaired.core.errors import UnpairedError
from unpaired.networks.feature_networks import (
    NETWORKS,
    build,
    build_seeded,
    draw_as_torchvision,
    draw_gaussian,
    load_pretrained,
    official_path,
)

BUILDERS = {"alex": models.alexnet, "vgg": models.vgg16, "squeeze": models.squeezenet1_1}
CHANNELS = {
    "alex": [64, 192, 384, 256, 256],
    "vgg": [64, 128, 256, 512, 512],
    "squeeze": [64, 128, 256, 384, 384, 512, 512],
}


@pytest.fixture
def torchvision_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path


def save_alexnet(path, **extra):
    whole = models.alexnet()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(whole.state_dict() | extra, path)
    return whole


@pytest.mark.parametrize("net", NETWORKS)
def test_layers_are_the_relus_of_torchvision(net):
    network = build(net)
    with torch.device("meta"):
        reference = BUILDERS[net]().features
    reference = reference.to_empty(device="cpu")
    tapped = {layer.index: None for layer in network.layers}
    # Behind its last named layer VGG and AlexNet only pool, without weights.
    reference.load_state_dict(network.features.state_dict())
    image = torch.rand(2, 3, 48, 40)
    outputs = image
    for index, module in enumerate(reference[: network.layers[-1].index + 1]):
        outputs = module(outputs)
        if index in tapped:
            tapped[index] = outputs
    found = network(image)
    assert [feature.shape[1] for feature in found] == CHANNELS[net]
    assert [layer.channels for layer in network.layers] == CHANNELS[net]
    for feature, expected in zip(found, tapped.values(), strict=True):
        assert (feature >= 0).all()
        torch.testing.assert_close(feature, expected, rtol=0, atol=0)


@pytest.mark.parametrize("net", NETWORKS)
def test_the_smallest_picture_has_a_position_in_every_layer(net):
    network = build(net)
    side = network.smallest_px
    assert all(f.shape[-1] >= 1 for f in network(torch.rand(1, 3, side, side)))
    with pytest.raises(UnpairedError, match=f"at least {side} pixels a side, not {side - 1} x"):
        network(torch.rand(1, 3, side, side - 1))


def test_a_narrow_alexnet_has_a_fraction_of_the_channels():
    network = build("alex", width=0.25)
    assert [f.shape[1] for f in network(torch.rand(1, 3, 64, 64))] == [16, 48, 96, 64, 64]
    wide, full = build("alex", width=1 + 1e-9), build("alex")
    wide.load_state_dict(full.state_dict())
    image = torch.rand(1, 3, 40, 40)
    for ours, theirs in zip(wide(image), full(image), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    with pytest.raises(UnpairedError, match="only alex has widths"):
        build("vgg", width=0.5)


def test_gaussian_weights_keep_the_size_of_responses():
    network = build("alex")
    draw_gaussian(network, torch.Generator().manual_seed(1))
    again = build("alex")
    draw_gaussian(again, torch.Generator().manual_seed(1))
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for ours in convolutions:
        assert ours.bias.abs().max() == 0
        assert ours.weight.std().item() == pytest.approx(
            (2 / ours.weight[0].numel()) ** 0.5, rel=0.03
        )
    assert torch.equal(network.features[3].weight, again.features[3].weight)


def test_alexnet_as_torchvision_draws_it_has_the_very_numbers_of_torchvision():
    torch.manual_seed(3)
    theirs = models.alexnet().features
    ours = build_seeded("alex", 1.0, 3, as_torchvision=True)
    for name, value in ours.features.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name])


@pytest.mark.parametrize("net", ["vgg", "squeeze"])
def test_the_others_have_the_distribution_of_torchvisions(net):
    torch.manual_seed(3)
    theirs = {"vgg": vgg_without_classifier, "squeeze": models.squeezenet1_1}[net]().features
    network = build(net)
    draw_as_torchvision(network, net, torch.Generator().manual_seed(3))
    for name, value in network.features.state_dict().items():
        expected = theirs.state_dict()[name]
        assert value.std(correction=0).item() == pytest.approx(expected.std().item(), rel=0.05)
        # Gaussian or uniform: the fourth moment is 3 or 1.8 squared variances.
        if name.endswith("weight") and value.numel() > 20_000:
            kurtosis = [(z / z.std()).pow(4).mean().item() for z in (value, expected)]
            assert kurtosis[0] == pytest.approx(kurtosis[1], rel=0.1)


class SmallLinear(nn.Linear):
    def __init__(self, *_):
        super().__init__(1, 1)


def vgg_without_classifier():
    """The classifier is drawn after the features, and would take 0.5 GB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg.nn, "Linear", SmallLinear)
        return models.vgg16()


def test_weights_come_from_the_cache_or_a_file(torchvision_cache):
    whole = save_alexnet(torchvision_cache / "checkpoints" / "alexnet-owt-7be5be79.pth")
    image = torch.rand(1, 3, 64, 64)
    expected = whole.features[:12](image)
    torch.testing.assert_close(load_pretrained("alex")(image)[-1], expected, rtol=0, atol=0)
    trunk = torchvision_cache / "trunk.safetensors"
    save_file({f"features.{k}": v for k, v in whole.features.state_dict().items()}, trunk)
    torch.testing.assert_close(load_pretrained("alex", trunk)(image)[-1], expected, rtol=0, atol=0)


def test_missing_weights_are_told_with_their_place(torchvision_cache):
    with pytest.raises(UnpairedError, match=r"put vgg16-397923af.pth .* at .*checkpoints") as error:
        load_pretrained("vgg")
    assert str(official_path("vgg")) in str(error.value)
    assert "\n" not in str(error.value)


def test_other_weights_are_refused(torchvision_cache):
    path = torchvision_cache / "other.pth"
    save_alexnet(path, surplus=torch.zeros(1))
    with pytest.raises(UnpairedError, match=r"surplus: not expected"):
        load_pretrained("alex", path)
    with pytest.raises(UnpairedError, match=r"features.0.weight: \(64, 3, 11, 11\) instead of"):
        load_pretrained("vgg", path)
    torch.save(models.alexnet, path)
    with pytest.raises(UnpairedError, match="not a PyTorch file of tensors alone"):
        load_pretrained("alex", path)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("test_resnet.r160_in1k", ["act1", "layer1", "layer2", "layer3", "layer4"]),
        ("test_vit", ["blocks_3", "blocks_4", "blocks_5"]),
        ("test_mambaout", ["stages_0", "stages_1", "stages_2", "stages_3"]),
    ],
)
def test_a_network_of_timm_gives_what_timm_gives(name, layers):
    network = build(name).eval()
    theirs = timm.create_model(name, features_only=True).eval()
    theirs.load_state_dict(network.features.state_dict())
    picture = torch.rand(2, 3, 160, 160)
    expected = theirs(picture)
    if name == "test_mambaout":  # Which has its channels last.
        expected = [feature.movedim(-1, 1) for feature in expected]
    assert [layer.name for layer in network.layers] == layers
    assert [layer.channels for layer in network.layers] == theirs.feature_info.channels()
    for ours, one, layer in zip(network(picture), expected, network.layers, strict=True):
        torch.testing.assert_close(ours, one, rtol=0, atol=0)
        assert ours.shape[1] == layer.channels
    assert all(feature.shape[1:] for feature in network(torch.rand(1, 3, 67, 90)))


def test_pictures_of_a_size_that_timm_does_not_take_are_one_line():
    side = build("test_resnet").smallest_px
    assert side == 32
    with pytest.raises(UnpairedError, match="at least 32 pixels a side, not 40 x 31"):
        build("test_resnet")(torch.rand(1, 3, 31, 40))
    with pytest.raises(UnpairedError, match="'test_vit_relpos' does not take pictures of 90 x 67"):
        build("test_vit_relpos")(torch.rand(1, 3, 67, 90))


def test_layers_of_one_module_have_names_of_their_own():
    names = [layer.name for layer in build("coat_tiny").layers]
    assert len(set(names)) == len(names)


def test_random_weights_of_timm_come_from_the_seed_and_leave_the_generator():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (build_seeded("test_resnet", 1.0, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [one.features.conv1[0].weight for one in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_weights_of_timm_come_from_a_file(tmp_path):
    whole = timm.create_model("test_resnet").eval()
    torch.save(whole.state_dict(), tmp_path / "resnet.pth")
    network = load_pretrained("test_resnet", tmp_path / "resnet.pth")
    assert not network.training
    picture = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(network(picture)[-1], whole.forward_features(picture))


def test_other_names_are_refused_with_those_near():
    for make in (build, load_pretrained):
        with pytest.raises(UnpairedError, match="unknown feature network 'alexx'; near it: alex"):
            make("alexx")
    with pytest.raises(UnpairedError, match="near it: resnet18"):
        build("resnt18")
    with pytest.raises(UnpairedError, match="only alex has widths"):
        build("test_resnet", width=0.5)
