"""For a person with noisy pictures and nothing else: train on them, then restore them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unpaired.devices import choose_device
from unpaired.errors import UnpairedError, list_some
from unpaired.images import Picture, find_pictures, read_all, read_picture, write_picture
from unpaired.methods import PER_IMAGE, create
from unpaired.methods.base import Restorer
from unpaired.metrics.noise_correlation import NoiseCorrelation, noise_correlation
from unpaired.pixel_shuffle import STRIDE_MAX, choose_stride
from unpaired.progress import Progress
from unpaired.short_training import (
    create_within,
    methods_for_noisy,
    needs_beside_noisy,
    pages_of,
    phase_records,
    restore_page,
    train_within,
    write_noisy_pack,
)
from unpaired.weights import load_model, read_notes, save_model

PICTURES_PROBED = 20
CHANGE_MAX = 1.4  # What a denoiser takes away should be the noise; much more is a failure.
STRIDES = ("auto", *map(str, range(1, STRIDE_MAX + 1)))


@dataclass(frozen=True)
class Options:
    """What to restore with. minutes: of training, for all pictures together.

    stride: restore pixels that are so many apart as pictures of their own, against correlated
    noise; "auto" measures. read_out: one of the method's ways to restore, its default if None.
    """

    method: str = "neighbor2neighbor"
    model: Path | None = None
    minutes: float = 5.0
    device: str = "auto"
    precision: str = "auto"
    stride: str = "auto"
    read_out: str | None = None


def denoise(inputs: Sequence[Path], output: Path, options: Options) -> list[Path]:
    """Restore noisy pictures into the folder ``output`` under their own names; return those paths.

    Without ``options.model`` a model is trained on the given pictures themselves, one per number of
    channels, and saved in ``output``. Size, bit depth, channels, alpha, pages and names are kept.
    Raises UnpairedError, before anything is written, for unreadable pictures, for two pictures of
    one name, and if an output would replace an input.
    """
    targets = targets_of(inputs, Path(output))
    _check(options)
    groups = _group_by_channels(list(targets))
    written = []
    for channels, shapes in groups.items():
        noise = measure_noise(list(shapes))
        stride = _choose_stride(options, noise)
        share = len(shapes) / len(targets)
        restorer = _restorer(shapes, channels, Path(output), options, share, stride)
        here = {path: targets[path] for path in shapes}
        written += _restore_all(here, restorer, options, stride, noise)
    return written


def targets_of(inputs: Sequence[Path], output: Path) -> dict[Path, Path]:
    """Map every picture to where it goes; files of a folder keep their place below it.

    Raises UnpairedError if two pictures would meet, or one would be its own output.
    """
    targets: dict[Path, Path] = {}
    for given in map(Path, inputs):
        for path in find_pictures([given]):
            if _is_inside(path, output) and not _is_inside(given, output):
                continue  # Written by an earlier run into an output folder inside the input.
            relative = path.relative_to(given) if given.is_dir() else Path(path.name)
            targets[path] = output / relative
    taken: dict[Path, Path] = {}
    clashes = []
    sources = {path.resolve() for path in targets}
    for path, target in targets.items():
        if target.resolve() in sources:
            clashes.append(f"{target} is an input")
        elif target in taken:
            clashes.append(f"{path} and {taken[target]} would both become {target}")
        taken[target] = path
    if clashes:
        raise UnpairedError(f"{list_some(clashes)}; choose another --output folder")
    return targets


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _check(options: Options) -> None:
    if options.stride not in STRIDES:
        raise UnpairedError(f"--stride is one of {', '.join(STRIDES)}, not {options.stride}")
    if options.model is not None:
        return
    needs = needs_beside_noisy(options.method)
    if needs:
        raise UnpairedError(
            f"method '{options.method}' needs more than noisy pictures ({', '.join(needs)}); "
            f"use one of: {', '.join(methods_for_noisy())}"
        )
    _choose_read_out(create(options.method), options)
    if options.minutes <= 0:
        raise UnpairedError(f"--minutes must be positive, not {options.minutes}")


def _choose_read_out(restorer: Restorer, options: Options) -> Restorer:
    if options.read_out is None:
        return restorer
    if not hasattr(restorer, "choose_read_out"):
        raise UnpairedError(f"'{options.method}' has one way to restore: leave --read-out out")
    restorer.choose_read_out(options.read_out)
    return restorer


def _group_by_channels(paths: list[Path]) -> dict[int, dict[Path, tuple[int, ...]]]:
    """Return, per number of channels, the pictures with their shapes, pages x H x W x C."""
    groups: dict[int, dict[Path, tuple[int, ...]]] = {}
    shapes = read_all(paths, lambda path: read_picture(path).pixels.shape)
    for path, shape in zip(paths, shapes, strict=True):
        groups.setdefault(shape[-1], {})[path] = shape
    return groups


def probed(paths: Sequence[Path]) -> Sequence[Path]:
    """Return up to PICTURES_PROBED of the paths, evenly chosen, that stand for all."""
    return paths[:: -(-len(paths) // PICTURES_PROBED)]


def measure_noise(paths: Sequence[Path]) -> NoiseCorrelation | None:
    """Return the report of the median picture by correlation, of some of the pictures.

    Its standard deviation is their median. None if no part of them is flat enough to tell.
    """
    reports = [noise_correlation(read_picture(path).normalized()[0]) for path in probed(paths)]
    measured = sorted((r for r in reports if r.n_patches), key=lambda report: report.strongest)
    if not measured:
        return None
    noise_std = float(np.median([report.noise_std for report in measured]))
    return replace(measured[len(measured) // 2], noise_std=noise_std)


def _choose_stride(options: Options, noise: NoiseCorrelation | None) -> int:
    """Decide on the stride and say in one line what was measured and chosen."""
    measured = "cannot be told, no part of the pictures is flat enough"
    if noise is not None:
        measured = f"{noise.strongest:+.2f}"
    trained_with = None
    if options.model is not None:
        load_model(options.model)
        trained_with = read_notes(options.model).get("stride")
    if options.stride != "auto":
        stride, reason = int(options.stride), "as asked for"
    elif trained_with is not None:
        stride, reason = trained_with, "as the model was trained"
    else:
        stride, reason = choose_stride(noise) if noise else 1, "to suit"
    print(
        f"noise correlation between neighbours: {measured}; stride {stride}, {reason}", flush=True
    )
    if stride == 1 and noise is not None and noise.is_correlated:
        print(f"warning: {noise.warning}", flush=True)
    return stride


def _restorer(
    shapes: dict[Path, tuple[int, ...]],
    channels: int,
    output: Path,
    options: Options,
    share: float,
    stride: int,
) -> Restorer:
    if options.model is not None:
        return _choose_read_out(_given_model(options, channels, next(iter(shapes))), options)
    seconds = 60 * options.minutes * share
    if options.method in PER_IMAGE:
        pixels = sum(pages * height * width for pages, height, width, _ in shapes.values())
        return create_within(options.method, seconds, pixels, channels, device=options.device)
    with tempfile.TemporaryDirectory(prefix="unpaired-") as folder:
        records = phase_records(pages_of(shapes), stride)
        pack = write_noisy_pack(Path(folder) / "noisy.h5", records)
        method, _ = train_within(
            options.method, pack, seconds, device=options.device, precision=options.precision
        )
    path = output / model_name(options.method, channels)
    save_model(path, options.method, method, {"stride": stride})
    print(f"model saved as {path}; use it again with --model", flush=True)
    return _choose_read_out(method, options)


def model_name(method: str, channels: int) -> str:
    """Return the file name of a model that was trained on a person's own pictures."""
    return f"{method}_{'gray' if channels == 1 else 'rgb'}.safetensors"


