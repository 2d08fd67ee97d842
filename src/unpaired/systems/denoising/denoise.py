"""For a person with noisy pictures alone: learn from them, restore them, and show the result.

Heavy libraries are imported only after everything that can be checked without them.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unpaired import catalog
from unpaired.core.deadlines import Deadline, clock_text
from unpaired.core.devices import check_names
from unpaired.core.errors import Stopped, UnpairedError, list_some, shown
from unpaired.imaging.lost import noting_descriptions, read_own
from unpaired.imaging.outputs import LeftOut, Notes, Outcome, Outputs, plan_outputs, told
from unpaired.imaging.pictures import Picture, read_picture, write_picture, written_path
from unpaired.imaging.upright import orientation_of, upright
from unpaired.learning.model_names import resolve_model
from unpaired.systems.denoising.offers import is_per_image
from unpaired.systems.denoising.telling import kind_of, result_lines
from unpaired.systems.denoising.unfinished import UNFINISHED, Unfinished

if TYPE_CHECKING:
    from unpaired.systems.denoising.conditioning import Conditioned
    from unpaired.systems.denoising.denoiser import Denoiser, Settings
    from unpaired.systems.denoising.pages import Place

AUTO = "auto"
PAGE_NAME = "before_after.html"
PLACES = 6
FINISH_SECONDS = 6.0  # for the page
CHANGE_MAX = 1.4  # What a denoiser takes away should be the noise; much more is a failure.


@dataclass(frozen=True)
class Options:
    """What to restore with. minutes: by the clock, for everything together.

    method: a name, or "auto" for the best of a few, judged on what is held out. stride: restore
    pixels that are so many apart as pictures of their own, against correlated noise; "auto"
    measures. read_out: one of the method's ways to restore, its default if None. overwrite:
    whether files that exist may be replaced. resume: go on with what was stopped.
    """

    method: str = AUTO
    model: Path | None = None
    minutes: float = 5.0
    device: str = "auto"
    precision: str = "auto"
    stride: str = "auto"
    read_out: str | None = None
    overwrite: bool = False
    resume: bool = False


@dataclass
class Report:
    """What became of every input. refused: by file, and why. lines: about the result."""

    written: list[Path] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)
    skipped: tuple[LeftOut, ...] = ()
    lines: list[str] = field(default_factory=list)

    def count(self, place: Path) -> str:
        """Return the last line, which counts every input."""
        return Outcome(self.written, list(self.refused.values()), self.skipped).summary(place)


def denoise(inputs: Sequence[Path], output: Path, options: Options, command: str = "") -> Report:
    """Restore noisy pictures into the folder ``output`` under their own names.

    ``output`` may be a file for a single picture. Without ``options.model`` a model is trained on
    the given pictures themselves, one per number of channels, and saved in ``output``, or they are
    restored by a method that learns nothing. Size, channels, alpha, pages and names are kept, and
    the bit depth where integers can hold the result. A page before_after.html shows the result;
    command: shown there.

    Raises UnpairedError, before anything is computed, for arguments that cannot be right and where
    something would be overwritten; Stopped after Ctrl-C, when it can go on with ``resume``.
    """
    if not 0 < options.minutes < math.inf:
        raise UnpairedError(f"--minutes must be positive, not {options.minutes}")
    check_names(options.device, options.precision)
    if options.method != AUTO:
        catalog.method(options.method)  # It knows all names.
    outputs = plan_outputs(inputs, Path(output), overwrite=options.overwrite or options.resume)
    _check_other_files(outputs, options)
    with Deadline(options.minutes, "denoise") as clock:
        run = _Run(outputs, options, clock, command)
        for line in told(outputs.left_out):
            print(line, flush=True)
        run.report.skipped = outputs.left_out
        try:
            return run.everything()
        except KeyboardInterrupt:
            raise Stopped(run.how_to_go_on()) from None
        except UnpairedError:
            if not options.resume:
                run.unfinished.forget()
            raise


def model_name(method: str, channels: int) -> str:
    """Return the file name of a model that was trained on a person's own pictures."""
    return f"{method}_{'gray' if channels == 1 else 'rgb'}.safetensors"


