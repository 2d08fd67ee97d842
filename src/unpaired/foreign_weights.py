"""Weights that others published: read without unpickling code, and held against a layout."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from unpaired.errors import UnpairedError, list_some


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a .safetensors file, or of a PyTorch file of tensors alone.

    Raises UnpairedError if the file is missing, damaged or holds anything else.
    """
    if not path.is_file():
        raise UnpairedError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        SafetensorError,
    ) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "empty"
        kind = "safetensors" if path.suffix == ".safetensors" else "PyTorch"
        raise UnpairedError(
            f"{path}: not a {kind} file of tensors alone ({reason}); download it again"
        ) from None
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise UnpairedError(f"{path}: holds something other than named tensors")
    return content


def check_layout(
    path: Path, found: Mapping[str, Tensor], expected: Mapping[str, torch.Size]
) -> None:
    """Raise UnpairedError unless ``found`` has the names and shapes expected, and finite numbers.

    Everything that differs is listed.
    """
    wrong = [
        f"{name}: {_shape(found.get(name))} instead of {tuple(expected[name])}"
        if name in expected
        else f"{name}: not expected"
        for name in sorted(expected.keys() | found.keys())
        if name not in expected or name not in found or found[name].shape != expected[name]
    ]
    if wrong:
        raise UnpairedError(f"{path}: not the authors' layout: {'; '.join(wrong)}")
    broken = [name for name, value in found.items() if not torch.isfinite(value).all()]
    if broken:
        raise UnpairedError(f"{path}: numbers that are not finite in {list_some(broken)}")


def _shape(tensor: Tensor | None) -> object:
    return "missing" if tensor is None else tuple(tensor.shape)
