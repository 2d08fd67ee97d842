"""Learn to denoise pages within a time, and choose by what is held out."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unpaired.core.deadlines import clock_text
from unpaired.core.errors import UnpairedError, counted
from unpaired.core.randomness import numpy_generator
from unpaired.learning.create import create
from unpaired.learning.method import Restorer
from unpaired.learning.training import Checkpointing
from unpaired.metrics.color_noise import color_noise
from unpaired.metrics.noise_correlation import NoiseCorrelation
from unpaired.metrics.unsupervised_error import upsnr_db
from unpaired.systems.denoising.conditioning import nominal
from unpaired.systems.denoising.denoiser import (
    AUTO,
    CONTRADICTED,
    Denoiser,
    Estimate,
    Settings,
    choose_read_out,
    contradicts,
)
from unpaired.systems.denoising.held_out import Judged, to_learn_from
from unpaired.systems.denoising.measuring import (
    estimated_error,
    estimated_noise_power,
    in_words,
    judged_parts,
    measure_noise,
    stride_for,
)
from unpaired.systems.denoising.offers import is_per_image
from unpaired.systems.denoising.own_bm3d import create_own
from unpaired.systems.denoising.own_pages import Pages, evenly
from unpaired.systems.denoising.short_training import (
    CROPS_FEW,
    Training,
    create_within,
    is_fitted_per_image,
    phase_records,
    train_within,
    write_noisy_pack,
)

WITHOUT_TRAINING, BY_TRAINING = "cbm3d", "neighbor2neighbor"
# What a short training can see: about 400 MB of float32 on the disk, whatever the pictures' number.
LEARNED_VALUES_MAX = 100_000_000
LEARNED_SIDE_MIN_PX = 256
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
class Work:
    """What learning is given besides pages and settings.

    end: when all must be done, restoring included, on the clock of time.monotonic. minutes: that
    were given for everything. tell: called with what is being done. tick: called often. checkpoint:
    folder of a training that can go on later, None for none. stamp: what that training belongs to.
    """

    end: float
    minutes: float
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


def assess(denoiser: Denoiser, pages: Pages, settings: Settings, work: Work) -> Denoiser:
    """Return a loaded denoiser with what can be estimated of its result on these pages.

    Without a stride of its own it gets the one that the noise calls for.
    """
    work.tell("measuring the noise")
    noise = measure_noise(pages)
    learning = _Learning(pages, settings, work, noise)
    found = replace(denoiser, estimate=replace(learning.found, reason=denoiser.estimate.reason))
    if found.stride is None:
        found = replace(found, stride=learning.stride)
    return learning.estimated(found, found.estimate.reason)


class _Learning:
    """One search for a denoiser: what was measured, and what time is left."""

    def __init__(
        self, pages: Pages, settings: Settings, work: Work, noise: NoiseCorrelation | None
    ) -> None:
        self.pages, self.settings, self.work, self.noise = pages, settings, work, noise
        self.stride = stride_for(noise, settings)
        self.channels = pages.shapes[0][2]
        first = pages.read(0)
        differ = color_noise(first.values) is not None
        self.found = Estimate(noise, colors_differ=differ)
        self.probe = np.ascontiguousarray(first.values[:PROBE_PX, :PROBE_PX])
        pixels = sum(height * width for height, width, _ in pages.shapes)
        # As they are restored: where few photons were counted, squares of pixels are averaged.
        self.pixels = pixels * first.values.size / first.page.size

    def denoiser(self) -> Denoiser:
        if self.settings.method == AUTO:
            return self._best()
        if is_per_image(self.settings.method):
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
            estimate=self.found,
        )

    def _fitted(self, method: str) -> Denoiser:
        self.work.tell(f"preparing {method}")
        seconds = self.work.left - self._handling_seconds()
        restorer = create_within(
            method,
            seconds,
            self.pixels,
            self.channels,
            device=self.settings.device,
            precision=self.settings.precision,
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
            missing = needed - self.work.left
            minutes = math.ceil(self.work.minutes + 1.1 * (missing + 30) / 60)
            pictures = counted(len(self.pages.names), "picture")
            raise UnpairedError(
                f"{pictures} ({self.pixels / 1e6:,.2f} megapixels): {what} needs "
                f"{clock_text(needed)} min here, and {clock_text(max(self.work.left, 0))} min are "
                f"left: give --minutes {minutes} or more, or fewer pictures"
            )

    # -- judging --

    def _judged(self, seconds_per_pixel: float) -> list[Judged]:
        affordable = JUDGED_SHARE * max(self.work.left, 0) / max(2 * seconds_per_pixel, 1e-9)
        pixels = int(np.clip(affordable, JUDGED_PX_MIN, JUDGED_PX_MAX))
        return judged_parts(self.pages, pixels, self.stride)

    def estimated(self, denoiser: Denoiser, reason: str) -> Denoiser:
        """Add what can be estimated of the result; nothing for methods fitted to every picture."""
        estimate = replace(denoiser.estimate, reason=reason)
        if not is_fitted_per_image(denoiser.method):
            self.work.tell("estimating the result")
            pace = self._seconds_to_restore(denoiser) / self.pixels
            judged = self._judged(pace)
            before = upsnr_db(estimated_noise_power(judged)) if judged else math.nan
            if contradicts(self.noise, before):
                reason = f"{reason}; the PSNR cannot be estimated, because {CONTRADICTED}"
                estimate = replace(estimate, reason=reason)
            elif judged:
                error = self._error(denoiser, judged)
                return self._with_estimate(denoiser, before, error, reason)
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
        plain = self._denoiser(WITHOUT_TRAINING, create_own(WITHOUT_TRAINING))
        self.work.tell(f"trying {WITHOUT_TRAINING}")
        plain_seconds = self._seconds_to_restore(plain)
        trained_seconds = self._seconds_by_training()
        judged = self._judged(plain_seconds / self.pixels)
        if not judged or plain_seconds > max(PREFERRED_MAX * self.work.left, trained_seconds):
            return self._only_trained(trained_seconds, plain_seconds, judged)
        self._refuse_if_late(WITHOUT_TRAINING, plain_seconds)
        before = upsnr_db(estimated_noise_power(judged))
        if contradicts(self.noise, before):
            reason = f"methods cannot be judged, because {CONTRADICTED}; it changes least"
            return replace(plain, estimate=replace(self.found, reason=reason))
        plain_error = self._error(plain, judged)
        seconds = self.work.left - plain_seconds - self._seconds_to_judge()
        if seconds < TRAINING_SECONDS_MIN:
            reason = (
                f"for a training as well {TRAINING_SECONDS_MIN - seconds:.0f} s more were needed"
            )
            return self._with_estimate(plain, before, plain_error, reason)
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
        return self._with_estimate(best, before, error, reason)

    def _with_estimate(
        self, denoiser: Denoiser, before: float, error: float, reason: str
    ) -> Denoiser:
        after = upsnr_db(error)
        estimate = replace(self.found, before_db=before, after_db=after, reason=reason)
        return replace(denoiser, estimate=estimate)

    def _only_trained(
        self, trained_seconds: float, plain_seconds: float, judged: Sequence[Judged]
    ) -> Denoiser:
        """Train without a comparison: BM3D would take too long, or there is nothing to judge by."""
        self._refuse_if_late("a trained network", trained_seconds)
        seconds = self._seconds_to_train(trained_seconds)
        training = self._trained(BY_TRAINING, seconds, whole=False)
        why = (
            f"{WITHOUT_TRAINING} would take {clock_text(plain_seconds)} min for all pictures"
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
