"""Generators of StyleGAN2 in the layout of the PyTorch port that the authors of ILO build on.

A file of it holds the averaged weights under ``g_ema``: what NVIDIA published for FFHQ as
``stylegan2-ffhq-config-f.pkl`` becomes ``stylegan2-ffhq-config-f.pt`` by the port's own converter.
Sizes are told by the tensors. The blurs must be the usual ones; noises of the file are draws that
are of no use here, and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError, list_some
from unpaired.learning.authors_weights import refuse_noise
from unpaired.learning.create import create
from unpaired.learning.method import Method
from unpaired.networks.foreign_weights import check_layout, read_tensors
from unpaired.networks.stylegan2 import BLUR, FIRST_PX
from unpaired.systems.transmission.methods.stylegan2 import StyleGAN2

METHOD = "stylegan2"
BLOCKS_MAX = 9  # 1024 px.


class Generators:
    """See `learning.authors_weights.Published`."""

    option: ClassVar[str] = "weights of a table's model:"
    notes: ClassVar[Mapping[str, Any]] = {"origin": "StyleGAN2 in the layout of its PyTorch port"}

    def name_of(self, path: Path, noise: str | None) -> str:
        """Return the name of the file without suffix, in small letters and underscores."""
        refuse_noise(METHOD, noise)
        return re.sub(r"[^a-z0-9_]+", "_", Path(path).stem.lower())

    def read(self, path: Path) -> Method:
        """Return our model with the weights of a file, and its latents' normal distribution.

        Raises UnpairedError for names, shapes or types that differ, and for another blur.
        """
        path = Path(path)
        theirs = read_tensors(path)
        sizes = _sizes(theirs)
        try:
            with torch.device("meta"):  # First without memory: the layout may be another.
                like: StyleGAN2 = create(METHOD, **sizes)
        except UnpairedError as error:
            raise UnpairedError(f"{path}: {error}") from None
        ours, names = like.network.state_dict(), parameters(like)
        expected = {name: ours[own].view(_shape(name, ours[own])) for name, own in names.items()}
        draws = _draws(like) if any(name in theirs for name in _draws(like)) else {}
        check_layout(path, theirs, expected | _blurs(like) | draws)
        _require_blurs(path, theirs, _blurs(like))
        built: StyleGAN2 = create(METHOD, **sizes)
        taken = {own: theirs[name].view_as(ours[own]) for name, own in names.items()}
        built.network.load_state_dict(taken)
        built.fit_latents()
        return built


PUBLISHED = Generators()


def _sizes(theirs: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the settings of the model whose tensors these are; none if they do not tell."""
    blocks = 1
    while f"to_rgbs.{blocks - 1}.bias" in theirs:
        blocks += 1
    layers = 0
    while f"style.{layers + 1}.weight" in theirs:
        layers += 1
    told = ["input.input", "style.1.weight", f"convs.{2 * blocks - 3}.conv.weight"]
    shapes = [theirs[name].shape if name in theirs else () for name in told]
    if [len(shape) for shape in shapes] != [4, 2, 5] or not 2 <= blocks <= BLOCKS_MAX:
        return {}  # What there is will be held against the usual model, and told.
    side = FIRST_PX * 2 ** (blocks - 1)
    return {
        "side_px": side,
        "latent": shapes[1][1],
        "mapping_layers": layers,
        "width_base": side * shapes[2][1],
        "width_max": shapes[0][1],
    }


def parameters(model: StyleGAN2) -> dict[str, str]:
    """Return the layout's name of every weight -> ours in the network."""
    names = {"input.input": "constant"}
    for number in range(model.config.mapping_layers):
        for kind in ("weight", "bias"):
            names[f"style.{number + 1}.{kind}"] = f"mapping.{number}.{kind}"
    for number, block in enumerate(model.network.blocks):
        for layer in range(len(block.layers)):
            theirs = f"convs.{2 * number - 2 + layer}" if number else "conv1"
            names |= _layer(theirs, f"blocks.{number}.layers.{layer}")
        theirs = f"to_rgbs.{number - 1}" if number else "to_rgb1"
        ours = f"blocks.{number}.to_picture"
        names |= _convolution(f"{theirs}.conv", f"{ours}.convolution")
        names[f"{theirs}.bias"] = f"{ours}.bias"
    return names


def _layer(theirs: str, ours: str) -> dict[str, str]:
    return {
        **_convolution(f"{theirs}.conv", f"{ours}.convolution"),
        f"{theirs}.noise.weight": f"{ours}.noise_strength",
        f"{theirs}.activate.bias": f"{ours}.bias",
    }


def _convolution(theirs: str, ours: str) -> dict[str, str]:
    return {
        f"{theirs}.weight": f"{ours}.weight",
        f"{theirs}.modulation.weight": f"{ours}.style.weight",
        f"{theirs}.modulation.bias": f"{ours}.style.bias",
    }


def _shape(name: str, ours: Tensor) -> tuple[int, ...]:
    """Return the layout's shape: convolutions and the colors' biases have a 1 for the batch."""
    if name.endswith("conv.weight"):
        return (1, *ours.shape)
    if name.startswith("to_rgb") and ours.ndim == 1 and "modulation" not in name:
        return (1, len(ours), 1, 1)
    return tuple(ours.shape)


def _blurs(model: StyleGAN2) -> dict[str, Tensor]:
    """Return the kernels that the layout keeps: of what doubles sides."""
    line = torch.tensor(BLUR)
    kernel = torch.outer(line, line) * 4 / line.sum() ** 2
    numbers = range(len(model.network.blocks) - 1)
    return {
        f"{name}.kernel": kernel
        for number in numbers
        for name in (f"convs.{2 * number}.conv.blur", f"to_rgbs.{number}.upsample")
    }


def _draws(model: StyleGAN2) -> dict[str, Tensor]:
    return {
        f"noises.noise_{number}": torch.empty(1, 1, side, side, device="meta")
        for number, side in enumerate(model.network.noise_sides)
    }


def _require_blurs(path: Path, theirs: Mapping[str, Tensor], usual: Mapping[str, Tensor]) -> None:
    wrong = [name for name, kernel in usual.items() if not torch.allclose(theirs[name], kernel)]
    if wrong:
        raise UnpairedError(f"{path}: another blur than 1, 3, 3, 1: {list_some(wrong)}")
