"""Learn to denoise pages of any units within a time, choose by what is held out, and restore."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unpaired.conditioning import Conditioned, nominal
from unpaired.deadlines import clock_text
from unpaired.devices import choose_device, choose_precision
from unpaired.errors import UnpairedError, shown
from unpaired.held_out import Judged, judged_part, noise_power, to_learn_from
from unpaired.methods import PER_IMAGE, create
from unpaired.methods.base import Restorer
from unpaired.metrics.coupled_bootstrap import coupled_error_map
from unpaired.metrics.noise_correlation import NoiseCorrelation, noise_correlation
from unpaired.metrics.unsupervised_error import upsnr_db
from unpaired.own_pages import Pages, evenly, probed
from unpaired.pixel_shuffle import STRIDE_MAX, choose_stride, split_phases
from unpaired.randomness import numpy_generator
from unpaired.short_training import (
    CROPS_FEW,
    Training,
    create_within,
    is_fitted_per_image,
    methods_for_noisy,
    needs_beside_noisy,
    phase_records,
    restore_page,
    train_within,
    write_noisy_pack,
)
from unpaired.training import Checkpointing
from unpaired.weights import load_model, read_notes, save_model

AUTO = "auto"
WITHOUT_TRAINING, BY_TRAINING = "cbm3d", "neighbor2neighbor"
STRIDES = ("auto", *map(str, range(1, STRIDE_MAX + 1)))
# What a short training can see: about 400 MB of float32 on the disk, whatever the pictures' number.
LEARNED_VALUES_MAX = 100_000_000
LEARNED_SIDE_MIN_PX = 256
JUDGED_PAGES = 12
JUDGED_PX_MIN, JUDGED_PX_MAX = 20_000, 300_000
JUDGED_SHARE = 0.1  # of the time
TRAINING_SECONDS_MIN = 40.0  # A shorter one has never been seen to beat BM3D.
PROBE_PX = 288  # four tiles of BM3D, as in a large picture
# Reading, conditioning and writing, besides the method itself.
HANDLING_SECONDS_PER_MEGAPIXEL = 0.7
PACE_MARGIN = 1.15
# How much longer than the time left work may take by its estimate, which is rough, and errs to the
# long side: by how much it is still preferred to another method, and from where on it is refused.
PREFERRED_MAX, LATE_MAX = 1.25, 1.5


@dataclass(frozen=True)
class Settings:
    """How to denoise. method: a name, or "auto". stride: see `denoise`. read_out: None: the first.

    The checks raise UnpairedError for what is not there, or needs more than noisy pictures.
    """

    method: str = AUTO
    device: str = "auto"
    precision: str = "auto"
    stride: str = "auto"
    read_out: str | None = None

    def check_place(self) -> None:
        """Check all but the method, which a given model knows."""
        choose_precision(self.precision, choose_device(self.device))
        if self.stride not in STRIDES:
            raise UnpairedError(f"--stride is one of {', '.join(STRIDES)}, not {self.stride}")

    def check(self) -> None:
        """Check everything."""
        self.check_place()
        if self.method == AUTO:
            if self.read_out is not None:
                raise UnpairedError("--read-out needs a --method: leave it out with auto")
            return
        if needs := needs_beside_noisy(self.method):
            raise UnpairedError(
                f"method '{self.method}' needs more than noisy pictures ({', '.join(needs)}); "
                f"use one of: auto, {', '.join(methods_for_noisy())}"
            )
        choose_read_out(create(self.method), self.method, self.read_out)


def choose_read_out(restorer: Any, method: str, read_out: str | None) -> Any:
    """Return the restorer, set to restore in the way asked for; UnpairedError if it has none."""
    if read_out is None:
        return restorer
    if not hasattr(restorer, "choose_read_out"):
        raise UnpairedError(f"'{method}' has one way to restore: leave --read-out out")
    restorer.choose_read_out(read_out)
    return restorer


@dataclass(frozen=True)
class Estimate:
    """What was found out without clean pictures, in units of the range that the pictures use.

    noise: of neighbors; None if no part is flat enough to tell. before_db, after_db: PSNR of the
    noisy and of the restored pictures; NaN if unknown. reason: why this method was taken.
    """

    noise: NoiseCorrelation | None
    before_db: float = math.nan
    after_db: float = math.nan
    reason: str = ""


@dataclass
class Denoiser:
    """A method ready to restore pages like those that it learned from.

    stride: pixels so far apart are restored as pages of their own; None if not yet decided.
    is_conditioned: whether it learned pages on fitted scales; else on the nominal ones.
    """

    method: str
    restorer: Restorer
    channels: int
    stride: int | None
    device: str
    precision: str
    is_conditioned: bool
    estimate: Estimate

    def restore(self, page: Conditioned) -> np.ndarray:
        """Return the page restored, H x W x C float64 in its own units, with its mean kept.

        Raises UnpairedError, without a name, where the method failed: values that are not finite,
        or a mean far from the noisy one.
        """
        restored = page.back(self.restore_values(page))
        if not np.isfinite(restored).all():
            raise UnpairedError("the result is not finite")
        return _with_mean_kept(page.page, restored)

    def restore_values(self, page: Conditioned) -> np.ndarray:
        """Return the conditioned values restored."""
        options = {"device": self.device, "precision": self.precision, "stride": self.stride}
        if self.method in PER_IMAGE and not page.shares_scale:
            # Such methods take the noise of all channels to be alike.
            channels = np.split(page.values, self.channels, axis=-1)
            restored = [restore_page(channel, self.restorer, **options) for channel in channels]
            return np.concatenate(restored, axis=-1)
        return restore_page(page.values, self.restorer, **options)

    def save(self, path: Path) -> None:
        """Write the model; raises UnpairedError for a method that learns nothing in advance."""
        if self.method in PER_IMAGE:
            raise UnpairedError(f"'{self.method}' learns nothing in advance: there is no model")
        notes = {"stride": self.stride, "conditioned": True}
        save_model(path, self.method, self.restorer, notes)


MEAN_SHIFT_MAX = 0.2


def _with_mean_kept(noisy: np.ndarray, restored: np.ndarray) -> np.ndarray:
    """Give every channel the mean of the noisy one, as noise has mean zero.

    A root and its inverse, or a logarithm, may move it a little. Raises UnpairedError if it has
    moved by more than MEAN_SHIFT_MAX of what the mean rises above the darkest values.
    """
    axes = (0, 1)
    mean = noisy.mean(axis=axes, dtype=np.float64)
    shift = mean - restored.mean(axis=axes, dtype=np.float64)
    above = mean - np.quantile(noisy, 0.02, axis=axes)
    chance = noisy.std(axis=axes, dtype=np.float64) / math.sqrt(noisy.shape[0] * noisy.shape[1])
    if (np.abs(shift) > MEAN_SHIFT_MAX * above + 4 * chance).any():
        before, after = mean.max(), (mean - shift).max()
        raise UnpairedError(f"the mean value moved from {before:.4g} to {after:.4g}")
    return restored + shift


def load_denoiser(path: Path, settings: Settings) -> Denoiser:
    """Return a saved model as a denoiser; raises UnpairedError as `load_model` does."""
    name, method = load_model(path, choose_device(settings.device))
    if not hasattr(method, "restore"):
        raise UnpairedError(f"{path}: a model of '{name}', which restores no pictures")
    notes = read_notes(path)
    choose_read_out(method, name, settings.read_out)
    stride = notes.get("stride") if settings.stride == AUTO else int(settings.stride)
    return Denoiser(
        method=name,
        restorer=method,
        channels=method.config.channels,
        stride=stride,
        device=settings.device,
        precision=settings.precision,
        is_conditioned=notes.get("conditioned", False),
        estimate=Estimate(None, reason=f"the model {shown(path)}"),
    )


def remembered(learned: dict[str, Any], channels: int, settings: Settings) -> Denoiser:
    """Return the denoiser that an earlier run wrote down: method, stride, model and estimate."""
    noise = learned["estimate"]["noise"]
    kept = learned["estimate"] | {"noise": NoiseCorrelation(**noise) if noise else None}
    if learned["model"] is not None:
        denoiser = load_denoiser(Path(learned["model"]), settings)
    else:
        restorer = choose_read_out(create(learned["method"]), learned["method"], settings.read_out)
        device, precision = settings.device, settings.precision
        denoiser = Denoiser(
            learned["method"], restorer, channels, None, device, precision, True, Estimate(None)
        )
    return replace(denoiser, stride=learned["stride"], estimate=Estimate(**kept))


def assess(denoiser: Denoiser, pages: Pages, settings: Settings, work: Work) -> Denoiser:
    """Return a loaded denoiser with what can be estimated of its result on these pages.

    Without a stride of its own it gets the one that the noise calls for.
    """
    work.tell("measuring the noise")
    noise = measure_noise(pages)
    learning = _Learning(pages, settings, work, noise)
    found = replace(denoiser, estimate=replace(denoiser.estimate, noise=noise))
    if found.stride is None:
        found = replace(found, stride=learning.stride)
    return learning.estimated(found, found.estimate.reason)


# ---- Measuring ----------------------------------------------------------------------------------


def measure_noise(pages: Pages) -> NoiseCorrelation | None:
    """Return the report of the median page by correlation, of some of the pages.

    Its standard deviation is their median, in units of the range that a page uses. None if no part
    of them is flat enough to tell.
    """
    reports = [noise_correlation(pages.read(index).values) for index in probed(pages)]
    measured = sorted((r for r in reports if r.n_patches), key=lambda report: report.strongest)
    if not measured:
        return None
    noise_std = float(np.median([report.noise_std for report in measured]))
    return replace(measured[len(measured) // 2], noise_std=noise_std)


def stride_for(noise: NoiseCorrelation | None, settings: Settings) -> int:
    """Return the stride asked for, or what the noise calls for."""
    if settings.stride != AUTO:
        return int(settings.stride)
    return choose_stride(noise) if noise else 1


def estimated_error(
    restore: Callable[[np.ndarray], np.ndarray], judged: Sequence[Judged], stride: int
) -> float:
    """Return the mean squared error of ``restore``, estimated by the coupled bootstrap."""
    errors = [
        coupled_error_map(phase, restore, variance, index, number).mean()
        for index, part in enumerate(judged)
        for number, (phase, variance) in enumerate(
            zip(split_phases(part.values, stride), split_phases(part.variance, stride), strict=True)
        )
    ]
    return float(np.mean(errors))


def in_words(psnr_db: float) -> str:
    """Return a PSNR with its unit; infinite is what an estimate of no error at all comes to."""
    return f"{psnr_db:.1f} dB" if math.isfinite(psnr_db) else "more than can be measured"


def _judged_parts(pages: Pages, pixels: int, stride: int) -> list[Judged]:
    """Cut about ``pixels`` in all out of what is held out, of evenly chosen pages."""
    chosen = evenly(len(pages.names), JUDGED_PAGES)
    share = pixels // len(chosen)
    parts = (judged_part(pages.read(index).values, share, stride) for index in chosen)
    return [part for part in parts if part is not None]


# ---- Learning -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """What learning is given besides pages and settings.

    end: when all must be done, restoring included, on the clock of time.monotonic. tell: called
    with what is being done. tick: called often. checkpoint: folder of a training that can go on
    later, None for none. stamp: what that training belongs to.
    """

    end: float
    tell: Callable[[str], None] = lambda phase: None
    tick: Callable[[], None] = lambda: None
    checkpoint: Path | None = None
    stamp: str = ""

    @property
    def left(self) -> float:
        return self.end - time.monotonic()


def learn(pages: Pages, settings: Settings, work: Work) -> Denoiser:
    """Return a denoiser for the pages, learned from them alone, in time to restore them all.

    Raises UnpairedError if the time does not suffice, and Interrupted if asked to stop.
    """
    settings.check()
    work.tell("measuring the noise")
    noise = measure_noise(pages)
    return _Learning(pages, settings, work, noise).denoiser()


class _Learning:
    """One search for a denoiser: what was measured, and what time is left."""

    def __init__(
        self, pages: Pages, settings: Settings, work: Work, noise: NoiseCorrelation | None
    ) -> None:
        self.pages, self.settings, self.work, self.noise = pages, settings, work, noise
        self.stride = stride_for(noise, settings)
        self.channels = pages.shapes[0][2]
        first = pages.read(0)
        self.probe = np.ascontiguousarray(first.values[:PROBE_PX, :PROBE_PX])
        pixels = sum(height * width for height, width, _ in pages.shapes)
        # As they are restored: where few photons were counted, squares of pixels are averaged.
        self.pixels = pixels * first.values.size / first.page.size

    def denoiser(self) -> Denoiser:
        if self.settings.method == AUTO:
            return self._best()
        if self.settings.method in PER_IMAGE:
            return self.estimated(self._fitted(self.settings.method), "as asked for")
        needed = self._seconds_by_training()
        self._refuse_if_late(self.settings.method, needed)
        seconds = self._seconds_to_train(needed)
        training = self._trained(self.settings.method, seconds, whole=True)
        reason = f"as asked for, trained for {clock_text(training.seconds)} min"
        found = self.estimated(self._denoiser(self.settings.method, training.method), reason)
        return _said_if_short(found, training)

    # -- one method --

    def _denoiser(self, method: str, restorer: Restorer) -> Denoiser:
        return Denoiser(
            method=method,
            restorer=choose_read_out(restorer, method, self.settings.read_out),
            channels=self.channels,
            stride=self.stride,
            device=self.settings.device,
            precision=self.settings.precision,
            is_conditioned=True,
            estimate=Estimate(self.noise),
        )

    def _fitted(self, method: str) -> Denoiser:
        self.work.tell(f"preparing {method}")
        seconds = self.work.left - self._handling_seconds()
        restorer = create_within(
            method, seconds, self.pixels, self.channels, device=self.settings.device
        )
        denoiser = self._denoiser(method, restorer)
        if not is_fitted_per_image(method):
            self._refuse_if_late(method, self._seconds_to_restore(denoiser))
        return denoiser

    def _trained(self, method: str, seconds: float, *, whole: bool) -> Training:
        self.work.tell(f"training {method}")
        checkpointing = None
        if self.work.checkpoint is not None:
            stamp = {"work": self.work.stamp, "method": method, "stride": self.stride}
            checkpointing = Checkpointing(self.work.checkpoint, stamp, every_seconds=15.0)
        with tempfile.TemporaryDirectory(prefix="unpaired-") as folder:
            records = phase_records(self._pages_to_learn_from(whole), self.stride)
            pack = write_noisy_pack(Path(folder) / "noisy.h5", records)
            return train_within(
                method,
                pack,
                seconds,
                device=self.settings.device,
                precision=self.settings.precision,
                on_step=self.work.tick,
                checkpointing=checkpointing,
            )

    def _pages_to_learn_from(self, whole: bool) -> Iterator[tuple[str, np.ndarray]]:
        """Yield named pages, or parts of them, as many as a short training can see.

        whole: with the rows that are held out otherwise.
        """
        most = LEARNED_VALUES_MAX // (self.channels * LEARNED_SIDE_MIN_PX**2)
        chosen = evenly(len(self.pages.names), most)
        values_max = LEARNED_VALUES_MAX // len(chosen)
        for index in chosen:
            values = self.pages.read(index).values
            if not whole:
                values = to_learn_from(values)
            yield self.pages.names[index], _part(values, values_max, index)

    # -- time --

    def _seconds_to_restore(self, denoiser: Denoiser) -> float:
        """Measure how long all pages will take, reading and writing included."""
        page = nominal(self.probe, 0.0, 1.0)
        # The first call of a process is slow.
        seconds = min(_seconds_of(lambda: denoiser.restore_values(page)) for _ in range(2))
        probe_px = self.probe.shape[0] * self.probe.shape[1]
        return PACE_MARGIN * seconds * self.pixels / probe_px + self._handling_seconds()

    def _handling_seconds(self) -> float:
        return HANDLING_SECONDS_PER_MEGAPIXEL * self.pixels * self.channels / 3e6

    def _seconds_by_training(self) -> float:
        """Measure how long all pages take by a network, the shortest training included."""
        settings = {"channels": self.channels, "width": 24, "global_residual": True}
        untrained = self._denoiser(BY_TRAINING, create(BY_TRAINING, **settings).eval())
        return self._seconds_to_restore(replace(untrained, stride=1)) + TRAINING_SECONDS_MIN / 4

    def _seconds_to_train(self, needed: float) -> float:
        """Return what is left for a training when ``needed`` seconds are kept for what follows."""
        return max(self.work.left - needed - self._seconds_to_judge(), TRAINING_SECONDS_MIN / 4)

    def _seconds_to_judge(self) -> float:
        return min(10.0, JUDGED_SHARE * max(self.work.left, 0))

    def _refuse_if_late(self, what: str, needed: float) -> None:
        """Refuse work that would take far longer than asked for; a little longer is only told."""
        if needed > LATE_MAX * self.work.left:
            minutes = math.ceil((needed + 30) / 60 * 1.1)
            raise UnpairedError(
                f"{len(self.pages.names)} pictures ({self.pixels / 1e6:.0f} megapixels) take about "
                f"{needed / 60:.1f} min by {what} here, and {max(self.work.left, 0) / 60:.1f} are "
                f"left: give --minutes {minutes} or more, or fewer pictures"
            )

    # -- judging --

    def _judged(self, seconds_per_pixel: float) -> list[Judged]:
        affordable = JUDGED_SHARE * max(self.work.left, 0) / max(2 * seconds_per_pixel, 1e-9)
        pixels = int(np.clip(affordable, JUDGED_PX_MIN, JUDGED_PX_MAX))
        return _judged_parts(self.pages, pixels, self.stride)

    def estimated(self, denoiser: Denoiser, reason: str) -> Denoiser:
        """Add what can be estimated of the result; nothing for methods fitted to every picture."""
        estimate = replace(denoiser.estimate, reason=reason)
        if not is_fitted_per_image(denoiser.method):
            self.work.tell("estimating the result")
            pace = self._seconds_to_restore(denoiser) / self.pixels
            judged = self._judged(pace)
            if judged:
                error = self._error(denoiser, judged)
                before = upsnr_db(noise_power(part.variance for part in judged))
                estimate = replace(estimate, before_db=before, after_db=upsnr_db(error))
        return replace(denoiser, estimate=estimate)

    def _error(self, denoiser: Denoiser, judged: Sequence[Judged]) -> float:
        def restore(values: np.ndarray) -> np.ndarray:
            self.work.tick()
            return replace(denoiser, stride=1).restore_values(nominal(values, 0.0, 1.0))

        return estimated_error(restore, judged, self.stride)

    def _best(self) -> Denoiser:
        """Judge BM3D and a training by what is held out, as far as the time goes; take the better.

        BM3D needs no training but seconds for every picture; a network learns first and restores
        fast. The time for restoring by BM3D is kept until the judgment.
        """
        plain = self._denoiser(WITHOUT_TRAINING, create(WITHOUT_TRAINING))
        self.work.tell(f"trying {WITHOUT_TRAINING}")
        plain_seconds = self._seconds_to_restore(plain)
        trained_seconds = self._seconds_by_training()
        judged = self._judged(plain_seconds / self.pixels)
        if not judged or plain_seconds > max(PREFERRED_MAX * self.work.left, trained_seconds):
            return self._only_trained(trained_seconds, plain_seconds, judged)
        self._refuse_if_late(WITHOUT_TRAINING, plain_seconds)
        plain_error = self._error(plain, judged)
        before = upsnr_db(noise_power(part.variance for part in judged))
        seconds = self.work.left - plain_seconds - self._seconds_to_judge()
        if seconds < TRAINING_SECONDS_MIN:
            reason = (
                f"for a training as well {TRAINING_SECONDS_MIN - seconds:.0f} s more were needed"
            )
            estimate = Estimate(self.noise, before, upsnr_db(plain_error), reason)
            return replace(plain, estimate=estimate)
        training = self._trained(BY_TRAINING, seconds, whole=False)
        trained = self._denoiser(BY_TRAINING, training.method)
        self.work.tell("judging")
        trained_error = self._error(trained, judged)
        best, error, other, other_error = (
            (trained, trained_error, plain, plain_error)
            if trained_error < plain_error
            else (plain, plain_error, trained, trained_error)
        )
        reason = (
            f"estimated {in_words(upsnr_db(error))} on held-out parts, {other.method} "
            f"{in_words(upsnr_db(other_error))}"
        )
        return replace(best, estimate=Estimate(self.noise, before, upsnr_db(error), reason))

    def _only_trained(
        self, trained_seconds: float, plain_seconds: float, judged: Sequence[Judged]
    ) -> Denoiser:
        """Train without a comparison: BM3D would take too long, or there is nothing to judge by."""
        self._refuse_if_late("a trained network", trained_seconds)
        seconds = self._seconds_to_train(trained_seconds)
        training = self._trained(BY_TRAINING, seconds, whole=False)
        why = (
            f"{WITHOUT_TRAINING} would take {plain_seconds / 60:.1f} min for all pictures"
            if judged
            else "no part of the pictures could be held out to judge by"
        )
        found = self._denoiser(BY_TRAINING, training.method)
        return _said_if_short(self.estimated(found, why), training)


def _said_if_short(denoiser: Denoiser, training: Training) -> Denoiser:
    if training.crops >= CROPS_FEW:
        return denoiser
    reason = (
        f"{denoiser.estimate.reason}; it has learned from {training.crops} crops only, more "
        "minutes would do better"
    )
    return replace(denoiser, estimate=replace(denoiser.estimate, reason=reason))


def _part(values: np.ndarray, values_max: int, index: int) -> np.ndarray:
    """Return the page, or a part of it at random that has no more than ``values_max`` values."""
    height, width, channels = values.shape
    if values.size <= values_max:
        return values
    side = max(LEARNED_SIDE_MIN_PX, math.isqrt(values_max // channels))
    rows = min(height, side)
    columns = min(width, max(LEARNED_SIDE_MIN_PX, values_max // (channels * rows)))
    rng = numpy_generator("part to learn from", index)
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    return values[top : top + rows, left : left + columns]


def _seconds_of(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
