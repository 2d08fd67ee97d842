"""Trained models as safetensors files that say what they are; nothing is ever unpickled."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from safetensors import SafetensorError, safe_open

from unpaired import catalog
from unpaired.core.errors import UnpairedError, list_some, one_line
from unpaired.core.files import atomic_path, reading
from unpaired.core.version import __version__
from unpaired.learning.create import create
from unpaired.learning.model_names import FILE, resolve_model

if TYPE_CHECKING:  # What a model says of itself is read without PyTorch.
    import torch

    from unpaired.learning.method import Method

METADATA_KEY = "unpaired"
HEADER_BYTES_MAX = 100_000_000  # What safetensors takes at most.
PICKLE_STARTS = (b"PK\3\4", b"\x80")  # Of what PyTorch saves, now and in the past.
# What a model says of itself: those two, and perhaps notes.
ABOUT_KINDS = {"method": str, "config": dict, "notes": dict}


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

    path: as `resolve_model` understands it. Raises UnpairedError for a missing file, one that was
    cut, a pickle or any other foreign file, a model of another architecture, and weights that are
    not finite.
    """
    import torch

    path = resolve_model(path)
    about = read_about(path)
    with _damage_told(path), safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    # First without memory: the sizes that a file tells may be any.
    with torch.device("meta"), _layers_bounded(len(tensors)):
        _require_layout(path, _build(path, about).state_dict(), tensors)
    method = _build(path, about)
    method.load_state_dict(tensors)
    return about["method"], method.to(device, memory_format=torch.channels_last).eval()


def read_about(path: Path) -> dict[str, Any]:
    """Return what a model says of itself, without loading it: method, config, version, notes.

    path: as `resolve_model` understands it. Raises UnpairedError for a file that is missing, was
    cut, or is no model of this project.
    """
    path = resolve_model(path)
    if path.is_dir():
        raise UnpairedError(f"{path}: a folder without a model; name a model file (.safetensors)")
    if not path.is_file():
        raise UnpairedError(f"{path}: no such model file")
    _refuse_cut_and_pickled(path)
    with _damage_told(path), reading(path), safe_open(path, framework="numpy") as file:
        about = json.loads((file.metadata() or {}).get(METADATA_KEY, "null"))
    if not isinstance(about, dict) or not {"method", "config"} <= about.keys():
        raise UnpairedError(f"{path}: a safetensors file, but not a model of this project")
    for key, kind in ABOUT_KINDS.items():
        if not isinstance(about.get(key, kind()), kind):
            raise UnpairedError(f"{path}: what it says of its {key} is damaged; {_remedy(path)}")
    return about


def _refuse_cut_and_pickled(path: Path) -> None:
    with reading(path), open(path, "rb") as file:
        head = file.read(9)
        is_pickle = head.startswith(PICKLE_STARTS) and head[8:] != b"{"
        whole_bytes = _whole_bytes(file)
        present_bytes = file.seek(0, os.SEEK_END)
    if is_pickle:
        raise UnpairedError(
            f"{path}: not a safetensors model; pickled files (.pt, .pth) are never loaded: see "
            "'unpaired import-weights --help'"
        )
    if present_bytes < whole_bytes:
        state = f"cut short: {present_bytes} of {whole_bytes} bytes" if head else "an empty file"
        raise UnpairedError(f"{path}: {state}; {_remedy(path)}")


def _whole_bytes(file: BinaryIO) -> int:
    """Return how many bytes a safetensors file says that it has, or has at least.

    It begins with the length of a JSON object in eight bytes, then that object, which says where
    the numbers behind it end. What does not begin so has none that are missing.
    """
    file.seek(0)
    head = file.read(8)
    header_bytes = int.from_bytes(head, "little")
    text = file.read(min(header_bytes, HEADER_BYTES_MAX))
    if len(head) < 8 or not text:
        return 9
    if not text.startswith(b"{") or header_bytes > HEADER_BYTES_MAX:
        return 0
    whole_bytes = 8 + header_bytes
    try:
        about = json.loads(text)
        ends = [one["data_offsets"][1] for name, one in about.items() if name != "__metadata__"]
        return whole_bytes + max(ends, default=0)
    except (ValueError, RecursionError, LookupError, TypeError):
        return whole_bytes  # The text was cut, or safetensors will say what is wrong with it.


def _remedy(path: Path) -> str:
    if path.name == FILE:
        return "delete it and give the snakemake command again, which makes it anew"
    return "copy it again, or make it again by the command that made it"


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Turn what is said of damaged or forged bytes, by errors of several kinds, into one line."""
    try:
        yield
    except (SafetensorError, ValueError, TypeError, RuntimeError, RecursionError) as error:
        raise UnpairedError(
            f"{path}: not a safetensors model ({one_line(error)}); {_remedy(path)}"
        ) from None


@contextmanager
def _layers_bounded(tensors: int) -> Iterator[None]:
    """Stop a network with many more layers than there are tensors in its file.

    More there may be: a network may be built whole and used in part.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    left = 10 * tensors + 1000

    def count(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError("more layers than it has weights for")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def _build(path: Path, about: dict[str, Any]) -> Method:
    """Return the method that a file describes, with weights that are not its own."""
    name = about["method"]
    try:
        if not catalog.method(name).is_trained:
            raise UnpairedError(f"'{name}' learns nothing, so there is no model of it")
        return create(name, **_by_present_names(about))
    except UnpairedError as error:
        raise UnpairedError(f"{path}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # A width of -1 and the like is met with exceptions of all kinds.
        raise UnpairedError(
            f"{path}: its settings make no network ({one_line(error)}); {_remedy(path)}"
        ) from None


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
    """Return a model's settings by today's names, without those that are gone (name: None)."""
    config = catalog.load(catalog.method(about["method"]).target).Config
    renamed = getattr(config, "RENAMED", {})
    named = {renamed.get(key, key): value for key, value in about["config"].items()}
    return {key: value for key, value in named.items() if key is not None}


def _require_layout(
    path: Path, expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]
) -> None:
    """Raise UnpairedError unless names, shapes and types are those expected, and numbers finite."""
    import torch

    from unpaired.networks.foreign_weights import kind_of

    wrong = [
        f"{key}: {kind_of(found.get(key))} instead of {kind_of(expected.get(key), 'nothing')}"
        for key in sorted(expected.keys() | found.keys())
        if kind_of(expected.get(key)) != kind_of(found.get(key))
    ]
    if wrong:
        raise UnpairedError(f"{path}: weights of another architecture: {list_some(wrong, 5)}")
    broken = [key for key, value in found.items() if not torch.isfinite(value).all()]
    if broken:
        raise UnpairedError(f"{path}: weights that are not finite: {list_some(broken, 5)}")
