"""A perceptual metric by name or from a model's file, and the distance of pictures by it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.imaging.arrays import as_array
from unpaired.learning.authors_weights import weights_path
from unpaired.learning.weights import load_model
from unpaired.metrics.perceptual import (
    LPIPS,
    NETWORKS,
    installed_linear_weights,
    load_published,
    to_tensor,
)
from unpaired.networks.feature_networks import official_path, official_url
from unpaired.systems.perceptual.packages import DISTANCE, IN_JAX, published_name

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def load_metric(net: str | Path, weights: str | Path | None = None) -> LPIPS:
    """Return a metric by the name of its network, or from a trained model's file.

    net: alex, vgg and squeeze are the published metrics; a name of timm's gives its features, all
    channels alike. weights: of the network, see `load_pretrained`; None takes those that were
    imported in this folder, or the file that torchvision keeps.

    Raises UnpairedError for any other name, missing files, and models that are not a metric.
    """
    weights = None if weights is None else Path(weights)
    if net in NETWORKS and weights is None:
        return _published(str(net))
    if not str(net).endswith(".safetensors"):
        return load_published(str(net), learned=net in NETWORKS, backbone=weights)
    if weights is not None:
        raise UnpairedError(f"{net}: a model has its weights; leave {weights} away")
    return _of_model(Path(net))


def _published(net: str) -> LPIPS:
    """Return a published metric: imported whole, or its network together with the package lpips."""
    whole, network = (weights_path(DISTANCE, name) for name in (published_name(net), net))
    if whole.is_file():
        return _of_model(whole)
    if network.is_file():
        metric = LPIPS(_of_model(network).network)
        metric.load_linear(installed_linear_weights(net))
        return metric.eval().requires_grad_(False)
    if official_path(net).is_file():
        return load_published(net)
    raise UnpairedError(f"the weights of '{net}' are not in {whole.parent}; type: {_command(net)}")


def _command(net: str) -> str:
    """Return what a person types to have a published metric."""
    if net in IN_JAX:
        return catalog.how_to_import(DISTANCE, published_name(net))
    url, name = official_url(net), official_path(net).name
    install = "pip install --no-deps lpips"
    return f"curl -LO {url} && {install} && unpaired import-weights {DISTANCE} {name}"


def _of_model(path: Path) -> LPIPS:
    name, method = load_model(path)
    metric = getattr(method, "metric", None)
    if not isinstance(metric, LPIPS):
        raise UnpairedError(f"{path}: a model of '{name}', which is not a perceptual metric")
    return metric.requires_grad_(False)


_metric_of = cache(load_metric)


def lpips(
    first: Tensor | ArrayLike,
    second: Tensor | ArrayLike,
    *,
    net: str | Path = "alex",
    weights: str | Path | None = None,
) -> Tensor | float:
    """Return how different pictures look, by LPIPS: 0 for equal ones.

    first, second: arrays H x W or H x W x 3, uint8, or floating-point numbers in [0, 1], for one
        number; or tensors N x C x H x W in [0, 1], C 1 or 3, for N distances with gradients.
    net, weights: as for `load_metric`, read once.

    Raises UnpairedError for missing weights, other shapes and other ranges.

    >>> import numpy as np, unpaired as up
    >>> up.lpips(np.zeros((64, 64, 3)), np.zeros((64, 64, 3)), net="alexa")
    Traceback (most recent call last):
    unpaired.core.errors.UnpairedError: unknown feature network 'alexa'; near it: alex...
    """
    metric = _metric_of(net, weights)
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return metric.to(first.device)(first, second)
    pictures = [to_tensor(as_array(picture)) for picture in (first, second)]
    channels = max(picture.shape[1] for picture in pictures)
    with torch.inference_mode():
        pair = (picture.expand(-1, channels, -1, -1) for picture in pictures)
        return float(metric.to("cpu")(*pair))