def _beside(outputs: Outputs, name: str) -> Path:
    """Return where a file goes that is no picture: into the folder, or beside the single file."""
    if not outputs.is_file:
        return outputs.folder / name
    (target,) = outputs.targets.values()
    # What is hidden stays hidden.
    name = f"{target.stem}_{name}" if not name.startswith(".") else f".{target.stem}{name}"
    return target.with_name(name)


def _unfinished(outputs: Outputs, options: Options) -> Unfinished:
    return Unfinished(_beside(outputs, UNFINISHED), outputs.targets, options)


def _check_other_files(outputs: Outputs, options: Options) -> None:
    """Refuse to overwrite the page and models, and to forget what was stopped."""
    if options.model is not None and not resolve_model(options.model).is_file():
        raise UnpairedError(f"{options.model}: no such model; check its name")
    unfinished = _unfinished(outputs, options)
    if options.resume:
        if not unfinished.exists:
            raise UnpairedError(f"nothing was stopped in {outputs.folder}: leave --resume out")
        return
    if options.overwrite:
        return
    if unfinished.exists:
        raise UnpairedError(
            f"a run in {outputs.folder} was stopped: add --resume to go on, or --overwrite to "
            "start afresh"
        )
    trained = "neighbor2neighbor" if options.method == AUTO else options.method
    models = [] if options.model else [model_name(trained, channels) for channels in (1, 3)]
    there = [path for name in (PAGE_NAME, *models) if (path := _beside(outputs, name)).exists()]
    if there:
        raise UnpairedError(
            f"{list_some(map(str, there))}: there already; add --overwrite, or choose another "
            "--output"
        )


