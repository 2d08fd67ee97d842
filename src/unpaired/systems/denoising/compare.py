"""Which denoiser suits these pictures? Methods trained and judged on noisy pictures alone.

The bottom fifth of every picture is held out: methods learn from the rest and are judged on it.
They are ranked by the coupled bootstrap (`metrics.coupled_bootstrap`), because uPSNR
(`metrics.unsupervised_error`), told beside it, favors methods that blur where pictures have
detail as fine as a pixel. Where neighbors share noise, all of it happens on pixels farther apart.
"""

from __future__ import annotations

import itertools
import math
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unpaired.core.devices import choose_device, choose_precision
from unpaired.core.errors import UnpairedError, counted, list_some, shown
from unpaired.core.files import atomic_path, write_rows
from unpaired.core.own_process import termination_as_interrupt
from unpaired.data.packs import Pack
from unpaired.imaging.finding import read_all
from unpaired.imaging.outputs import found_and_skipped, refuse_existing, refuse_unwritable
from unpaired.imaging.pictures import read_picture
from unpaired.imaging.upright import orientation_of, upright
from unpaired.metrics.noise_correlation import NoiseCorrelation
from unpaired.metrics.unsupervised_error import reasons_against, saturated_share, upsnr_text
from unpaired.systems.denoising.candidates import (
    NOT_FINISHED,
    NOT_TRIED,
    Tried,
    in_order,
    judge_candidates,
    minutes_for_all,
)
from unpaired.systems.denoising.comparison_screen import Screen
from unpaired.systems.denoising.denoise import model_name
from unpaired.systems.denoising.denoiser import UNSURE, contradicts
from unpaired.systems.denoising.held_out import judged_px_within, split
from unpaired.systems.denoising.measuring import measure_noise
from unpaired.systems.denoising.offers import restorers
from unpaired.systems.denoising.own_pages import Pages, PicturePages, probed, seen_shape
from unpaired.systems.denoising.pages import Place, write_comparison
from unpaired.systems.denoising.pixel_shuffle import choose_stride
from unpaired.systems.denoising.ranking import (
    COLUMNS,
    WIDTH,
    Ranked,
    all_cells,
    as_text,
    columns_within,
    legend,
    rank,
    rows,
)
from unpaired.systems.denoising.short_training import methods_for_noisy, needs_beside_noisy
from unpaired.systems.denoising.trials import noisy_crops, noisy_psnr_db, shown_pages

TABLE, PAGE = "comparison.csv", "comparison.html"
SECONDS_TO_WRITE = 5.0
NOT_YET, STOPPED, STOPPED_BEFORE = (
    "not tried yet",
    "not finished, stopped",
    "not tried, stopped before",
)
NOTHING_DONE = "no method was finished, so nothing is written"


@dataclass(frozen=True)
class Options:
    """methods: names, tried in this order; all that need noisy pictures alone if empty.

    minutes: by the clock, for everything together. overwrite: an earlier comparison.
    """

    methods: tuple[str, ...] = ()
    minutes: float = 10.0
    device: str = "auto"
    precision: str = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class Comparison:
    """What was found. command: to run next. text: all of it for people.

    is_stopped: whether somebody stopped it before all methods were tried.
    """

    ranking: list[Ranked]
    command: str
    text: str
    is_stopped: bool


def compare(inputs: Sequence[Path], output: Path, options: Options) -> Comparison:
    """Rank methods on noisy pictures, within ``options.minutes``.

    Writes comparison.csv, comparison.html and, if a trained method comes first, its model into
    ``output``, anew after every method. A method that fails, or for which no time is left, is
    listed with the reason. Stopped by Ctrl-C or SIGTERM it returns what is done, and raises
    KeyboardInterrupt if that is nothing or if it comes again.

    Raises UnpairedError for unreadable pictures, pictures of one and of three channels together,
    pictures too small to hold out a part, methods that need more than noisy pictures, for an output
    folder that cannot be used, and if all methods fail.
    """
    begin = time.monotonic()
    methods = _methods(options)
    deadline = begin + 60 * options.minutes - SECONDS_TO_WRITE
    _check_output(Path(output), inputs, options.overwrite)
    with (
        termination_as_interrupt(),
        tempfile.TemporaryDirectory(prefix="unpaired-") as folder,
        Screen(deadline) as screen,
    ):
        run = _prepare(inputs, Path(output), Path(folder), options, methods, screen)
        run.seconds_before = time.monotonic() - begin
        is_stopped = _try_all(run, deadline, options, screen)
    if not run.ranking:
        raise UnpairedError("; ".join(_told(run, run.unranked)))
    return Comparison(run.ranking, run.command, _text(run, is_stopped), is_stopped)


# ---- Checking -----------------------------------------------------------------------------------


def _methods(options: Options) -> list[str]:
    if not 0 < options.minutes < math.inf:
        raise UnpairedError(f"--minutes must be a positive number, not {options.minutes}")
    choose_precision(options.precision, choose_device(options.device))
    for name in options.methods:
        if needs := needs_beside_noisy(name):
            raise UnpairedError(
                f"method '{name}' needs more than noisy pictures ({', '.join(needs)}); "
                f"those that do not: {', '.join(in_order(methods_for_noisy()))}"
            )
    return list(dict.fromkeys(options.methods)) or in_order(methods_for_noisy())


