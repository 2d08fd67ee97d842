"""Which denoiser suits these pictures? Methods trained and judged on noisy pictures alone.

The bottom fifth of every picture is held out: methods learn from the rest and are judged on it.
They are ranked by the coupled bootstrap (`metrics.coupled_bootstrap`), because uPSNR
(`metrics.unsupervised_error`), told beside it, favours methods that blur where pictures have
detail as fine as a pixel. Where neighbours share noise, all of it happens on pixels farther apart.
"""

from __future__ import annotations

import math
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unpaired.comparison_page import write_page
from unpaired.denoise import measure_noise, model_name, probed
from unpaired.devices import choose_device, choose_precision
from unpaired.errors import UnpairedError
from unpaired.files import atomic_path, write_rows
from unpaired.images import find_pictures, read_all, read_picture
from unpaired.judging import Job, Outcome, in_own_process, noisy_crops, run_method
from unpaired.methods import PER_IMAGE
from unpaired.metrics.coupled_bootstrap import NOISE_RATIO, noise_variance
from unpaired.metrics.noise_correlation import NoiseCorrelation
from unpaired.metrics.unsupervised_error import (
    bootstrap_umse,
    interval,
    reasons_against,
    saturated_share,
    unit_errors,
    upsnr_db,
    upsnr_text,
)
from unpaired.packs import Pack, Record
from unpaired.pixel_shuffle import choose_stride, join_phases, split_phases
from unpaired.short_training import (
    is_fitted_per_image,
    methods_for_noisy,
    needs_beside_noisy,
    pages_of,
    phase_records,
    write_noisy_pack,
)

HELD_OUT_PARTS = 5  # one of so many
HELD_OUT_ROWS_MIN = 64
JUDGED_SIDE_MIN_PX = 32  # per phase; the sub-images of uPSNR are half as large
JUDGED_PAGES = 24
JUDGED_PX = 600_000  # of all pages together, which bounds the time of slow methods
COLUMNS = ("", "method", "PSNR, dB", "95 %", "uPSNR, dB", "training, s", "s/megapixel", "MiB")


@dataclass(frozen=True)
class Options:
    """methods: names; all that need noisy pictures alone if empty. minutes: for all together."""

    methods: tuple[str, ...] = ()
    minutes: float = 10.0
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class Place:
    """An outcome and its place from 1 on; the PSNR is estimated, with a 95 % interval.

    like_first: whether the interval of the paired difference to the first does not exclude zero.
    """

    number: int
    outcome: Outcome
    psnr_db: float
    low_db: float
    high_db: float
    like_first: bool


