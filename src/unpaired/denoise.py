"""For a person with noisy pictures and nothing else: train on them, then restore them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unpaired.devices import choose_device, choose_precision
from unpaired.errors import UnpairedError, list_some
from unpaired.images import Picture, find_pictures, read_all, read_picture, write_picture
from unpaired.methods import METHODS, PER_IMAGE, create
from unpaired.methods.base import Method, Observation, Restorer
from unpaired.metrics.noise_correlation import noise_correlation
from unpaired.packs import Pack, Record, write_pack
from unpaired.progress import Progress
from unpaired.randomness import seed_for
from unpaired.sampling import CropSamples
from unpaired.tiling import restore_tiled
from unpaired.training import train
from unpaired.weights import load_model, save_model

SEED = 1
PATCH_PX = 128
PATCH_MULTIPLE_PX = 64  # Sub-images of Neighbor2Neighbor are half as large and feed five poolings.
TILE_PX = 1024
IMAGES_MIN = 200  # Less training than this only damages a picture.
PROBE_STEPS = 6
PICTURES_PROBED = 20
CHANGE_MAX = 1.4  # What a denoiser takes away should be the noise; much more is a failure.

# The papers' learning rates and schedules are for days; these are for minutes. The peak rate that a
# few hundred steps bear makes some thousands of steps diverge, so it falls with their square root.
PEAK_LEARNING_RATE = 3e-3
STEPS_AT_PEAK_RATE = 600
SHORT_TRAINING = {
    "patch_px": PATCH_PX,
    "batch_size": 4,
    "schedule": "warmup_cosine",
    "global_residual": True,
}
WIDTH = {"cpu": 24}
WIDTH_ON_GPU = 48


@dataclass(frozen=True)
class Options:
    """What to restore with. minutes: of training, for all pictures together."""

    method: str = "neighbor2neighbor"
    model: Path | None = None
    minutes: float = 5.0
    device: str = "auto"
    precision: str = "auto"


def denoise(inputs: Sequence[Path], output: Path, options: Options) -> list[Path]:
    """Restore noisy pictures into the folder ``output`` under their own names; return those paths.

    Without ``options.model`` a model is trained on the given pictures themselves, one per number of
    channels, and saved in ``output``. Size, bit depth, channels, alpha, pages and names are kept.
    Raises UnpairedError, before anything is written, for unreadable pictures, for two pictures of
    one name, and if an output would replace an input.
    """
    targets = _targets(inputs, Path(output))
    _check_method(options)
    groups = _group_by_channels(list(targets))
    written = []
    for channels, paths in groups.items():
        noise_std = _diagnose_noise(paths)
        share = len(paths) / len(targets)
        restorer = _restorer(paths, channels, Path(output), options, share)
        here = {path: targets[path] for path in paths}
        written += _restore_all(here, restorer, options, noise_std)
    return written


def _targets(inputs: Sequence[Path], output: Path) -> dict[Path, Path]:
    """Map every picture to where it goes; files of a folder keep their place below it."""
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


def _check_method(options: Options) -> None:
    if options.model is not None:
        return
    method = create(options.method)
    needs = [what for what in method.sees if what != "noisy"] + list(method.knows)
    if needs:
        fitting = [
            name for name in METHODS if set((m := create(name)).sees) <= {"noisy"} and not m.knows
        ]
        raise UnpairedError(
            f"method '{options.method}' needs more than noisy pictures ({', '.join(needs)}); "
            f"use one of: {', '.join(fitting)}"
        )
    if options.minutes <= 0:
        raise UnpairedError(f"--minutes must be positive, not {options.minutes}")


def _group_by_channels(paths: list[Path]) -> dict[int, list[Path]]:
    groups: dict[int, list[Path]] = {}
    channels = read_all(paths, lambda path: read_picture(path).pixels.shape[-1])
    for path, count in zip(paths, channels, strict=True):
        groups.setdefault(count, []).append(path)
    return groups


def _diagnose_noise(paths: list[Path]) -> float | None:
    """Measure the noise on some of the pictures and say whether that of neighbours is correlated.

    Returns its standard deviation in normalized units (median), None if it cannot be told.
    """
    probed = paths[:: -(-len(paths) // PICTURES_PROBED)]
    reports = [noise_correlation(read_picture(path).normalized()[0]) for path in probed]
    measured = sorted((r for r in reports if r.n_patches), key=lambda report: report.strongest)
    if not measured:
        print("noise correlation: no part of the pictures is flat enough to tell", flush=True)
        return None
    median = measured[len(measured) // 2]
    told = f"noise correlation between neighbours {median.strongest:+.2f} ({len(probed)} pictures)"
    print(f"warning: {median.warning}" if median.is_correlated else told, flush=True)
    return float(np.median([report.noise_std for report in measured]))


def _restorer(
    paths: list[Path], channels: int, output: Path, options: Options, share: float
) -> Restorer:
    device = choose_device(options.device)
    if options.model is not None:
        return _given_model(options.model, channels, device, paths)
    if options.method in PER_IMAGE:
        return create(options.method)
    seconds = 60 * options.minutes * share
    method = _train_on(paths, channels, options, seconds)
    name = f"{options.method}_{'gray' if channels == 1 else 'rgb'}.safetensors"
    save_model(output / name, options.method, method)
    print(f"model saved as {output / name}; use it again with --model", flush=True)
    return method.to(device, memory_format=torch.channels_last).eval()


def _given_model(path: Path, channels: int, device: torch.device, pictures: list[Path]) -> Restorer:
    _, method = load_model(path, device)
    if method.config.channels != channels:
        raise UnpairedError(
            f"{path}: a model for {method.config.channels} channel(s), but {pictures[0]} has "
            f"{channels}; train one on such pictures by leaving --model out"
        )
    return method


def _train_on(paths: list[Path], channels: int, options: Options, seconds: float) -> Method:
    """Train on the pictures for about ``seconds``, probing included."""
    start = time.perf_counter()
    device = choose_device(options.device)
    with tempfile.TemporaryDirectory(prefix="unpaired-") as folder:
        pack_path = Path(folder) / "noisy.h5"
        write_pack(
            pack_path,
            _noisy_records(paths),
            source="noisy pictures",
            value_range=(0, 1),
            colour_space="as given",
            settings={},
            total=len(paths),
        )
        pack = Pack(pack_path)
        patch_px = min(PATCH_PX, *(_patch_side(pack.shape(index)) for index in pack))
        width = WIDTH.get(device.type, WIDTH_ON_GPU)
        overrides = SHORT_TRAINING | {"patch_px": patch_px, "channels": channels, "width": width}

        def run(images_seen: int) -> tuple[Method, float]:
            torch.manual_seed(seed_for(SEED, "weights"))
            steps = images_seen / overrides["batch_size"]
            rate = PEAK_LEARNING_RATE * min(1.0, (STEPS_AT_PEAK_RATE / steps) ** 0.5)
            method = create(
                options.method, **overrides, learning_rate=rate, images_seen=images_seen
            )
            samples = CropSamples(pack, sees=method.sees, patch_px=patch_px, seed=SEED, noise=None)
            result = train(
                method, samples, seed=SEED, device=options.device, precision=options.precision
            )
            return method, result.seconds

        # The first steps of a process are slow; the second probe tells the real pace.
        images = PROBE_STEPS * overrides["batch_size"]
        _, probe_seconds = min((run(images) for _ in range(2)), key=lambda pair: pair[1])
        left = seconds - (time.perf_counter() - start)
        return run(max(IMAGES_MIN, int(left * images / probe_seconds)))[0]


def _patch_side(shape: tuple[int, ...]) -> int:
    return min(shape[:2]) // PATCH_MULTIPLE_PX * PATCH_MULTIPLE_PX


def _noisy_records(paths: list[Path]) -> Iterator[Record]:
    """Yield every page of every picture, tiny ones extended by reflection to one patch."""
    for path in paths:
        for number, page in enumerate(read_picture(path).normalized()):
            short = [max(0, PATCH_MULTIPLE_PX - side) for side in page.shape[:2]]
            padded = np.pad(page, ((0, short[0]), (0, short[1]), (0, 0)), mode="reflect")
            yield Record(f"{path}:{number}", {"image": padded}, str(path))


def _restore_all(
    targets: dict[Path, Path], restorer: Restorer, options: Options, noise_std: float | None
) -> list[Path]:
    changes = []
    with Progress("restore", len(targets), "pictures") as progress:
        for path, target in targets.items():
            picture = read_picture(path)
            restored = restore_picture(picture, restorer, options)
            changes.append(float(np.std(restored.normalized() - picture.normalized())))
            write_picture(restored, target)
            progress.advance()
    if noise_std and np.median(changes) > CHANGE_MAX * noise_std:
        print(
            f"warning: the pictures changed by {np.median(changes):.3f} (standard deviation), but "
            f"their noise was measured as {noise_std:.3f}: look at the results; if they are bad, "
            "train again with other --minutes or --precision fp32",
            flush=True,
        )
    return list(targets.values())


def restore_picture(picture: Picture, restorer: Restorer, options: Options) -> Picture:
    """Return the picture with every page restored, large ones by overlapped tiles."""
    device = choose_device(options.device)
    bf16 = choose_precision(options.precision, device) == "bf16"

    def restore(image: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return restorer.restore(Observation(image))

    pages = []
    for page in picture.normalized():
        image = torch.from_numpy(page).permute(2, 0, 1)[None].to(device)
        if restorer.margin_px is None:
            restored = restore(image)
        else:
            restored = restore_tiled(
                restore,
                image,
                tile_px=TILE_PX,
                margin_px=restorer.margin_px,
                multiple_px=restorer.multiple_px,
            )
        pages.append(restored[0].permute(1, 2, 0).float().cpu().numpy())
    return picture.with_normalized(np.stack(pages))