def _check_output(output: Path, inputs: Sequence[Path], overwrite: bool) -> None:
    """Refuse a folder that cannot be written to, or in which results would be lost."""
    if any(output.resolve() == Path(given).resolve() for given in inputs):
        raise UnpairedError(f"{output} holds the noisy pictures; choose another --output folder")
    refuse_unwritable([output])
    models = [model_name(name, channels) for name in restorers() for channels in (1, 3)]
    refuse_existing([output / name for name in (TABLE, PAGE, *models)], overwrite)


def _channels(paths: Sequence[Path], shapes: Sequence[tuple[int, ...]]) -> int:
    """Return the number of channels that all pictures share."""
    kinds: dict[str, list[str]] = {"gray": [], "color": []}
    for path, shape in zip(paths, shapes, strict=True):
        kinds["gray" if shape[-1] == 1 else "color"].append(str(path))
    if all(kinds.values()):
        kind = min(kinds, key=lambda kind: len(kinds[kind]))
        raise UnpairedError(
            "gray and color pictures cannot be compared in one run: run it once for each kind; "
            f"of {len(paths)} pictures these are {kind}: {list_some(kinds[kind], 5)}"
        )
    return shapes[0][-1]


# ---- Running ------------------------------------------------------------------------------------


@dataclass
class _Run:
    """A comparison under way.

    notes: what is to know about the pictures. noisy_db: their estimated PSNR. is_unsure: it
    contradicts the noise in flat parts. turns: EXIF orientations, by `shown` path.
    seconds_before: the first method was tried. kept: the weights of the first of the ranking so
    far; command: what uses them.
    """

    inputs: Sequence[Path]
    output: Path
    methods: list[str]
    channels: int
    stride: int
    notes: list[str]
    noisy_db: float
    is_unsure: bool
    turns: Mapping[str, int]
    training: Path
    judging: Path
    tried: list[Tried] = field(default_factory=list)
    ranking: list[Ranked] = field(default_factory=list)
    seconds_before: float = 0.0
    kept: Path | None = None
    command: str = ""

    def add(self, tried: Tried) -> None:
        """Take what became of the next method."""
        self.tried.append(tried)
        if tried.outcomes:
            outcomes = [outcome for one in self.tried for outcome in one.outcomes]
            self.ranking = rank(outcomes, self.is_unsure)

    @property
    def unranked(self) -> list[Tried]:
        return [tried for tried in self.tried if tried.failure]

    @property
    def waiting(self) -> list[str]:
        return self.methods[len(self.tried) :]


def _prepare(
    inputs: Sequence[Path],
    output: Path,
    folder: Path,
    options: Options,
    methods: list[str],
    screen: Screen,
) -> _Run:
    """Read the pictures, measure their noise and hold out a part of them."""
    paths, skipped = found_and_skipped(inputs)
    screen.begin(f"reading {counted(len(paths), 'picture')}")
    shapes, seen, orientations = zip(*read_all(paths, _looked_at), strict=True)
    if all(shape[-1] == 1 for shape in seen):
        shapes = seen
    channels = _channels(paths, shapes)
    screen.begin("measuring the noise")
    pages = PicturePages(dict(zip(paths, shapes, strict=True)))
    noise = measure_noise(pages)
    stride = choose_stride(noise) if noise else 1
    training, judging = folder / "training.h5", folder / "judging.h5"
    pixels = judged_px_within(options.minutes)
    sizes = split(pages, stride, training, judging, pixels)
    noisy_db = noisy_psnr_db(judging)
    is_unsure = contradicts(noise, noisy_db)
    notes = [*skipped, *_conditions(pages, noise, stride), sizes, *[UNSURE] * is_unsure]
    for note in notes:
        screen.tell(note)
    turns = dict(zip(map(shown, paths), orientations, strict=True))
    settings = channels, stride, notes, noisy_db, is_unsure, turns
    return _Run(inputs, output, methods, *settings, training, judging)


def _looked_at(path: Path) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Return a picture's shape, that of the gray one where its channels are the same, its turn."""
    pixels = read_picture(path).pixels
    return pixels.shape, seen_shape(pixels), orientation_of(path)


def _conditions(pages: Pages, noise: NoiseCorrelation | None, stride: int) -> list[str]:
    """Say what speaks against the figures, and what is done about it."""
    saturated = [saturated_share(pages.read(index).page) for index in probed(pages)]
    notes = reasons_against(noise, float(np.mean(saturated)))
    if noise is None:
        notes.append("whether neighbors share noise cannot be told: no part is flat enough")
    if stride > 1:
        notes.append(f"therefore methods learn, restore and are judged on pixels {stride} apart")
    return notes


