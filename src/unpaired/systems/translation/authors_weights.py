"""The weights that the authors of BicycleGAN published: a generator and an encoder, a file each.

Published are ``edges2shoes_net_G.pth`` and ``edges2shoes_net_E.pth``, and so for the other sets; a
training of theirs leaves ``latest_net_G.pth`` and ``latest_net_E.pth``. Both are plain state dicts.
The U-Net is nested: every level holds the next one. What the files do not say (with or without
gray inputs, |z|, which networks) is told by names and shapes.
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
from unpaired.networks.bicyclegan import TO_ALL, TO_INPUT
from unpaired.networks.foreign_weights import check_layout, read_tensors

METHOD = "bicyclegan"
GENERATOR_END, ENCODER_END = "_net_G", "_net_E"
KINDS = ("weight", "bias")
# Instance normalization of PyTorch before 0.4 kept these, which nothing is computed from.
OLD_STATISTICS = ("running_mean", "running_var")
OUTERMOST = {TO_ALL: "model.down.0.weight", TO_INPUT: "model.model.0.weight"}


class Published:
    """See `learning.authors_weights.Published`."""

    option: ClassVar[str] = "--model"
    # Their critics are not published; those of the written model are as at the start.
    notes: ClassVar[Mapping[str, Any]] = {"origin": "the authors' PyTorch code", "critics": "new"}

    def name_of(self, path: Path, noise: str | None) -> str:
        """Return the set in the file's name; of latest_net_G.pth the name of its folder."""
        refuse_noise(METHOD, noise)
        start = _start_of(path)
        if re.fullmatch(r"latest|\d+", start):
            start = Path(path).resolve().parent.name
        return re.sub(r"[^a-z0-9_]+", "_", start.lower())

    def read(self, path: Path) -> Method:
        """Return our method with the weights of a generator's file and the encoder's beside it.

        Raises UnpairedError for a file that is not called as a generator, an encoder that is
        missing, and names, shapes or types that differ.
        """
        beside = Path(path).with_name(f"{_start_of(path)}{ENCODER_END}{Path(path).suffix}")
        generator = read_tensors(path)
        settings = _generator_settings(path, generator)
        encoder = read_tensors(beside)
        settings |= _encoder_settings(beside, encoder)
        settings["input_channels"] -= settings["code_dim"]
        if settings["input_channels"] not in (1, 3):
            raise UnpairedError(
                f"{path} and {beside}: of different models, whose codes have other lengths"
            )
        # The critics are new, but the same whenever the files are read.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            built = create(METHOD, **settings)
        of_generator, normalized = _generator_names(settings["injection"], settings["levels"])
        _take(built.generator, path, generator, of_generator, normalized)
        of_encoder, normalized = _encoder_names(settings["encoder"], settings["encoder_blocks"])
        _take(built.encoder, beside, encoder, of_encoder, normalized)
        return built


PUBLISHED = Published()


def _start_of(path: Path) -> str:
    stem = Path(path).stem
    if not stem.endswith(GENERATOR_END):
        raise UnpairedError(
            f"{path}: name the generator's file, as the authors call it: edges2shoes_net_G.pth; "
            "the encoder's, edges2shoes_net_E.pth, is read from beside it"
        )
    return stem.removesuffix(GENERATOR_END)


# ---- What names and shapes tell