def compare(inputs: Sequence[Path], output: Path, options: Options) -> str:
    """Rank methods on noisy pictures; return the ranking and the command to run next as text.

    Writes comparison.csv, comparison.html and, if a trained method comes first, its model into
    ``output``. A method that fails is listed with its reason. Raises UnpairedError for unreadable
    pictures, pictures of one and of three channels together, pictures too small to hold out a part,
    methods that need more than noisy pictures, and if all methods fail.
    """
    methods = _methods(options)
    paths = find_pictures(inputs)
    shapes = read_all(paths, lambda path: read_picture(path).pixels.shape)
    channels = {shape[-1] for shape in shapes}
    if len(channels) > 1:
        raise UnpairedError("gray and colour pictures together: compare them in two runs")
    noise = measure_noise(paths)
    stride = choose_stride(noise) if noise else 1
    notes = _conditions(paths, noise, stride)
    with tempfile.TemporaryDirectory(prefix="unpaired-") as folder:
        training, judging = Path(folder) / "training.h5", Path(folder) / "judging.h5"
        notes.append(_split(dict(zip(paths, shapes, strict=True)), stride, training, judging))
        print("\n".join(notes), flush=True)
        outcomes, failures = _run_all(methods, training, judging, stride, options)
        places = rank(outcomes)
        command = _next_command(places[0].outcome, channels.pop(), inputs, Path(output))
        _write(Path(output), Pack(judging), places, failures, notes, command)
    lines = [COLUMNS, *map(_cells, places)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([*text, *_told(failures), *_legend(places), f"next: {command}"])


def _methods(options: Options) -> list[str]:
    if options.minutes <= 0:
        raise UnpairedError(f"--minutes must be positive, not {options.minutes}")
    choose_precision(options.precision, choose_device(options.device))
    fitting = methods_for_noisy()
    for name in options.methods:
        if needs := needs_beside_noisy(name):
            raise UnpairedError(
                f"method '{name}' needs more than noisy pictures ({', '.join(needs)}); "
                f"those that do not: {', '.join(fitting)}"
            )
    return list(dict.fromkeys(options.methods)) or fitting


def _conditions(paths: list[Path], noise: NoiseCorrelation | None, stride: int) -> list[str]:
    """Say what speaks against the figures, and what is done about it."""
    saturated = [saturated_share(read_picture(path).normalized()[0]) for path in probed(paths)]
    notes = reasons_against(noise, float(np.mean(saturated)))
    if noise is None:
        notes.append("whether neighbours share noise cannot be told: no part is flat enough")
    if stride > 1:
        notes.append(f"therefore methods learn, restore and are judged on pixels {stride} apart")
    return notes


# ---- Holding out --------------------------------------------------------------------------------


def held_out_rows(height: int) -> int:
    """Return how many rows at the bottom are held out of a picture of so many rows."""
    return min(max(height // HELD_OUT_PARTS, HELD_OUT_ROWS_MIN), height // 2)


def _split(shapes: dict[Path, tuple[int, ...]], stride: int, training: Path, judging: Path) -> str:
    """Write the two packs; say how many pixels are in each."""
    smallest = JUDGED_SIDE_MIN_PX * stride
    pages = {
        f"{path}:{page}": (height, width)
        for path, (count, height, width, _) in shapes.items()
        for page in range(count)
    }
    fitting = [
        name
        for name, (height, width) in pages.items()
        if held_out_rows(height) >= smallest and width >= smallest
    ]
    if not fitting:
        raise UnpairedError(
            f"no picture has {2 * smallest} rows and {smallest} columns, so none can lose a part "
            "to be judged by; use larger pictures"
        )
    judged = set(fitting[:: -(-len(fitting) // JUDGED_PAGES)])
    rest = ((name, page[: -held_out_rows(len(page))]) for name, page in pages_of(shapes))
    write_noisy_pack(training, phase_records(rest, stride))
    held_out = (
        _judged_record(name, page[-held_out_rows(len(page)) :], stride, JUDGED_PX // len(judged))
        for name, page in pages_of(shapes)
        if name in judged
    )
    pack = write_noisy_pack(judging, held_out)
    learned_px = sum(width * (height - held_out_rows(height)) for height, width in pages.values())
    judged_px = sum(pack.shape(index)[0] * pack.shape(index)[1] for index in pack)
    told = f"{learned_px:,} pixels to learn from, {judged_px:,} of the bottom rows to judge by"
    if any(height < 2 * HELD_OUT_ROWS_MIN for height, _ in pages.values()):
        told += f" (half of pictures lower than {2 * HELD_OUT_ROWS_MIN} rows)"
    return told


def _judged_record(name: str, held_out: np.ndarray, stride: int, pixels: int) -> Record:
    """Cut the middle of what is held out to at most ``pixels``, and add the noise's variance."""
    height, width = held_out.shape[:2]
    rows = min(height, max(JUDGED_SIDE_MIN_PX * stride, math.isqrt(pixels)))
    columns = min(width, max(JUDGED_SIDE_MIN_PX * stride, pixels // rows))
    rows, columns = rows // stride * stride, columns // stride * stride
    top, left = (height - rows) // 2, (width - columns) // 2
    page = held_out[top : top + rows, left : left + columns]
    variances = [noise_variance(phase).astype(np.float32) for phase in split_phases(page, stride)]
    return Record(name, {"image": page, "variance": join_phases(variances, rows, columns)}, name)


# ---- Running and ranking ------------------------------------------------------------------------


def _run_all(
    methods: list[str], training: Path, judging: Path, stride: int, options: Options
) -> tuple[list[Outcome], dict[str, str]]:
    """Run every method; return the outcomes and, by name, why the others failed."""
    timed = [name for name in methods if name not in PER_IMAGE or is_fitted_per_image(name)]
    seconds = 60 * options.minutes / max(1, len(timed))
    outcomes, failures = [], {}
    for number, name in enumerate(methods, start=1):
        print(f"{name} ({number} of {len(methods)})", flush=True)
        model = judging.with_name(f"{name}.safetensors")
        places = (training, judging, model)
        job = Job(name, seconds, *places, stride, options.device, options.precision)
        try:
            outcomes += in_own_process(run_method, job)
        except Exception as error:  # Whatever it is, the other methods go on.
            expected = isinstance(error, UnpairedError)
            failures[name] = str(error) if expected else f"{type(error).__name__}: {error}"
    if not outcomes:
        raise UnpairedError("; ".join(_told(failures)))
    return outcomes, failures


def rank(outcomes: Sequence[Outcome]) -> list[Place]:
    """Sort by estimated error, with intervals by bootstrap."""
    ordered = sorted(outcomes, key=lambda outcome: unit_errors(outcome.errors).umse)
    units = [unit_errors(outcome.errors) for outcome in ordered]
    draws = bootstrap_umse(units)
    places = []
    for index, outcome in enumerate(ordered):
        count = len(units[index].pixels)
        low, high = interval(draws[:, index], count)
        behind, _ = interval(draws[:, index] - draws[:, 0], count)
        psnr_db, low_db, high_db = map(upsnr_db, (units[index].umse, high, low))
        places.append(Place(index + 1, outcome, psnr_db, low_db, high_db, not behind > 0))
    return places


# ---- Telling ------------------------------------------------------------------------------------


def _cells(place: Place) -> list[str]:
    """Return a place's line of the table for people."""
    outcome = place.outcome
    low, high = (upsnr_text(value) for value in (place.low_db, place.high_db))
    return [
        f"{place.number}{'=' if place.like_first and place.number > 1 else ''}",
        outcome.name,
        upsnr_text(place.psnr_db),
        low if low == high else f"{low} .. {high}",
        upsnr_text(outcome.upsnr_db),
        f"{outcome.training_seconds:.0f}",
        f"{outcome.seconds_per_megapixel:.1f}",
        str(outcome.peak_memory_mib),
    ]


def _told(failures: dict[str, str]) -> list[str]:
    return [f"{name} failed: {reason}" for name, reason in failures.items()]


def _legend(places: list[Place]) -> list[str]:
    units = unit_errors(places[0].outcome.errors)
    return [
        "PSNR: estimated without clean pictures, on pictures scaled to [0, 1], for noise "
        f"{100 * (NOISE_RATIO - 1):.0f} % stronger than theirs; 95 % intervals by bootstrap over "
        f"{len(units.pixels)} {units.kind}. =: cannot be told apart from the first, going by the "
        "paired difference. uPSNR: the measure of Marcos-Morales et al. 2023, on sub-images; it "
        "favours blur where detail is fine. "
        "MiB: the most memory of the method's process, Python and PyTorch included."
    ]


def _next_command(winner: Outcome, channels: int, inputs: Sequence[Path], output: Path) -> str:
    """Keep the winner's model, if it has one, and return the command that uses the winner."""
    words = ["unpaired", "denoise", *map(str, inputs), "--output", "restored"]
    if winner.model is None:
        words += ["--method", winner.method]
    else:
        path = output / model_name(winner.method, channels)
        with atomic_path(path) as aside:
            shutil.copyfile(winner.model, aside)
        words += ["--model", str(path)]
    if winner.read_out:
        words += ["--read-out", winner.read_out]
    return shlex.join(words)


def _write(
    output: Path,
    judging: Pack,
    places: list[Place],
    failures: dict[str, str],
    notes: list[str],
    command: str,
) -> None:
    write_rows(output / "comparison.csv", list(_rows(places, failures)))
    captions = [f"{p.outcome.name}, {upsnr_text(p.psnr_db)} dB" for p in places]
    crops = [
        {"noisy": noisy}
        | {
            caption: place.outcome.crops[number]
            for caption, place in zip(captions, places, strict=True)
        }
        for number, noisy in enumerate(noisy_crops(judging))
    ]
    write_page(
        output / "comparison.html",
        title="Denoisers compared on noisy pictures",
        notes=[*notes, *_told(failures)],
        columns=COLUMNS,
        table=[(_cells(place), place.like_first) for place in places],
        legend=[*_legend(places), f"Next: {command}"],
        crops=crops,
    )


def _rows(places: list[Place], failures: dict[str, str]) -> Iterator[dict[str, Any]]:
    for place in places:
        outcome = place.outcome
        yield {
            "place": place.number,
            "method": outcome.name,
            "psnr_db": round(place.psnr_db, 3),
            "low_db": round(place.low_db, 3),
            "high_db": round(place.high_db, 3),
            "like_first": place.like_first,
            "upsnr_db": round(outcome.upsnr_db, 3),
            "seconds_to_train": round(outcome.training_seconds, 1),
            "seconds_per_megapixel": round(outcome.seconds_per_megapixel, 2),
            "peak_memory_mib": outcome.peak_memory_mib,
            "failure": "",
        }
    for name, reason in failures.items():
        yield {"method": name, "failure": reason}
