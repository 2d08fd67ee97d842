"""Feature networks whose layers have names: what a perceptual distance compares pictures with.

AlexNet, VGG-16 and SqueezeNet 1.1 have torchvision's layout, so its weights fit by name. AlexNet
also comes narrower, for training from nothing on few cores. Every other name is one of timm's.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn
from torchvision import models

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.networks import timm_networks
from unpaired.networks.foreign_weights import check_layout, read_tensors

# Of pictures in [-1, 1]: ImageNet's mean and deviation, as the published metrics round them.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


@dataclass(frozen=True)
class Layer:
    """A named layer of ``channels`` channels; index: of its module in a chain, or of timm's."""

    name: str
    index: int
    channels: int


class FeatureNetwork(nn.Module):
    """A network, some of whose layers have names.

    features: what computes them. layers: in the order of the outputs. smallest_px: sides that
    pictures need for every layer to have a position. shift, scale: of every channel of pictures in
    [-1, 1], from which the first is to be subtracted and which are then divided by the second.
    """

    shift: tuple[float, ...] = SHIFT
    scale: tuple[float, ...] = SCALE

    def __init__(self, features: nn.Module, layers: tuple[Layer, ...], smallest_px: int) -> None:
        super().__init__()
        self.layers = layers
        self.smallest_px = smallest_px
        self.features = features

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features N x C x H' x W' of every layer, for N x 3 x H x W."""
        if min(image.shape[-2:]) < self.smallest_px:
            raise UnpairedError(
                f"this feature network needs pictures of at least {self.smallest_px} pixels a "
                f"side, not {image.shape[-1]} x {image.shape[-2]}; enlarge or pad them"
            )
        return self._outputs(image)

    def _outputs(self, image: Tensor) -> list[Tensor]:
        raise TypeError(f"{type(self).__name__} must define _outputs()")


class ChainNetwork(FeatureNetwork):
    """A chain of modules; what lies behind the last named layer is left out."""

    def __init__(
        self, features: nn.Sequential, layers: tuple[Layer, ...], smallest_px: int
    ) -> None:
        super().__init__(features[: layers[-1].index + 1], layers, smallest_px)

    def _outputs(self, image: Tensor) -> list[Tensor]:
        wanted = {layer.index for layer in self.layers}
        found = []
        for index, module in enumerate(self.features):
            image = module(image)
            if index in wanted:
                found.append(image)
        return found


class TimmNetwork(FeatureNetwork):
    """A network of timm's; it has the layers, and its pictures are standardized, as timm says.

    name: timm's. features: made by `timm_networks`.
    """

    def __init__(self, name: str, features: nn.Module) -> None:
        info = features.feature_info
        super().__init__(features, _timm_layers(info), max(info.reduction()))
        self.name = name
        # timm's are of pictures in [0, 1].
        self.shift = tuple(2 * mean - 1 for mean in features.pretrained_cfg["mean"])
        self.scale = tuple(2 * std for std in features.pretrained_cfg["std"])
        self.channels_last = str(getattr(features, "output_fmt", "")).endswith("NHWC")

    def _outputs(self, image: Tensor) -> list[Tensor]:
        try:
            found = self.features(image)
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError) as error:  # Of sizes that do not fit, in many ways.
            reason = timm_networks.reason_of(error)
            raise self._refusal(image, f" ({reason})") from error
        if self.channels_last:
            found = [feature.movedim(-1, 1) for feature in found]
        channels = [layer.channels for layer in self.layers]
        if [feature.shape[1] for feature in found] != channels or not all(map(Tensor.numel, found)):
            raise self._refusal(image)
        return found

    def _refusal(self, image: Tensor, reason: str = "") -> UnpairedError:
        _, height, width = self.features.pretrained_cfg["input_size"]
        return UnpairedError(
            f"'{self.name}' does not take pictures of {image.shape[-1]} x {image.shape[-2]} pixels"
            f"{reason}; it was trained on {width} x {height}"
        )


def _timm_layers(info: Any) -> tuple[Layer, ...]:
    """Return the layers that timm describes; parameters may have no dots in their names."""
    modules = [name.replace(".", "_") for name in info.module_name()]
    names = [
        name if modules.count(name) == 1 else f"{name}_{index}"
        for index, name in enumerate(modules)
    ]
    return tuple(map(Layer, names, range(len(names)), info.channels()))


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


def check_network(net: str) -> None:
    """Raise UnpairedError, with names near it, for what is neither ours nor timm's."""
    if net in NETWORKS or timm_networks.is_name(net):
        return
    near = [*difflib.get_close_matches(net, NETWORKS), *timm_networks.names_near(net)]
    hint = f"near it: {', '.join(near)}; " if near else ""
    raise UnpairedError(
        f"unknown feature network '{net}'; {hint}there are {', '.join(NETWORKS)} and those of timm"
    )