class _Run:
    """One call of `denoise`: its pictures by number of channels, and what became of them."""

    def __init__(self, outputs: Outputs, options: Options, clock: Deadline, command: str) -> None:
        self.outputs, self.options, self.clock, self.command = outputs, options, clock, command
        self.report = Report()
        self.unfinished = _unfinished(outputs, options)
        self.places: list[Place] = []
        self.changes: list[float] = []
        self.models: list[Path] = []
        self.notes = Notes()
        self.given: Denoiser | None = None  # by --model

    def everything(self) -> Report:
        from unpaired.systems.denoising.denoiser import Settings, load_denoiser

        options = self.options
        settings = Settings(
            options.method, options.device, options.precision, options.stride, options.read_out
        )
        if options.model is None:
            settings.check()
        else:
            settings.check_place()
            self.given = load_denoiser(options.model, settings)
        groups, kinds = self._read_all()
        self.unfinished.start()
        pixels = {
            channels: sum(np.prod(shape[:3]) for shape in shapes.values())
            for channels, shapes in groups.items()
        }
        for channels, shapes in groups.items():
            share = (self.clock.left - FINISH_SECONDS) * pixels[channels] / sum(pixels.values())
            del pixels[channels]
            denoiser = self._denoiser(channels, shapes, settings, share)
            self.outputs.mark("denoise")
            self._restore_all(shapes, denoiser)
            self._tell(denoiser, {path: kinds[path] for path in shapes})
        self._finish()
        return self.report

    def how_to_go_on(self) -> str:
        if not self.unfinished.exists:
            return "stopped; nothing was written"
        done = len(self.report.written)
        return (
            f"stopped; {done} of {len(self.outputs.targets)} pictures are written: the same "
            "command with --resume goes on from here"
        )

    # -- reading --

    def _read_all(self) -> tuple[dict[int, dict[Path, tuple[int, ...]]], dict[Path, str]]:
        """Return, per number of channels, the pictures' shapes, and of each what kind it is.

        Pictures that cannot be read are refused by name. Raises UnpairedError if none is left.
        """
        self.clock.phase("reading")
        groups: dict[int, dict[Path, tuple[int, ...]]] = {}
        kinds = {}
        for path in self.outputs.targets:
            self.clock.tick()
            try:
                picture = read_picture(path)
            except UnpairedError as error:
                self._refuse(path, str(error))
                continue
            shape = self._seen_shape(picture)
            groups.setdefault(shape[-1], {})[path] = shape
            kinds[path] = kind_of(picture)
        if not groups:
            raise UnpairedError(list_some(self.report.refused.values()))
        return groups, kinds

    def _seen_shape(self, picture: Picture) -> tuple[int, ...]:
        """Return the shape as methods see it: a gray picture in three channels is a gray one."""
        from unpaired.systems.denoising.own_pages import seen_shape

        is_for_color = self.given is not None and self.given.channels == 3
        return picture.pixels.shape if is_for_color else seen_shape(picture.pixels)

    def _refuse(self, path: Path, why: str) -> None:
        self.report.refused[path] = why
        print(f"refused: {why}", file=sys.stderr, flush=True)

    # -- learning --

    def _denoiser(
        self,
        channels: int,
        shapes: dict[Path, tuple[int, ...]],
        settings: Settings,
        seconds: float,
    ) -> Denoiser:
        from unpaired.learning.training import Interrupted
        from unpaired.systems.denoising.own_pages import PicturePages, fitted_scale, nominal_scale
        from unpaired.systems.denoising.search import Work, assess, learn
        from unpaired.systems.denoising.short_training import is_fitted_per_image

        if before := self._learned_before(channels, settings):
            return before
        work = Work(
            end=time.monotonic() + seconds,
            minutes=self.options.minutes,
            tell=self.clock.phase,
            tick=self.clock.tick,
            checkpoint=self.unfinished.folder / str(channels),
            stamp=self.unfinished.stamp(),
        )
        if self.given is not None:
            denoiser = self.given
            _refuse_other_channels(self.options.model, denoiser, channels, next(iter(shapes)))
            scale = fitted_scale if denoiser.is_conditioned else nominal_scale
            return assess(denoiser, PicturePages(shapes, scale), settings, work)
        try:
            denoiser = learn(PicturePages(shapes), settings, work)
        except Interrupted:
            raise KeyboardInterrupt from None
        path = None
        if not is_per_image(denoiser.method):
            path = _beside(self.outputs, model_name(denoiser.method, channels))
            denoiser.save(path)
            self.models.append(path)
        if not is_fitted_per_image(denoiser.method):
            self.unfinished.remember(channels, denoiser, path)
        return denoiser

    def _learned_before(self, channels: int, settings: Settings) -> Denoiser | None:
        from unpaired.systems.denoising.denoiser import remembered

        learned = self.unfinished.learned(channels)
        return remembered(learned, channels, settings) if self.options.resume and learned else None

    # -- restoring --

    def _restore_all(self, shapes: dict[Path, tuple[int, ...]], denoiser: Denoiser) -> None:
        on_page = {path for number, path in enumerate(shapes) if number in _evenly(len(shapes))}
        for number, path in enumerate(shapes, start=1):
            self.clock.phase("restoring", f"{number} of {len(shapes)} pictures")
            target = self.outputs.targets[path]
            if self.options.resume and any(
                target.with_suffix(suffix).is_file() for suffix in (target.suffix, ".tif")
            ):
                self.report.written.append(target)
                continue
            try:
                self._restore(path, target, denoiser, shapes[path][-1], path in on_page)
            except UnpairedError as error:
                self._refuse(path, str(error))

    def _restore(
        self, path: Path, target: Path, denoiser: Denoiser, channels: int, is_shown: bool
    ) -> None:
        from unpaired.systems.denoising.own_pages import fitted_scale, nominal_scale

        picture = read_own(path)
        given = picture.pixels.shape
        picture = replace(picture, pixels=picture.pixels[..., :channels])
        prepare = fitted_scale if denoiser.is_conditioned else nominal_scale
        pages, restored = [], []
        for number in range(len(picture.pixels)):
            pages.append(prepare(picture, number))
            try:
                restored.append(denoiser.restore(pages[-1]).astype(np.float32))
            except UnpairedError as error:
                raise UnpairedError(
                    f"{shown(path)}: {denoiser.method} failed on it ({error}); try another --method"
                ) from None
            self.clock.tick()
        result = replace(picture, pixels=np.broadcast_to(np.stack(restored), given))
        if channels < given[-1]:
            self.notes.add(path, "its three channels are the same: restored as one gray picture")
        if _needs_floats(picture, pages):
            result = noting_descriptions(result, result.in_float())
            suffix = f" in a {result.suffix} file" if result.suffix else ""
            self.notes.add(
                path,
                f"written as 32-bit floats{suffix}: too few steps of the "
                f"{8 * picture.dtype.itemsize} bits are used to hold the result",
            )
        written = written_path(result, target)
        if written != target and written.exists() and not self.options.overwrite:
            raise UnpairedError(f"{shown(written)}: there already; add --overwrite")
        self.notes.add(path, *write_picture(result, written))
        self.report.written.append(written)
        self.changes.append(_change(pages[0], restored[0]))
        if is_shown:
            self._show(path, picture.pixels[0], restored[0])

    def _show(self, path: Path, noisy: np.ndarray, restored: np.ndarray) -> None:
        from unpaired.systems.denoising.pages import Place

        if len(self.places) < PLACES:
            seen = (upright(page, orientation_of(path)) for page in (noisy, restored))
            self.places.append(Place(path.name, "", *seen))

    # -- telling --

    def _tell(self, denoiser: Denoiser, kinds: dict[Path, str]) -> None:
        lines = result_lines(denoiser, Counter(kinds.values()))
        noise = denoiser.estimate.noise
        if noise and self.changes and np.median(self.changes) > CHANGE_MAX * noise.noise_std:
            lines.append(
                f"Warning: the pictures changed by {np.median(self.changes):.3f} of their range, "
                f"but their noise was measured as {noise.noise_std:.3f}: look closely, and try "
                "another --method if they are bad."
            )
        self.changes = []
        self.report.lines += lines

    def _finish(self) -> None:
        from unpaired.systems.denoising.pages import write_before_after

        self.report.lines += self.notes.lines()
        self.report.lines += [
            f"The model is saved: --model {shown(path)} uses it again." for path in self.models
        ]
        page = _beside(self.outputs, PAGE_NAME)
        if self.places:
            self.clock.phase("writing the page")
            lines = [*self.report.lines, self.report.count(self.outputs.folder)]
            if len(self.places) < len(self.report.written):
                lines.append(f"Here are {len(self.places)} of them, evenly chosen.")
            write_before_after(
                page,
                title="Before and after",
                lines=lines,
                command=self.command,
                places=self.places,
            )
            self.report.lines.append(f"Look at {shown(page)}")
        if self.clock.left < -1:
            self.report.lines.append(
                f"It took {clock_text(self.clock.spent)} min, longer than the "
                f"{self.options.minutes:g} given."
            )
        self.unfinished.remove()


def _evenly(count: int) -> range:
    return range(0, count, max(1, -(-count // PLACES)))


def _refuse_other_channels(model: Path, denoiser: Denoiser, channels: int, picture: Path) -> None:
    if denoiser.channels != channels:
        raise UnpairedError(
            f"{model}: a model for {denoiser.channels} channel(s), but {picture} has {channels}; "
            "train one on such pictures by leaving --model out"
        )


def _needs_floats(picture: Picture, pages: Sequence[Conditioned]) -> bool:
    """Say whether integers are too coarse: few levels are used, and not for the eye alone."""
    from unpaired.systems.denoising.conditioning import uses_few_steps

    if picture.dtype.kind != "u" or picture.format not in ("TIFF", "PNG"):
        return False
    step = 1 / np.iinfo(picture.dtype).max
    return any(uses_few_steps(page, step) for page in pages)


def _change(page: Conditioned, restored: np.ndarray) -> float:
    """Return how much a page changed, as standard deviation in units of the range it uses."""
    extents = np.array([scale.extent for scale in page.scales])
    return float(np.std((restored - page.page) / extents))
