"""Feature networks whose layers have names: what a perceptual distance compares pictures with.

AlexNet, VGG-16 and SqueezeNet 1.1 have torchvision's layout, so its weights fit by name. AlexNet
also comes narrower, for training from nothing on few cores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn
from torchvision import models

from unpaired.errors import UnpairedError, check_choice
from unpaired.foreign_weights import check_layout, read_tensors


@dataclass(frozen=True)
class Layer:
    """A named layer: the output of the module at ``index``, which has ``channels`` channels."""

    name: str
    index: int
    channels: int


class FeatureNetwork(nn.Module):
    """A chain of modules, some of whose outputs have names.

    features: the chain; what lies behind the last named layer is left out. layers: in the order of
    the chain. smallest_px: sides that pictures need for every layer to have a position.
    """

    def __init__(
        self, features: nn.Sequential, layers: tuple[Layer, ...], smallest_px: int
    ) -> None:
        super().__init__()
        self.layers = layers
        self.smallest_px = smallest_px
        self.features = features[: layers[-1].index + 1]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features N x C x H' x W' of every layer, for N x 3 x H x W."""
        if min(image.shape[-2:]) < self.smallest_px:
            raise UnpairedError(
                f"this feature network needs pictures of at least {self.smallest_px} pixels a "
                f"side, not {image.shape[-1]} x {image.shape[-2]}; enlarge or pad them"
            )
        wanted = {layer.index for layer in self.layers}
        found = []
        for index, module in enumerate(self.features):
            image = module(image)
            if index in wanted:
                found.append(image)
        return found


@dataclass(frozen=True)
class _Official:
    """A network of torchvision. builder makes it; weights: its ImageNet weights' description."""

    builder: Callable[..., nn.Module]
    weights: models.WeightsEnum
    layers: tuple[Layer, ...]
    smallest_px: int

    @property
    def file_name(self) -> str:
        return Path(urlsplit(self.weights.url).path).name


def _layers(*described: tuple[str, int, int]) -> tuple[Layer, ...]:
    return tuple(Layer(*layer) for layer in described)


# The layers are those of Zhang et al., CVPR 2018 (thesis, section 6.4), all behind a ReLU.
_OFFICIAL = {
    "alex": _Official(
        models.alexnet,
        models.AlexNet_Weights.IMAGENET1K_V1,
        _layers(
            ("conv1", 1, 64), ("conv2", 4, 192), ("conv3", 7, 384), ("conv4", 9, 256),
            ("conv5", 11, 256),
        ),
        31,
    ),
    "vgg": _Official(
        models.vgg16,
        models.VGG16_Weights.IMAGENET1K_V1,
        _layers(
            ("conv1_2", 3, 64), ("conv2_2", 8, 128), ("conv3_3", 15, 256), ("conv4_3", 22, 512),
            ("conv5_3", 29, 512),
        ),
        16,
    ),
    "squeeze": _Official(
        models.squeezenet1_1,
        models.SqueezeNet1_1_Weights.IMAGENET1K_V1,
        _layers(
            ("conv1", 1, 64), ("fire3", 4, 128), ("fire5", 7, 256), ("fire6", 9, 384),
            ("fire7", 10, 384), ("fire8", 11, 512), ("fire9", 12, 512),
        ),
        17,
    ),
}  # fmt: skip
NETWORKS = tuple(_OFFICIAL)


def build(net: str, width: float = 1.0) -> FeatureNetwork:
    """Return a feature network with PyTorch's default random weights (from the global generator).

    net: alex, vgg or squeeze. width: factor on all channel counts, only for alex; with 1 it is
    torchvision's. Raises UnpairedError for any other name or width.
    """
    check_choice("the perceptual metric", "network", net, NETWORKS)
    official = _OFFICIAL[net]
    if width == 1:
        return FeatureNetwork(_random_features(official), official.layers, official.smallest_px)
    if net != "alex" or width <= 0:
        raise UnpairedError(f"width {width:g} for '{net}': only alex has widths, all positive")
    channels = [max(1, round(width * layer.channels)) for layer in official.layers]
    layers = tuple(
        Layer(layer.name, layer.index, count)
        for layer, count in zip(official.layers, channels, strict=True)
    )
    return FeatureNetwork(_alexnet_features(channels), layers, official.smallest_px)


def draw_gaussian(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all convolutions anew: weights from N(0, 2 / fan in), biases 0.

    The thesis' random network has Gaussian weights of a deviation that is not given (section 6.5);
    He's keeps the responses' size from layer to layer. For AlexNet and VGG the unit-normalised
    features do not depend on it, as without biases it only scales every layer.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                std = (2 / module.weight[0].numel()) ** 0.5
                module.weight.normal_(0, std, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()


def official_path(net: str) -> Path:
    """Return where torchvision keeps the ImageNet weights of a network."""
    check_choice("the perceptual metric", "network", net, NETWORKS)
    return Path(torch.hub.get_dir()) / "checkpoints" / _OFFICIAL[net].file_name


def load_pretrained(net: str, path: Path | None = None) -> FeatureNetwork:
    """Return a network with weights from a file in torchvision's layout; nothing is downloaded.

    path: a .pth or .safetensors file of the whole classifier or of its ``features`` alone; None
    takes the file that torchvision keeps in its cache. Raises UnpairedError if it is missing, if
    names, shapes or types differ (the first are listed), or if a tensor is not finite.
    """
    place = official_path(net)
    official = _OFFICIAL[net]
    if path is None and not place.is_file():
        raise UnpairedError(
            f"the ImageNet weights of '{net}' are not here: put {place.name} (from "
            f"{official.weights.url}) at {place}, or name another file"
        )
    path = place if path is None else Path(path)
    tensors = read_tensors(path)
    with torch.device("meta"):
        expected = official.builder().state_dict()
    if all(name.startswith("features.") for name in tensors):
        expected = {k: v for k, v in expected.items() if k.startswith("features.")}
    check_layout(path, tensors, expected)
    network = build(net)
    network.load_state_dict({k: v for k, v in tensors.items() if k.startswith("features.")})
    return network.eval()


def _random_features(official: _Official) -> nn.Sequential:
    """Return torchvision's feature part without spending time and memory on the classifier."""
    with torch.device("meta"):
        features = official.builder().features
    features.to_empty(device="cpu")
    for module in features.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    return features


def _alexnet_features(channels: list[int]) -> nn.Sequential:
    """Return the chain of torchvision's AlexNet with other channel counts."""
    first, second, third, fourth, fifth = channels
    return nn.Sequential(
        nn.Conv2d(3, first, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(first, second, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(second, third, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(third, fourth, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(fourth, fifth, 3, padding=1),
        nn.ReLU(inplace=True),
    )
