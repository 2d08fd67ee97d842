"""Trained models as safetensors files that say what they are; nothing is ever unpickled."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from unpaired import catalog
from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import atomic_path, reading
from unpaired.core.version import __version__
from unpaired.learning.create import create
from unpaired.learning.model_names import resolve_model

if TYPE_CHECKING:  # What a model says of itself is read without PyTorch.
    import torch

    from unpaired.learning.method import Method

METADATA_KEY = "unpaired"


def save_model(path: Path, name: str, method: Method, notes: dict[str, Any] | None = None) -> None:
    """Write weights, method name and every setting to one safetensors file, aside and renamed.

    notes: plain values about how to use the model, for `read_notes`.
    """
    from safetensors.torch import save_file

    about = {
        "method": name,
        "config": dataclasses.asdict(method.config),
        "version": __version__,
        "notes": notes or {},
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in method.state_dict().items()}
    with atomic_path(path) as aside:
        save_file(tensors, aside, metadata={METADATA_KEY: json.dumps(about, sort_keys=True)})


def load_model(path: Path, device: torch.device | str = "cpu") -> tuple[str, Method]:
    """Return the method's name and the trained method, in evaluation mode on ``device``.

    path: as `resolve_model` understands it. Raises UnpairedError for a missing file, a pickle or
    any other foreign file, a model of another architecture, and weights that are not finite.
    """
    import torch

    path = resolve_model(path)
    about = read_about(path)
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    method = create(about["method"], **_by_present_names(about))
    _load_strictly(path, method, tensors)
    return about["method"], method.to(device, memory_format=torch.channels_last).eval()


def read_about(path: Path) -> dict[str, Any]:
    """Return what a model says of itself, without loading it: method, config, version, notes.

    path: as `resolve_model` understands it. Raises UnpairedError for a file that is missing or no
    model of this project.
    """
    path = resolve_model(path)
    if path.is_dir():
        raise UnpairedError(f"{path}: a folder without a model; name a model file (.safetensors)")
    if not path.is_file():
        raise UnpairedError(f"{path}: no such model file")
    try:
        with reading(path), safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
    except (SafetensorError, json.JSONDecodeError) as error:
        raise UnpairedError(
            f"{path}: not a safetensors model ({error}); pickled files (.pt, .pth) are never "
            "loaded: see 'unpaired import-weights --help'"
        ) from None
    if not isinstance(about, dict) or not {"method", "config"} <= about.keys():
        raise UnpairedError(f"{path}: a safetensors file, but not a model of this project")
    return about


def is_model(path: Path) -> bool:
    """Tell whether a file is a model of this project, whatever its weights are."""
    try:
        with safe_open(path, framework="numpy") as file:
            return METADATA_KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def load_product(
    path: Path | None, spec: dict[str, Any], read_out: str | None, device: torch.device
) -> Any:
    """Return what a model restores, colorizes or judges with.

    path: its weights; None for a method without any, which ``spec`` describes. read_out: which of
    its ways to restore, None for the only one or the default. Raises UnpairedError as `load_model`.
    """
    product = load_model(path, device)[1] if path else create(spec["method"], **spec["overrides"])
    if read_out:
        product.choose_read_out(read_out)
    return product


def read_notes(path: Path) -> dict[str, Any]:
    """Return the notes that a model was saved with, of a file that `load_model` accepts."""
    return read_about(path).get("notes") or {}


def _by_present_names(about: dict[str, Any]) -> dict[str, Any]:
    """Return a model's settings; those that had another name when it was saved by today's."""
    config = catalog.load(catalog.method(about["method"]).target).Config
    renamed = getattr(config, "RENAMED", {})
    return {renamed.get(key, key): value for key, value in about["config"].items()}


def _load_strictly(path: Path, method: Method, tensors: dict[str, torch.Tensor]) -> None:
    import torch

    expected = {key: tuple(value.shape) for key, value in method.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    wrong = [
        f"{key}: {found.get(key, 'missing')} instead of {expected.get(key, 'nothing')}"
        for key in sorted(expected.keys() | found.keys())
        if expected.get(key) != found.get(key)
    ]
    if wrong:
        raise UnpairedError(f"{path}: weights of another architecture: {list_some(wrong, 5)}")
    broken = [key for key, value in tensors.items() if not torch.isfinite(value).all()]
    if broken:
        raise UnpairedError(f"{path}: weights that are not finite: {list_some(broken, 5)}")
    method.load_state_dict(tensors)
