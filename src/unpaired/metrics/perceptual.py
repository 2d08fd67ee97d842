"""LPIPS: the distance of two pictures in the features of a network (Zhang 2018, chapter 6).

Features are scaled to unit length at every position; their squared differences, weighted per
channel, are averaged over positions and summed over layers. The weights are not squared: equation
6.1 has them inside the norm, the released weights are those of this form.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.networks.feature_networks import NETWORKS, FeatureNetwork, load_pretrained
from unpaired.networks.foreign_weights import check_layout, read_tensors

VERSIONS = ("0.1", "0.0")
NORM_EPS = 1e-10  # beside the norm, not under its root
RANGE_TOLERANCE = 1e-3  # a quarter of a step of 8 bits


class LPIPS(nn.Module):
    """A perceptual distance from any feature network with named layers.

    learned: whether channels have weights (``lin``, ``tune`` and ``scratch``; they differ in what
    was trained); without, every weight is 1, which makes a layer's distance twice 1 - cosine.
    version: "0.1" gives the network pictures standardized as those it learned from, "0.0" pictures
    in [-1, 1], as the first release did. dropout: of the weighted differences, only in training.

    New weights are drawn as the authors draw them, uniform within 1 / sqrt(channels) of 0, and then
    projected as after every step of their training, which makes half of them 0.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        *,
        learned: bool = True,
        version: str = "0.1",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_choice("LPIPS", "version", version, VERSIONS)
        self.network = network
        self.version = version
        self.dropout = dropout
        shift, scale = ((0.0,) * 3, (1.0,) * 3)
        if version == "0.1":
            shift, scale = network.shift, network.scale
        shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (shift, scale))
        # (2 x - 1 - shift) / scale, in one pass over the pictures.
        self.register_buffer("factor", 2 / scale, persistent=False)
        self.register_buffer("offset", (-1 - shift) / scale, persistent=False)
        self.weights = nn.ParameterDict()
        if learned:
            for layer in network.layers:
                bound = layer.channels**-0.5
                drawn = torch.empty(layer.channels).uniform_(-bound, bound)
                self.weights[layer.name] = nn.Parameter(drawn)
            self.project()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distances, N, of N x C x H x W and N x C x H x W; C is 1 or 3.

        Pictures are in [0, 1] and of any size that the network takes; gray ones are repeated to
        three channels. Raises UnpairedError for another range or shape.
        """
        return self.distances(first, second)[0]

    def distances(self, reference: Tensor, *others: Tensor) -> list[Tensor]:
        """Return the distances, N, of a reference to several pictures; its features are shared."""
        check_pictures(reference, *others)
        return self.distances_unchecked(reference, *others)

    def distances_unchecked(self, reference: Tensor, *others: Tensor) -> list[Tensor]:
        """Return `distances`; for training, where looking at the range would make a GPU wait."""
        maps = self._layer_maps(reference, others)
        return [sum(layer.mean(dim=(1, 2)) for layer in layers) for layers in maps]

    def spatial(self, first: Tensor, second: Tensor) -> Tensor:
        """Return maps of distances, N x H x W: layers enlarged bilinearly and summed."""
        check_pictures(first, second)
        (layers,) = self._layer_maps(first, (second,))
        size = first.shape[-2:]
        return sum(
            functional.interpolate(layer[:, None], size, mode="bilinear")[:, 0] for layer in layers
        )

    def by_layer(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """Return every layer's share, N, of the distances."""
        check_pictures(first, second)
        (layers,) = self._layer_maps(first, (second,))
        names = [layer.name for layer in self.network.layers]
        return dict(zip(names, [layer.mean(dim=(1, 2)) for layer in layers], strict=True))

    @torch.no_grad()
    def project(self) -> None:
        """Set negative weights of channels to 0; the feature network is left alone."""
        for weight in self.weights.values():
            weight.clamp_(min=0)

    def load_linear(self, path: Path) -> None:
        """Take the channels' weights from a file in the layout of the ``lpips`` package.

        Raises UnpairedError if names or shapes differ, or if a weight is negative or not finite.
        """
        self.take_linear(path, read_tensors(path))

    def take_linear(self, path: Path | str, tensors: Mapping[str, Tensor]) -> None:
        """Take the channels' weights as `load_linear` does; path: where ``tensors`` are from."""
        layers = self.network.layers
        names = [f"lin{index}.model.1.weight" for index in range(len(layers))]
        like = [torch.empty(1, layer.channels, 1, 1, device="meta") for layer in layers]
        check_layout(path, tensors, dict(zip(names, like, strict=True)))
        if any((value < 0).any() for value in tensors.values()):
            raise UnpairedError(f"{path}: negative weights, which make no distance; use another")
        self.weights = nn.ParameterDict(
            {
                layer.name: nn.Parameter(tensors[name].flatten())
                for layer, name in zip(layers, names, strict=True)
            }
        )

    def _layer_maps(self, reference: Tensor, others: tuple[Tensor, ...]) -> list[list[Tensor]]:
        """Return, per other picture, the weighted squared differences N x H' x W' of each layer."""
        pictures = self.standardized(torch.cat([reference, *others]))
        features = self.network(pictures)
        maps: list[list[Tensor]] = [[] for _ in others]
        # The comparison stays in fp32: small distances are differences of nearly equal numbers.
        with torch.autocast(reference.device.type, enabled=False):
            for layer, feature in zip(self.network.layers, features, strict=True):
                anchor, *compared = _unit_length(feature).chunk(1 + len(others))
                for found, other in zip(maps, compared, strict=True):
                    found.append(self._weighted((anchor - other).square(), layer.name))
        return maps

    def standardized(self, pictures: Tensor) -> Tensor:
        """Return what the network is given for pictures, N x C x H x W, in [0, 1]."""
        return torch.addcmul(self.offset, pictures.to(self.factor.dtype), self.factor)

    def _weighted(self, squares: Tensor, layer: str) -> Tensor:
        if layer not in self.weights:
            return squares.sum(dim=1)
        squares = functional.dropout(squares, self.dropout, self.training)
        return torch.einsum("nchw,c->nhw", squares, self.weights[layer])