def build(net: str, width: float = 1.0) -> FeatureNetwork:
    """Return a feature network with random weights, as PyTorch or timm draws them.

    They come from the global generator. net: alex, vgg, squeeze, or a name of timm's. width: factor
    on all channel counts, only for alex; with 1 it is torchvision's. Raises UnpairedError for any
    other name or width.
    """
    if width != 1 and (net != "alex" or width <= 0):
        raise UnpairedError(f"width {width:g} for '{net}': only alex has widths, all positive")
    check_network(net)
    if net not in NETWORKS:
        return TimmNetwork(net, timm_networks.build_features(net))
    official = _OFFICIAL[net]
    if width == 1:
        return ChainNetwork(_random_features(official), official.layers, official.smallest_px)
    channels = [max(1, round(width * layer.channels)) for layer in official.layers]
    layers = tuple(
        Layer(layer.name, layer.index, count)
        for layer, count in zip(official.layers, channels, strict=True)
    )
    return ChainNetwork(_alexnet_features(channels), layers, official.smallest_px)


def build_seeded(
    net: str, width: float, seed: int, *, as_torchvision: bool = False
) -> FeatureNetwork:
    """Return `build` with weights by seed, as `draw_gaussian` or as `draw_as_torchvision` does.

    Those of timm's networks are always as timm draws them.
    """
    if net in NETWORKS:
        network = build(net, width)
        generator = torch.Generator().manual_seed(seed)
        if as_torchvision:
            draw_as_torchvision(network, net, generator)
        else:
            draw_gaussian(network, generator)
        return network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(net, width)


def draw_gaussian(network: nn.Module, generator: torch.Generator) -> None:
    """Draw all convolutions anew: weights from N(0, 2 / fan in), biases 0.

    The thesis' random network has Gaussian weights of a deviation that is not given (section 6.5);
    He's keeps the responses' size from layer to layer. For AlexNet and VGG the unit-normalized
    features do not depend on it, as without biases it only scales every layer.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                std = (2 / module.weight[0].numel()) ** 0.5
                module.weight.normal_(0, std, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()


def draw_as_torchvision(network: FeatureNetwork, net: str, generator: torch.Generator) -> None:
    """Draw all convolutions anew as torchvision does where it has no trained weights.

    AlexNet's are PyTorch's own: uniform within 1 / sqrt(fan in), biases as well. SqueezeNet's are
    uniform of variance 2 / fan in, VGG's Gaussian of variance 2 / fan out, without biases.
    """
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                if net == "alex":
                    bound = module.weight[0].numel() ** -0.5
                    nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
                    module.bias.uniform_(-bound, bound, generator=generator)
                    continue
                if net == "vgg":
                    nn.init.kaiming_normal_(
                        module.weight, mode="fan_out", nonlinearity="relu", generator=generator
                    )
                else:
                    nn.init.kaiming_uniform_(module.weight, generator=generator)
                module.bias.zero_()


def official_path(net: str) -> Path:
    """Return where torchvision keeps the ImageNet weights of a network."""
    check_choice("the perceptual metric", "network", net, NETWORKS)
    return Path(torch.hub.get_dir()) / "checkpoints" / _OFFICIAL[net].file_name


def official_url(net: str) -> str:
    """Return where torchvision has the ImageNet weights of one of its networks."""
    return _OFFICIAL[net].weights.url


def load_pretrained(net: str, path: Path | None = None) -> FeatureNetwork:
    """Return a network with trained weights, in evaluation mode.

    path: a .pth or .safetensors file, of the whole classifier or, in torchvision's layout, of its
    ``features`` alone. None takes the file that torchvision keeps in its cache, which is never
    downloaded; for a network of timm's, timm's own weights, from its cache or the hub.

    Raises UnpairedError if they cannot be had, if names, shapes or types differ (the first are
    listed), or if a tensor is not finite.
    """
    check_network(net)
    if net not in NETWORKS:
        return TimmNetwork(net, timm_networks.load_features(net, path)).eval()
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
