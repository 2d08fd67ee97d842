"""Weights for distances that others published.

torchvision's or timm's, as the network of a distance without weights of channels; and LPIPS itself,
from the packages that have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unpaired.core.errors import UnpairedError
from unpaired.learning.authors_weights import refuse_noise
from unpaired.learning.create import create
from unpaired.learning.method import Method
from unpaired.networks import timm_networks
from unpaired.networks.feature_networks import load_pretrained
from unpaired.systems.perceptual.packages import DISTANCE, read_packages

# What torchvision's files are called -> network of a distance.
BACKBONES = {"alexnet": "alex", "vgg16": "vgg", "squeezenet1_1": "squeeze"}


class Backbone:
    """See `learning.authors_weights.Published`; the file's name says which network it is."""

    option = "--net"
    notes: Mapping[str, Any] = {}
    found_by = "unpaired distance, unpaired.lpips and the tables, in this folder"

    def name_of(self, path: Path, noise: str | None) -> str:
        """Return the network's short name."""
        refuse_noise(DISTANCE, noise)
        return _net_of(path)

    def read(self, path: Path) -> Method:
        """Return the distance of unweighted features."""
        net = _net_of(path)
        method = create(DISTANCE, net=net, form="unweighted")
        method.start_from(load_pretrained(net, path))
        return method

    def read_packages(self, archives: Sequence[Path]) -> dict[str, Method]:
        """Return the networks of AlexNet and VGG-16, and LPIPS with each; see `read_packages`."""
        return read_packages(archives)


def _net_of(path: Path) -> str:
    net = next((net for name, net in BACKBONES.items() if path.name.startswith(f"{name}-")), None)
    if net is None and timm_networks.is_name(path.stem):
        return path.stem
    if net is None:
        raise UnpairedError(
            f"{path}: not a file name of torchvision's ({', '.join(BACKBONES)}) and no network of "
            "timm's, so it does not say which network it is; give it that name"
        )
    return net


PUBLISHED = Backbone()