def _unit_length(feature: Tensor) -> Tensor:
    """Return features of unit length at every position; 0 stays 0, with gradient 0.

    The released code's gradient is NaN where a feature vector is 0.
    """
    feature = feature.to(torch.promote_types(feature.dtype, torch.float32))
    norm = torch.linalg.vector_norm(feature, dim=1, keepdim=True)
    return feature * torch.where(norm > 0, 1 / (norm + NORM_EPS), 0)


def check_pictures(*pictures: Tensor) -> None:
    """Raise UnpairedError unless all are floating, N x C x H x W of one shape and in [0, 1]."""
    for batch in pictures:
        if batch.shape != pictures[0].shape:
            raise UnpairedError(
                f"pictures of different shapes: {tuple(pictures[0].shape)} and {tuple(batch.shape)}"
            )
        if batch.ndim != 4 or batch.shape[1] not in (1, 3):
            raise UnpairedError(
                f"pictures must be N x C x H x W with 1 or 3 channels, not {tuple(batch.shape)}"
            )
        if not batch.is_floating_point():
            raise UnpairedError(f"pictures are {batch.dtype}: divide by 255 first")
        _check_range(*(float(bound) for bound in batch.detach().aminmax()))


def _check_range(low: float, high: float) -> None:
    if low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE:
        return
    if low != low or high != high:
        raise UnpairedError("pictures hold values that are not numbers")
    remedy = "clip them to [0, 1]"
    if high > 2:
        remedy = "if they are in [0, 255], divide by 255"
    elif -1 - RANGE_TOLERANCE <= low < 0 and high <= 1 + RANGE_TOLERANCE:
        remedy = "if they are in [-1, 1], take (x + 1) / 2, else clip them"
    raise UnpairedError(f"pictures have values from {low:.4g} to {high:.4g}, not 0 to 1; {remedy}")


def installed_linear_weights(net: str, version: str = "0.1") -> Path:
    """Return the file of channel weights inside the installed ``lpips`` package.

    Raises UnpairedError, saying what to install, if it is not there.
    """
    check_choice("LPIPS", "version", version, VERSIONS)
    check_choice("LPIPS", "network", net, NETWORKS)
    spec = find_spec("lpips")
    if spec is None or spec.origin is None:
        raise UnpairedError(
            "LPIPS' channel weights come with the package lpips, which is not installed: "
            "pip install --no-deps lpips"
        )
    return Path(spec.origin).parent / "weights" / f"v{version}" / f"{net}.pth"


def load_published(
    net: str, *, learned: bool = True, version: str = "0.1", backbone: Path | None = None
) -> LPIPS:
    """Return the metric of a network with published weights, in evaluation mode.

    net, backbone: see `load_pretrained`. learned: with the channel weights of the installed
    ``lpips`` package, which are only for alex, vgg and squeeze, else without any. Raises
    UnpairedError, saying which file to put where, if one is missing.
    """
    metric = LPIPS(load_pretrained(net, backbone), learned=learned, version=version)
    if learned:
        metric.load_linear(installed_linear_weights(net, version))
    return metric.eval().requires_grad_(False)


def to_tensor(picture: np.ndarray) -> Tensor:
    """Return 1 x C x H x W in fp32 of H x W or H x W x C; uint8 is divided by 255."""
    if not isinstance(picture, np.ndarray) or picture.ndim not in (2, 3):
        raise UnpairedError("pictures must both be tensors N x C x H x W or arrays H x W x C")
    if picture.dtype == np.uint8:
        picture = picture.astype(np.float32) / 255
    elif not np.issubdtype(picture.dtype, np.floating):
        raise UnpairedError(f"pictures must be uint8 or floating, not {picture.dtype}")
    channels = picture[..., None] if picture.ndim == 2 else picture
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(channels, -1, 0))).float()[None]
