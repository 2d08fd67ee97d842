"""Weights that others published, converted to this project's safetensors files.

Those of a paper's authors, and torchvision's ImageNet weights as the network of a distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unpaired.corruptions.noise import get_noise
from unpaired.errors import UnpairedError, suggest
from unpaired.foreign_weights import check_layout, read_tensors
from unpaired.methods import create
from unpaired.networks.feature_networks import load_pretrained
from unpaired.weights import save_model

FOLDER = Path("weights")


@dataclass(frozen=True)
class Layout:
    """How the authors of a method named things.

    parameters: their name of every entry -> ours. noises: their file names, without suffix -> what
    the weights were trained for.
    """

    parameters: Callable[[], dict[str, str]]
    noises: dict[str, str]


def _neighbor2neighbor_parameters() -> dict[str, str]:
    """Source: the four ``model_*_b4e100r02.pth`` of the authors' repository (BSD-3-Clause)."""
    modules = {"enc_conv0": "encoders.0.0.0", "enc_conv1": "encoders.0.1.0"}
    modules |= {f"enc_conv{level + 1}": f"encoders.{level}.0" for level in range(1, 5)}
    modules["enc_conv6"] = "bottleneck.0"
    for ours, theirs in enumerate((5, 4, 3, 2, 1)):
        modules[f"up{theirs}.deconv"] = f"ups.{ours}"
        modules[f"dec_conv{theirs}a"] = f"decoders.{ours}.0.0"
        modules[f"dec_conv{theirs}b"] = f"decoders.{ours}.1.0"
    modules |= {"nin_a": "head.0", "nin_b": "head.2", "nin_c": "last"}
    return {
        f"{theirs}.{kind}": f"network.{ours}.{kind}"
        for theirs, ours in modules.items()
        for kind in ("weight", "bias")
    }


LAYOUTS = {
    "neighbor2neighbor": Layout(
        _neighbor2neighbor_parameters,
        {
            "model_gauss25_b4e100r02": "gauss25",
            "model_gauss5-50_b4e100r02": "gauss5_50",
            "model_poisson30_b4e100r02": "poisson30",
            "model_poisson5-50_b4e100r02": "poisson5_50",
        },
    )
}


# What torchvision's files are called -> network of a distance.
BACKBONES = {"alexnet": "alex", "vgg16": "vgg", "squeezenet1_1": "squeeze"}
DISTANCE = "lpips"


def import_weights(
    method: str, path: Path, noise: str | None = None, output: Path | None = None
) -> Path:
    """Convert a file of a method's authors; return where it was written.

    noise: what the weights were trained for; None takes it from the authors' own file name.
    output: None is where the tables look, ``weights/<method>/<noise>.safetensors``.
    For ``lpips`` the file is torchvision's, of AlexNet, VGG-16 or SqueezeNet 1.1, by its name; it
    becomes an unweighted distance, by default at ``weights/lpips/<network>.safetensors``.

    Raises UnpairedError for a method without known files, a file that is missing or holds anything
    but tensors, names and shapes that differ (all listed), and numbers that are not finite.
    """
    if method == DISTANCE:
        return _import_backbone(path, output)
    if method not in LAYOUTS:
        known = [*LAYOUTS, DISTANCE]
        raise UnpairedError(
            f"no layout of authors' weights is known for '{method}'{suggest(method, known)}"
        )
    layout = LAYOUTS[method]
    if output is None:
        output = FOLDER / method / f"{_noise_of(path, layout, noise)}.safetensors"
    theirs = read_tensors(path)
    built = create(method)
    names = layout.parameters()
    ours = built.state_dict()
    check_layout(path, theirs, {name: ours[own].shape for name, own in names.items()})
    built.load_state_dict({own: theirs[name] for name, own in names.items()})
    output.parent.mkdir(parents=True, exist_ok=True)
    save_model(output, method, built)
    return output


def _import_backbone(path: Path, output: Path | None) -> Path:
    net = next((net for name, net in BACKBONES.items() if path.name.startswith(name)), None)
    if net is None:
        raise UnpairedError(
            f"{path}: not a file name of torchvision's ({', '.join(BACKBONES)}), so it does not "
            "say which network it is; give it back its name"
        )
    output = output or FOLDER / DISTANCE / f"{net}.safetensors"
    network = load_pretrained(net, path)
    built = create(DISTANCE, net=net, form="unweighted")
    built.start_from(network)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_model(output, DISTANCE, built)
    return output


def _noise_of(path: Path, layout: Layout, noise: str | None) -> str:
    if noise is not None:
        return get_noise(noise).name
    if path.stem not in layout.noises:
        raise UnpairedError(
            f"{path}: not a file name of the authors ({', '.join(layout.noises)}), so it does not "
            "say what noise it is for; add --noise"
        )
    return layout.noises[path.stem]