def _generator_settings(path: Path, found: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return settings; input_channels still has the code with it."""
    there = [injection for injection, name in OUTERMOST.items() if name in found]
    if not there or found[OUTERMOST[there[0]]].ndim != 4:
        raise UnpairedError(_another(path, found, "a generator", [" or ".join(OUTERMOST.values())]))
    injection = there[0]
    width, channels = found[OUTERMOST[injection]].shape[:2]
    levels = 2
    while f"{_level(injection, levels)}{_inner_down(injection)}.weight" in found:
        levels += 1
    return {
        "generator": "unet",
        "injection": injection,
        "levels": levels,
        "patch_px": 2**levels,
        "width": width,
        "input_channels": channels,
    }


def _another(path: Path, found: Mapping[str, Tensor], what: str, missing: list[str]) -> str:
    unexpected = list_some([f"{name}: not expected" for name in sorted(found)])
    return f"{path}: not {what} of BicycleGAN: needed are {', '.join(missing)}; {unexpected}"


def _encoder_settings(path: Path, found: Mapping[str, Tensor]) -> dict[str, Any]:
    first, head = found.get("conv.0.weight"), found.get("fc.0.weight")
    if first is None or head is None or (first.ndim, head.ndim) != (4, 2):
        raise UnpairedError(_another(path, found, "an encoder", ["conv.0.weight", "fc.0.weight"]))
    is_resnet = "conv.1.conv.2.weight" in found
    after = "conv.{}.conv.2.weight" if is_resnet else "conv.{}.weight"
    places = range(1, len(found)) if is_resnet else range(2, 3 * len(found), 3)
    blocks = 0
    while after.format(places[blocks]) in found:
        blocks += 1
    return {
        "encoder": "resnet" if is_resnet else "cnn",
        "encoder_blocks": blocks,
        "encoder_width": len(first),
        "code_dim": len(head),
    }


# ---- Their names -> ours


def _level(injection: str, level: int) -> str:
    """Return what the names of a level of the U-Net begin with; level 0 is the outermost."""
    if injection == TO_ALL:
        return "model." + level * "submodule."
    # The outermost level has the next one behind its convolution, the others behind normalization.
    return "model.model." + ("1.model." + (level - 1) * "3.model." if level else "")


def _inner_down(injection: str) -> str:
    return "down.1" if injection == TO_ALL else "1"


def _generator_names(injection: str, levels: int) -> tuple[dict[str, str], list[str]]:
    """Return their modules -> ours, and their normalizations."""
    names, normalized = {}, []
    for level in range(levels):
        start, is_outer, is_inner = _level(injection, level), not level, level == levels - 1
        if injection == TO_ALL:
            down, up = f"down.{0 if is_outer else 1}", "up.1"
            norms = [] if is_outer else ["up.2"] if is_inner else ["down.2", "up.2"]
        else:
            down = "0" if is_outer else "1"
            up = "3" if is_outer or is_inner else "5"
            norms = [] if is_outer else ["4"] if is_inner else ["2", "6"]
        names[f"{start}{down}"] = f"downs.{level}.convolution"
        names[f"{start}{up}"] = f"ups.{levels - 1 - level}"
        normalized += [f"{start}{norm}" for norm in norms]
    return names, normalized


def _encoder_names(encoder: str, blocks: int) -> tuple[dict[str, str], list[str]]:
    names = {"fc.0": "mean", "fcVar.0": "log_variance"}
    if encoder == "cnn":
        convolutions = [0, *range(2, 2 + 3 * blocks, 3)]
        names |= {f"conv.{place}": f"layers.{place}" for place in convolutions}
        return names, [f"conv.{place + 1}" for place in convolutions[1:]]
    names["conv.0"] = "first"
    modules = {"conv.2": "layers.2", "conv.5.0": "layers.5", "shortcut.1": "shortcut.1"}
    for block in range(blocks):
        names |= {
            f"conv.{block + 1}.{theirs}": f"blocks.{block}.{ours}"
            for theirs, ours in modules.items()
        }
    return names, [f"conv.{block + 1}.conv.{place}" for block in range(blocks) for place in (0, 3)]


def _take(
    network: torch.nn.Module,
    path: Path,
    found: Mapping[str, Tensor],
    modules: Mapping[str, str],
    normalized: list[str],
) -> None:
    """Load a file's tensors into a network, all of them and no others."""
    old = {f"{module}.{kind}" for module in normalized for kind in OLD_STATISTICS}
    theirs = {name: value for name, value in found.items() if name not in old}
    names = {f"{a}.{kind}": f"{b}.{kind}" for a, b in modules.items() for kind in KINDS}
    ours = network.state_dict()
    check_layout(path, theirs, {name: ours[own] for name, own in names.items()})
    network.load_state_dict({own: theirs[name] for name, own in names.items()})