def _try_all(run: _Run, deadline: float, options: Options, screen: Screen) -> bool:
    """Try every method and keep what is done after each; return whether it was stopped."""

    def begin(name: str) -> None:
        screen.begin(f"trying {name} ({len(run.tried) + 1} of {len(run.methods)})")

    try:
        for tried in judge_candidates(
            run.methods,
            run.training,
            run.judging,
            deadline=deadline,
            stride=run.stride,
            device=options.device,
            precision=options.precision,
            begin=begin,
        ):
            run.add(tried)
            if tried.failure not in ("", NOT_TRIED):
                screen.tell(_reason(tried.failure, [tried.method]))
            elif tried.outcomes and run.waiting:
                screen.show(run.ranking, run.noisy_db)
            _keep(run)
    except KeyboardInterrupt:
        if not run.ranking:
            raise KeyboardInterrupt(NOTHING_DONE) from None
        reason = STOPPED
        for name in run.waiting:
            run.add(Tried(name, failure=reason))
            reason = STOPPED_BEFORE
        _keep(run)
        return True
    return False


# ---- Keeping and telling ------------------------------------------------------------------------


def _keep(run: _Run) -> None:
    """Write the table, the page and the first one's model, as far as things stand."""
    ranking, before = run.ranking, run.kept
    if not ranking:
        return
    _keep_model(run, ranking[0])
    best = [*(ranked.like_first for ranked in ranking), False]
    unranked = [*run.unranked, *(Tried(name, failure=NOT_YET) for name in run.waiting)]
    write_rows(run.output / TABLE, list(rows(ranking, unranked)))
    write_comparison(
        run.output / PAGE,
        title="Denoisers compared on noisy pictures",
        notes=[*run.notes, *_told(run, unranked)],
        columns=COLUMNS,
        table=list(zip(all_cells(ranking, run.noisy_db), best, strict=True)),
        legend=legend(ranking),
        command=run.command,
        places=_places(Pack(run.judging), ranking, run.turns),
    )
    if before not in (None, run.kept):
        before.unlink(missing_ok=True)


def _keep_model(run: _Run, first: Ranked) -> None:
    """Keep the weights of the first one, if it has any, and the command that uses it."""
    outcome = first.outcome
    words = ["unpaired", "denoise", *map(str, run.inputs), "--output", _free_folder("restored")]
    kept = None
    if outcome.model is None:
        words += ["--method", outcome.method]
    else:
        kept = run.output / model_name(outcome.method, run.channels)
        with atomic_path(kept) as aside:
            shutil.copyfile(outcome.model, aside)
        words += ["--model", str(kept)]
    if outcome.read_out:
        words += ["--read-out", outcome.read_out]
    run.kept, run.command = kept, shlex.join(words)


def _free_folder(name: str) -> str:
    """Return the name, with a number if that is taken here: the command must not be refused."""
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(free for free in names if not os.path.lexists(free))


def _places(judging: Pack, ranking: Sequence[Ranked], turns: Mapping[str, int]) -> list[Place]:
    """Return what the page shows, turned as pictures are looked at."""
    titles = [f"{one.outcome.name}, {upsnr_text(one.psnr_db)} dB" for one in ranking]
    places = []
    for number, (index, noisy) in enumerate(
        zip(shown_pages(judging), noisy_crops(judging), strict=True)
    ):
        path, page = _file_and_page(judging.columns["name"][index])
        restored = [one.outcome.crops[number] for one in ranking]
        noisy, *restored = (upright(crop, turns[path]) for crop in (noisy, *restored))
        name = Path(path).name + (f", page {page + 1}" if page else "")
        places.append(Place(name, "", noisy, dict(zip(titles, restored, strict=True))))
    return places


def _file_and_page(name: str) -> tuple[str, int]:
    """Take apart what a pack calls FILE:PAGE, with the page from 0 on."""
    path, _, page = name.rpartition(":")
    return path, int(page)


def _told(run: _Run, unranked: Sequence[Tried]) -> list[str]:
    """Say, in one line a reason, which methods are not in the ranking, and what would help."""
    names: dict[str, list[str]] = {}
    for tried in unranked:
        names.setdefault(tried.failure, []).append(tried.method)
    lines = [_reason(failure, group) for failure, group in names.items()]
    if names.keys() & {NOT_TRIED, NOT_FINISHED}:
        minutes = minutes_for_all(run.tried, run.seconds_before + SECONDS_TO_WRITE)
        lines.append(f"for all of them about --minutes {minutes} would do")
    return lines


def _reason(failure: str, names: Sequence[str]) -> str:
    listed = ", ".join(names)
    return f"{listed} {failure}" if failure.startswith("failed") else f"{failure}: {listed}"


def _text(run: _Run, is_stopped: bool) -> str:
    done = sum(not tried.failure for tried in run.tried)
    lines = [f"stopped: {done} of {len(run.methods)} methods are done"] * is_stopped
    columns = columns_within(shutil.get_terminal_size((WIDTH, 1)).columns)
    lines += [
        as_text(run.ranking, run.noisy_db, columns),
        *_told(run, run.unranked),
        *legend(run.ranking),
    ]
    return "\n".join([*lines, f"pictures: {run.output / PAGE}", f"next: {run.command}"])