def _given_model(options: Options, channels: int, picture: Path) -> Restorer:
    _, method = load_model(options.model, choose_device(options.device))
    if method.config.channels != channels:
        raise UnpairedError(
            f"{options.model}: a model for {method.config.channels} channel(s), but {picture} has "
            f"{channels}; train one on such pictures by leaving --model out"
        )
    return method


def _restore_all(
    targets: dict[Path, Path],
    restorer: Restorer,
    options: Options,
    stride: int,
    noise: NoiseCorrelation | None,
) -> list[Path]:
    changes = []
    with Progress("restore", len(targets), "pictures") as progress:
        for path, target in targets.items():
            picture = read_picture(path)
            restored = restore_picture(picture, restorer, options, stride)
            changes.append(float(np.std(restored.normalized() - picture.normalized())))
            write_picture(restored, target)
            progress.advance()
    if noise and np.median(changes) > CHANGE_MAX * noise.noise_std:
        print(
            f"warning: the pictures changed by {np.median(changes):.3f} (standard deviation), but "
            f"their noise was measured as {noise.noise_std:.3f}: look at the results; if they are "
            "bad, train again with other --minutes or --precision fp32",
            flush=True,
        )
    return list(targets.values())


def restore_picture(
    picture: Picture, restorer: Restorer, options: Options, stride: int = 1
) -> Picture:
    """Return the picture with every page restored, large ones by overlapped tiles."""
    device, precision = options.device, options.precision
    pages = [
        restore_page(page, restorer, device=device, precision=precision, stride=stride)
        for page in picture.normalized()
    ]
    return picture.with_normalized(np.stack(pages))
