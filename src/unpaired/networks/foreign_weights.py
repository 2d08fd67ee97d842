"""Weights that others published: read without unpickling code, and held against a layout."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import reading

# What checkpoints wrap their weights in; where a file has several, the first one is taken.
# params_ema, g_ema: averaged weights, which their authors restore and generate with.
WRAPPINGS = ("state_dict", "params_ema", "params", "model", "g_ema")
# How PyTorch names code that a file wants to have run.
_CODE = re.compile(r"GLOBAL ([\w.]+)")
PREFIXES = ("module.", "_orig_mod.")  # Of DataParallel, and of compiled networks.


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a safetensors file, or of a PyTorch file of tensors alone.

    Which one it is, its content tells. A wrapping such as ``{"state_dict": ...}`` and a prefix that
    all names have, such as ``module.``, are taken off, which is printed in one line.
    Raises UnpairedError if the file is missing, a folder, damaged or holds anything else.
    """
    path = Path(path)
    return _named(path, _content(path))


def tensors_in(where: str, content: bytes) -> dict[str, Tensor]:
    """Return `read_tensors` of a PyTorch file inside an archive; where: what messages call it."""
    return _named(where, _loaded(where, "PyTorch", lambda: _load_pickled(BytesIO(content))))


def _named(path: Path | str, content: Any) -> dict[str, Tensor]:
    content, wrapping = _unwrapped(content)
    if not content or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise UnpairedError(f"{path}: holds something other than named tensors")
    tensors, prefix = _without_prefix(content)
    taken_off = [f"the wrapping '{wrapping}'"] if wrapping else []
    taken_off += [f"the prefix '{prefix}'"] if prefix else []
    if taken_off:
        print(f"{Path(path).name}: {' and '.join(taken_off)} taken off", flush=True)
    return tensors


def check_layout(
    path: Path | str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    """Raise UnpairedError unless ``found`` has the names, shapes and types expected.

    Numbers must be finite. The first names that differ are told.
    """
    wrong = [
        f"{name}: {kind_of(found.get(name))} instead of {kind_of(expected[name])}"
        if name in expected
        else f"{name}: not expected"
        for name in sorted(expected.keys() | found.keys())
        if name not in expected or kind_of(found.get(name)) != kind_of(expected[name])
    ]
    if wrong:
        raise UnpairedError(f"{path}: not the authors' layout: {list_some(wrong)}")
    broken = [name for name, value in found.items() if not torch.isfinite(value).all()]
    if broken:
        raise UnpairedError(f"{path}: numbers that are not finite in {list_some(broken)}")


def _content(path: Path) -> Any:
    with reading(path):
        if path.is_dir():
            raise UnpairedError(f"{path}: a folder; name the file of weights")
        if not path.is_file():
            raise UnpairedError(f"{path}: no such file")
        with open(path, "rb") as file:
            head = file.read(9)
    if not head:
        raise UnpairedError(f"{path}: the file is empty; download it again")
    # A safetensors file starts with eight bytes of length and a JSON object.
    if path.suffix == ".safetensors" or head[8:] == b"{":
        return _loaded(path, "safetensors", lambda: load_file(path))
    return _loaded(path, "PyTorch", lambda: _load_pickled(path))


def _load_pickled(source: Path | BytesIO) -> Any:
    with warnings.catch_warnings():  # Whatever is odd about the file ends in one line below.
        warnings.simplefilter("ignore")
        return torch.load(source, map_location="cpu", weights_only=True)


def _loaded(path: Path | str, kind: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except MemoryError:
        raise
    except Exception as error:  # Damaged bytes are met with exceptions of all kinds.
        # PyTorch's own words advise to run the code in the file, and say little of damaged ones.
        code = _CODE.search(str(error)) if isinstance(error, UnpicklingError) else None
        what = "damaged, or of another kind; download it again"
        if code:
            what = f"it holds {code[1]}, which would have to be run; name a file with a state_dict"
        raise UnpairedError(f"{path}: not a {kind} file of tensors alone: {what}") from None


def _unwrapped(content: Any) -> tuple[dict[str, Any], str]:
    """Return the innermost dictionary, and the keys that led there, joined by dots."""
    keys = []
    while isinstance(content, dict):
        key = next((key for key in WRAPPINGS if isinstance(content.get(key), dict)), None)
        if key is None:
            return content, ".".join(keys)
        keys.append(key)
        content = content[key]
    return {}, ""


def _without_prefix(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    taken_off = ""
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in tensors)), ""):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
        taken_off += prefix
    return tensors, taken_off


def kind_of(value: Tensor | None, absent: str = "missing") -> str:
    """Say shape and type of a tensor, the type where it is not the usual one."""
    if value is None:
        return absent
    of_type = "" if value.dtype == torch.float32 else f" of {str(value.dtype)[len('torch.') :]}"
    return f"{tuple(value.shape)}{of_type}"
