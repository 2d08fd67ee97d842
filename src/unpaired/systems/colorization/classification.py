"""How well a classifier recognizes colorized pictures (Zhang 2018, section 2.3.1, "semantics").

Any classifier of the library timm, on a folder tree with one folder per class. The thesis's is
VGG-16, trained on true colors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from unpaired.core.devices import choose_device
from unpaired.core.errors import UnpairedError, counted, list_some
from unpaired.core.files import reading, write_rows
from unpaired.core.progress import Progress
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.imaging.finding import SUFFIXES, class_folders
from unpaired.imaging.outputs import check_files, find_and_tell
from unpaired.imaging.upright import read_opaque
from unpaired.learning.weights import load_model
from unpaired.networks import timm_networks
from unpaired.systems.colorization.methods.colorization import Colorization, Colorizer
from unpaired.systems.colorization.methods.untrained import Gray
from unpaired.systems.colorization.scoring import as_batch, predict_ab, with_colors

TRUE_COLORS = "true colors"
PERCENT = 100


@dataclass(frozen=True)
class Labeled:
    """A picture file and the number of its class."""

    path: Path
    label: int


@dataclass(frozen=True)
class Classifier:
    """A network and what a picture goes through before: PIL picture -> C x H x W."""

    network: nn.Module
    transform: Callable[[Image.Image], Tensor]
    classes: int


@dataclass(frozen=True)
class Options:
    """classifier: a name of timm's. weights: a file; timm's own weights without it.

    colorizers: models (.safetensors). labels: a file with the folder of every class on a line, in
    the classifier's order; alphabetical without it, as ImageNet's are. overwrite: whether a table
    that is there already may be replaced.
    """

    classifier: str
    weights: Path | None = None
    colorizers: tuple[Path, ...] = ()
    labels: Path | None = None
    device: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class Classified:
    """table: for a person. refused: pictures that could not be read, with the reason."""

    table: str
    refused: list[str]


def classify(folder: Path, output: Path | None, options: Options) -> Classified:
    """Return a table of top-1 accuracies in percent: true colors, gray, and every colorizer's.

    output: CSV to write, a row per picture. Pictures that cannot be read are left out and listed.
    Raises UnpairedError, before anything is computed, for unknown classifiers,
    weights that do not fit, a tree whose classes are not the classifier's, and an output that
    cannot be written; and if no picture at all can be read.
    """
    check_files(output, suffix=".csv", overwrite=options.overwrite, inputs=[options.labels])
    class_folders(folder)
    if options.labels:
        read_labels(options.labels)
    device = choose_device(options.device)
    products: dict[str, Colorizer] = {"gray": Gray()}
    products |= {str(path): _colorizer(path, device) for path in options.colorizers}
    classifier = load_classifier(options.classifier, options.weights, device)
    pictures = labeled_pictures(folder, classifier.classes, options.labels)
    refused: list[str] = []
    rows = list(predictions(classifier, pictures, products, device, refused))
    if not rows:
        raise UnpairedError(list_some(refused))
    if output is not None:
        write_rows(output, rows)
    lines = [f"{options.classifier}, {counted(len(rows), 'picture')}: top-1 accuracy (%)"]
    for name, percent in accuracies(rows).items():
        lines.append(f"  {name}: {percent:.1f}")
    return Classified("\n".join(lines), refused)


def _colorizer(path: Path, device: torch.device) -> Colorization:
    name, method = load_model(path, device)
    if not isinstance(method, Colorization):
        raise UnpairedError(f"{path}: a model of '{name}', which gives no colors")
    return method


def load_classifier(name: str, weights: Path | None, device: torch.device) -> Classifier:
    """Return a classifier of timm's in evaluation mode; name, weights: see `timm_networks`.

    Raises UnpairedError as `timm_networks.load_classifier`, and for networks without classes.
    """
    network = timm_networks.load_classifier(name, weights).to(device).eval()
    if not network.num_classes:
        raise UnpairedError(f"'{name}' is no classifier: it ends in features")
    from timm import data  # Loaded by now.

    config = data.resolve_model_data_config(network)
    transform = data.create_transform(**config, is_training=False)
    return Classifier(network, transform, network.num_classes)


def labeled_pictures(folder: Path, classes: int, labels: Path | None = None) -> list[Labeled]:
    """Return all pictures of a tree of class folders, sorted by path.

    A class's number is the position of its folder among all, sorted by name, or in the file
    ``labels``, which may name classes that have no pictures. Folders without pictures are told.
    Raises UnpairedError if folders and classes do not fit.
    """
    found = class_folders(folder)
    names = read_labels(labels) if labels else found
    if len(names) != classes:
        raise UnpairedError(
            f"{labels or folder}: {len(names)} classes, the classifier has {classes}; name the "
            "folders of all its classes, in its order, in a file by --labels"
        )
    unknown = [name for name in found if name not in names]
    if unknown:
        raise UnpairedError(f"{folder}: {list_some(unknown)}: not named in {labels}")
    empty = [name for name in found if not _holds_pictures(Path(folder) / name)]
    if len(empty) == len(found):
        raise UnpairedError(f"{folder}: no pictures in its folders")
    if empty:
        print(f"no pictures in {list_some(empty)}; classes they remain", flush=True)
    numbers = {name: number for number, name in enumerate(names)}
    return [
        Labeled(path, numbers[name])
        for name in found
        if name not in empty
        for path in find_and_tell([Path(folder) / name])
    ]


def read_labels(path: Path) -> list[str]:
    """Return the folder of every class, a line each; raises UnpairedError for anything else."""
    try:
        with reading(path):
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UnpairedError(f"{path}: not a text; write one folder name on every line") from None
    names = [line.strip() for line in lines if line.strip()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        told = f"{list_some(twice)}: twice" if twice else "no names"
        raise UnpairedError(f"{path}: {told}; write every class's folder once, a line each")
    return names


def _holds_pictures(folder: Path) -> bool:
    with reading(folder):
        return any(
            path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
            for path in folder.rglob("*")
        )


def predictions(
    classifier: Classifier,
    pictures: Sequence[Labeled],
    products: Mapping[str, Colorizer],
    device: torch.device,
    refused: list[str],
) -> Iterator[dict[str, Any]]:
    """Yield per picture its path, label, and the class predicted from each coloring.

    refused: takes the reasons of pictures that cannot be read.
    """
    with Progress("classify", len(pictures)) as progress:
        for picture in pictures:
            try:
                true = read_opaque(picture.path)
            except UnpairedError as error:
                refused.append(str(error))
                progress.advance()
                continue
            row: dict[str, Any] = {"picture": str(picture.path), "label": picture.label}
            row[TRUE_COLORS] = predicted_class(classifier, true, device)
            for name, product in products.items():
                colored = recolored(product, true, str(picture.path), device)
                row[name] = predicted_class(classifier, colored, device)
            yield row
            progress.advance()


def recolored(
    product: Colorizer, picture: np.ndarray, key: str, device: torch.device
) -> np.ndarray:
    """Return a picture, H x W x 3 uint8, with a colorizer's colors and its own lightness."""
    with torch.inference_mode():
        given = as_batch(picture).to(device)
        return with_colors(rgb_to_lab(given)[0], predict_ab(product, given, key)[0])


def predicted_class(classifier: Classifier, picture: np.ndarray, device: torch.device) -> int:
    """Return the number of the likeliest class of a picture, H x W x 3 uint8."""
    with torch.inference_mode():
        given = classifier.transform(Image.fromarray(picture))[None].to(device)
        return int(classifier.network(given).argmax(1))


def accuracies(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the percentage of pictures whose class is predicted, by coloring."""
    colorings = [key for key in rows[0] if key not in ("picture", "label")]
    return {
        name: PERCENT * float(np.mean([row[name] == row["label"] for row in rows]))
        for name in colorings
    }
