"""Weights that others published, converted to this project's safetensors files.

Those of a paper's authors, and torchvision's ImageNet weights as the network of a distance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from unpaired.corruptions.noise import get_noise
from unpaired.errors import UnpairedError, suggest
from unpaired.foreign_weights import check_layout, read_tensors
from unpaired.methods import create
from unpaired.methods.colorization import AB_SCALE
from unpaired.networks.colorization import BLOCKS, LIGHTNESS_SCALE
from unpaired.networks.feature_networks import load_pretrained
from unpaired.outputs import check_file
from unpaired.weights import is_model, save_model

FOLDER = Path("weights")


@dataclass(frozen=True)
class Layout:
    """How the authors of a method named things, and scaled them.

    parameters: their name of every entry -> ours. noises: their file names, without suffix -> what
    the weights were trained for; empty where noise has no meaning. name: of the file written, where
    it is not that of a noise. overrides: settings of our method with which it computes what theirs
    does. scaled: those of their tensors that are not taken as they are, by their names. notes:
    about the model, see `save_model`.
    """

    parameters: Callable[[], dict[str, str]]
    noises: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    scaled: Mapping[str, Scaled] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scaled:
    """A tensor that is not taken as it is. shape: of theirs. convert: theirs -> ours."""

    shape: tuple[int, ...]
    convert: Callable[[Tensor], Tensor]


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


def _colorization_parameters() -> dict[str, str]:
    """Source: the layout of the authors' PyTorch port, ``eccv16``.

    Its blocks are sequences of convolution and ReLU, with a normalization at the end; so are ours.
    The last block has the head as well. Their last layer, which turns the distribution into ab, has
    fixed weights: the ab of the bins.
    """
    names = {}
    for number, (convolutions, _, _) in enumerate(BLOCKS):
        layers = {2 * index: ("weight", "bias") for index in range(len(convolutions))}
        layers[2 * len(convolutions)] = ("weight", "bias", *NORMALIZATION_BUFFERS)
        names |= {
            f"model{number + 1}.{layer}.{kind}": f"network.body.{number}.{layer}.{kind}"
            for layer, kinds in layers.items()
            for kind in kinds
        }
    last = len(BLOCKS)
    modules = {f"model{last + 1}.{layer}": f"network.body.{last}.{layer}" for layer in (0, 2, 4)}
    modules[f"model{last + 1}.6"] = "network.head"
    names |= {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in modules.items()
        for kind in ("weight", "bias")
    }
    return names | {"model_out.weight": "bins"}


NORMALIZATION_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
# The authors divide L - 50 by 100, the network here by 50.
AUTHORS_LIGHTNESS_SCALE = 100.0

LAYOUTS = {
    "neighbor2neighbor": Layout(
        _neighbor2neighbor_parameters,
        noises={
            "model_gauss25_b4e100r02": "gauss25",
            "model_gauss5-50_b4e100r02": "gauss5_50",
            "model_poisson30_b4e100r02": "poisson30",
            "model_poisson5-50_b4e100r02": "poisson5_50",
        },
    ),
    "colorization": Layout(
        _colorization_parameters,
        name="eccv16",
        # Their forward takes the mean of the distribution as it is, without 1 / 0.38.
        overrides={"affine": True, "own_bins": True, "temperature": 1.0},
        scaled={
            "model1.0.weight": Scaled(
                (64, 1, 3, 3), lambda theirs: theirs * (LIGHTNESS_SCALE / AUTHORS_LIGHTNESS_SCALE)
            ),
            "model_out.weight": Scaled(
                (2, 313, 1, 1), lambda theirs: AB_SCALE * theirs[:, :, 0, 0].T
            ),
        },
        notes={"train_set": "imagenet_train", "origin": "the authors' PyTorch port, eccv16"},
    ),
}


# What torchvision's files are called -> network of a distance.
BACKBONES = {"alexnet": "alex", "vgg16": "vgg", "squeezenet1_1": "squeeze"}
DISTANCE = "lpips"


def import_weights(
    method: str,
    path: Path,
    noise: str | None = None,
    output: Path | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Convert a file of a method's authors; return where it was written.

    noise: what the weights were trained for; None takes it from the authors' own file name.
    output: None is where the tables look, ``weights/<method>/<noise>.safetensors``, and
    ``weights/colorization/eccv16.safetensors`` for the colorizer.
    For ``lpips`` the file is torchvision's, of AlexNet, VGG-16 or SqueezeNet 1.1, by its name; it
    becomes an unweighted distance, by default at ``weights/lpips/<network>.safetensors``.

    Raises UnpairedError for a method without known files, a file that is missing or holds anything
    but tensors, names, shapes and types that differ (the first are listed), numbers that are not
    finite, and an output that is there already, unless ``overwrite`` says so.
    """
    known = [*LAYOUTS, DISTANCE]
    if method not in known:
        raise UnpairedError(
            f"no layout of authors' weights is known for '{method}'{suggest(method, known)}"
        )
    layout = LAYOUTS.get(method)
    if noise is not None and not (layout and layout.noises):
        raise UnpairedError(f"--noise has no meaning for '{method}'; leave it out")
    name = _backbone_of(path) if layout is None else layout.name or _noise_of(path, layout, noise)
    output = output or FOLDER / method / f"{name}.safetensors"
    check_file(output, overwrite=overwrite)
    if is_model(path):
        raise UnpairedError(f"{path}: a model of this project already; use it with --model")
    if layout is None:
        built, notes = create(DISTANCE, net=name, form="unweighted"), {}
        built.start_from(load_pretrained(name, path))
    else:
        built, notes = _converted(method, layout, path), dict(layout.notes)
    save_model(output, method, built, notes)
    return output


def _converted(method: str, layout: Layout, path: Path) -> Any:
    """Return our method with the weights of the authors' file."""
    theirs = read_tensors(path)
    built = create(method, **layout.overrides)
    names, ours = layout.parameters(), built.state_dict()
    # A count that old versions of PyTorch did not keep; nothing is computed from it.
    names = {
        name: own
        for name, own in names.items()
        if name in theirs or not name.endswith("num_batches_tracked")
    }
    expected = {name: ours[own] for name, own in names.items()}
    expected |= {name: ours[names[name]].new_empty(s.shape) for name, s in layout.scaled.items()}
    check_layout(path, theirs, expected)
    converted = {name: scaled.convert(theirs[name]) for name, scaled in layout.scaled.items()}
    taken = {own: converted.get(name, theirs[name]) for name, own in names.items()}
    built.load_state_dict(ours | taken)
    return built


def _backbone_of(path: Path) -> str:
    net = next((net for name, net in BACKBONES.items() if path.name.startswith(name)), None)
    if net is None:
        raise UnpairedError(
            f"{path}: not a file name of torchvision's ({', '.join(BACKBONES)}), so it does not "
            "say which network it is; give it back its name"
        )
    return net


def _noise_of(path: Path, layout: Layout, noise: str | None) -> str:
    if noise is not None:
        return get_noise(noise).name
    if path.stem not in layout.noises:
        raise UnpairedError(
            f"{path}: not a file name of the authors ({', '.join(layout.noises)}), so it does not "
            "say what noise it is for; add --noise"
        )
    return layout.noises[path.stem]
