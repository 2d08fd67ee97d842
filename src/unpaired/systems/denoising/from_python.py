"""Denoising from Python, as ``import unpaired`` offers it: arrays in, arrays out.

Arrays have a height Y and a width X. Whatever else they have is told by ``axes``, a letter for
every axis: C for channels, N for pages such as frames or planes. It is never guessed.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from unpaired.core.errors import UnpairedError, check_positive
from unpaired.core.torch_state import torch_left_alone
from unpaired.imaging.arrays import as_array
from unpaired.imaging.finding import find_pictures
from unpaired.imaging.pictures import read_picture
from unpaired.imaging.upright import orientation_of, upright
from unpaired.learning.training import Interrupted
from unpaired.systems.denoising.candidates import in_order, judge_candidates
from unpaired.systems.denoising.conditioning import Conditioned, condition, nominal, uses_few_steps
from unpaired.systems.denoising.denoiser import (
    UNSURE,
    Estimate,
    Settings,
    contradicts,
    load_denoiser,
)
from unpaired.systems.denoising.denoiser import Denoiser as Engine
from unpaired.systems.denoising.held_out import judged_px_within, split
from unpaired.systems.denoising.measuring import in_words, measure_noise, stride_for
from unpaired.systems.denoising.own_pages import ArrayPages, is_gray_in_color
from unpaired.systems.denoising.ranking import Ranked, as_text, hardly_trained, rank
from unpaired.systems.denoising.search import Work, learn
from unpaired.systems.denoising.short_training import methods_for_noisy
from unpaired.systems.denoising.trials import noisy_psnr_db

COLOR_CHANNELS = (1, 3)  # restored together; of any other number each one by itself
SECONDS_TO_FINISH = 2.0
MODEL_SUFFIX = ".safetensors"


class _Stack:
    """An array as pages, H x W x C with one or three channels, and the way back."""

    def __init__(self, array: np.ndarray, axes: str | None) -> None:
        self.array, self.axes = array, _checked_axes(array, axes)
        order = [self.axes.index(letter) for letter in "NYXC" if letter in self.axes]
        sorted_axes = array.transpose(order)
        if "N" not in self.axes:
            sorted_axes = sorted_axes[None]
        if "C" not in self.axes:
            sorted_axes = sorted_axes[..., None]
        self._sorted_shape = sorted_axes.shape
        channels = sorted_axes.shape[-1]
        self.are_split = channels not in COLOR_CHANNELS
        if self.are_split:
            pages = [page[..., [c]] for page in sorted_axes for c in range(channels)]
        else:
            pages = list(sorted_axes)
        self.pages = [np.ascontiguousarray(page, np.float64) for page in pages]

    @property
    def is_gray(self) -> bool:
        """Whether all pages are gray, in one channel or in three that are the same."""
        return all(page.shape[-1] == 1 or is_gray_in_color(page) for page in self.pages)

    def in_gray(self) -> _Stack:
        """Return the same stack with pages of one channel; `joined` takes them, too."""
        found = copy(self)
        found.pages = [page[..., :1] for page in self.pages]
        return found

    def joined(self, pages: Sequence[np.ndarray]) -> np.ndarray:
        """Return pages, as many and as large as `pages`, as an array with the axes of the input."""
        if self.are_split:
            channels = self._sorted_shape[-1]
            pages = [
                np.concatenate(pages[k : k + channels], axis=-1)
                for k in range(0, len(pages), channels)
            ]
        whole = np.broadcast_to(np.stack(pages), self._sorted_shape)
        if "N" not in self.axes:
            whole = whole[0]
        if "C" not in self.axes:
            whole = whole[..., 0]
        letters = [letter for letter in "NYXC" if letter in self.axes]
        return whole.transpose([letters.index(letter) for letter in self.axes])


def _checked_axes(array: np.ndarray, axes: str | None) -> str:
    if axes is None:
        if array.ndim == 2:
            return "YX"
        raise UnpairedError(
            f"an array of shape {array.shape} needs axes=, a letter for every axis: 'YXC' for "
            "channels last, 'CYX' for channels first, 'NYX' for gray pages, 'NYXC' for color pages"
        )
    if len(axes) != array.ndim or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes):
        raise UnpairedError(
            f"axes={axes!r} does not fit an array of shape {array.shape}: give a letter for every "
            "axis, Y and X among them, C for channels, N for pages"
        )
    if unknown := set(axes) - set("NYXC"):
        raise UnpairedError(f"axes={axes!r}: {', '.join(sorted(unknown))} is none of N, Y, X, C")
    return axes


def _is_path(source: Any) -> bool:
    return isinstance(source, str | os.PathLike)


def _read(path: str | os.PathLike) -> tuple[np.ndarray, str]:
    """Return a picture in a file as an array in its own units and type, and its axes.

    It is turned as its EXIF orientation says, since an array has none. Warns where it has alpha,
    which the array has not.
    """
    picture = read_picture(path)
    if picture.alpha is not None:
        warnings.warn(f"{path}: its alpha is left out", stacklevel=2)
    orientation = orientation_of(path)
    pixels = np.stack([upright(page, orientation) for page in picture.pixels])
    axes = "NYXC"
    if picture.dtype.kind == "u":
        largest = np.iinfo(picture.dtype).max
        pixels = np.floor(pixels * np.float32(largest) + 0.5)
    if not picture.is_stack:
        pixels, axes = pixels[0], axes.replace("N", "")
    if picture.is_gray:
        pixels, axes = pixels[..., 0], axes.replace("C", "")
    return pixels.astype(picture.dtype), axes


def _stack_of(source: Any, axes: str | None) -> _Stack:
    if _is_path(source):
        return _Stack(*_read(source))
    return _Stack(as_array(source), axes)


def _stacks_of(sources: Any, axes: str | None) -> list[_Stack]:
    """Return one array, a list of arrays, or what lies at paths and in folders, as stacks."""
    if _is_path(sources):
        return [_stack_of(path, None) for path in find_pictures([sources])]
    if isinstance(sources, list | tuple) and sources and all(map(_is_path, sources)):
        return [_stack_of(path, None) for path in find_pictures(sources)]
    if isinstance(sources, list | tuple) and any(np.ndim(source) >= 2 for source in sources):
        return [_stack_of(source, axes) for source in sources]
    return [_stack_of(sources, axes)]


def _pages_of(stacks: Iterable[_Stack]) -> ArrayPages:
    stacks = list(stacks)
    if all(stack.is_gray for stack in stacks):
        stacks = [stack.in_gray() for stack in stacks]
    pages = [page for stack in stacks for page in stack.pages]
    if len({page.shape[-1] for page in pages}) > 1:
        raise UnpairedError("gray and color pictures together: give one kind at a time")
    return ArrayPages(pages)


@contextmanager
def _interruptible() -> Iterator[None]:
    """A training that was stopped with Ctrl-C stops the caller as well."""
    try:
        yield
    except Interrupted:
        raise KeyboardInterrupt from None


class Denoiser:
    """A denoiser that has learned from noisy pictures; made by `Denoiser.fit` or `load`.

    >>> import numpy as np, unpaired as up
    >>> noisy = np.random.default_rng(0).normal(100, 10, (64, 64))
    >>> denoiser = up.Denoiser.fit(noisy, method="cbm3d")
    >>> denoiser.method, bool(denoiser.restore(noisy).std() < 5)
    ('cbm3d', True)
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def fit(
        cls,
        pictures: Any,
        *,
        minutes: float = 3,
        method: str = "auto",
        axes: str | None = None,
        device: str = "auto",
    ) -> Denoiser:
        """Learn from noisy pictures alone, for at most so many minutes, restoring them included.

        pictures: an array, a list of arrays whose sizes may differ, a path, or a list of paths;
            folders stand for the pictures in them.
        method: a name, or "auto" for the better of BM3D and a short training.

        Raises UnpairedError, in one line, for what cannot be learned from.
        """
        pages = _pages_of(_stacks_of(pictures, axes))
        work = Work(time.monotonic() + _seconds(minutes) - SECONDS_TO_FINISH, minutes)
        with _interruptible(), torch_left_alone():
            return cls(learn(pages, Settings(method, device), work))

    @property
    def method(self) -> str:
        """The name of the method that was chosen."""
        return self._engine.method

    @property
    def estimate(self) -> Estimate:
        """What was found out without clean pictures: noise, before_db, after_db, reason."""
        return self._engine.estimate

    def restore(self, picture: Any, *, axes: str | None = None) -> np.ndarray:
        """Return the picture without its noise: the same shape and type of numbers.

        Where integers are too coarse for the result it is float32, and a warning says so. So does
        one where alpha of a file is left out.

        Raises UnpairedError for an array or a file that cannot be read, other numbers of channels
        than were learned from, and where the method failed.
        """
        stack = _stack_of(picture, axes)
        if self._engine.channels == 1 and stack.is_gray:
            stack = stack.in_gray()
        channels = stack.pages[0].shape[-1]
        if channels != self._engine.channels:
            raise UnpairedError(
                f"this denoiser has learned from {self._engine.channels} channel(s), the picture "
                f"has {channels}"
            )
        with _interruptible(), torch_left_alone():
            pages = [self._prepared(page, stack.array.dtype) for page in stack.pages]
            restored = [self._engine.restore(page) for page in pages]
        return _in_type(stack.joined(restored), stack.array.dtype, pages)

    def _prepared(self, page: np.ndarray, dtype: np.dtype) -> Conditioned:
        if self._engine.is_conditioned:
            return condition(page)
        extent = np.iinfo(dtype).max if dtype.kind in "ui" else 1.0
        return nominal(page, 0.0, float(extent))

    def save(self, path: str | os.PathLike, *, overwrite: bool = False) -> None:
        """Write the model to a file NAME.safetensors.

        overwrite: whether a file that is there may be replaced.

        Raises UnpairedError for another suffix, a file that is there already, and a method that
        learns nothing.
        """
        path = Path(path)
        if path.suffix != MODEL_SUFFIX:
            raise UnpairedError(f"{path}: models are written as {MODEL_SUFFIX}; name such a file")
        if os.path.lexists(path) and not overwrite:
            raise UnpairedError(
                f"{path}: there already; choose another name, or give overwrite=True"
            )
        self._engine.save(path)

    def __repr__(self) -> str:
        before, after = self.estimate.before_db, self.estimate.after_db
        words = f", estimated PSNR {in_words(before)}, then {in_words(after)}"
        known = words if math.isfinite(before) else ""
        return f"<Denoiser {self.method}{known}>"


def load(path: str | os.PathLike, *, device: str = "auto") -> Denoiser:
    """Return a denoiser that was saved, by `Denoiser.save` or by the command line.

    >>> import numpy as np, tempfile, unpaired as up
    >>> noisy = np.random.default_rng(0).normal(100, 10, (64, 64))
    >>> denoiser = up.Denoiser.fit(noisy, method="neighbor2neighbor", minutes=0.3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     denoiser.save(f"{folder}/mine.safetensors")
    ...     up.load(f"{folder}/mine.safetensors").method
    'neighbor2neighbor'
    """
    engine = load_denoiser(Path(path), Settings(device=device))
    if engine.stride is None:
        engine.stride = 1
    return Denoiser(engine)


def denoise(
    picture: Any,
    *,
    minutes: float = 3,
    method: str = "auto",
    axes: str | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Return a noisy picture, or a stack of them, without its noise, learning from it alone.

    >>> import numpy as np, unpaired as up
    >>> noisy = np.random.default_rng(0).normal(100, 10, (64, 64)).astype("uint8")
    >>> restored = up.denoise(noisy, method="cbm3d")
    >>> restored.shape, restored.dtype
    ((64, 64), dtype('uint8'))

    Arguments and errors as for `Denoiser.fit` and `Denoiser.restore`.
    """
    if _is_path(picture):
        picture, axes = _read(picture)
    found = Denoiser.fit(picture, minutes=minutes, method=method, axes=axes, device=device)
    return found.restore(picture, axes=axes)


class Comparison:
    """Methods in order, the best first.

    ranking: see `ranking.Ranked`. noisy_db: the estimated PSNR of the noisy pictures themselves.
    failures: why a method, by its name, is not in the ranking. is_unsure: the estimates contradict
    the noise in flat parts, so that the order says nothing.
    """

    def __init__(
        self, ranking: list[Ranked], noisy_db: float, failures: dict[str, str], is_unsure: bool
    ) -> None:
        self.ranking, self.noisy_db, self.failures = ranking, noisy_db, failures
        self.is_unsure = is_unsure

    @property
    def best(self) -> str:
        """The name of the best method."""
        return self.ranking[0].outcome.method

    def __repr__(self) -> str:
        failures = [f"{name}: {why}" for name, why in self.failures.items()]
        lines = [UNSURE] * self.is_unsure
        lines += [as_text(self.ranking, self.noisy_db), *failures, *hardly_trained(self.ranking)]
        return "\n".join(lines)


def compare(
    pictures: Any,
    *,
    minutes: float = 10,
    methods: Sequence[str] | None = None,
    axes: str | None = None,
    device: str = "auto",
) -> Comparison:
    """Rank methods on noisy pictures without clean ones, as ``unpaired compare`` does.

    Every method runs in a process of its own, so a script must call this below
    ``if __name__ == "__main__":``.

    >>> import numpy as np, unpaired as up
    >>> noisy = np.random.default_rng(0).normal(100, 10, (160, 160))
    >>> up.compare(noisy, methods=["cbm3d"], minutes=1).best  # doctest: +SKIP
    'cbm3d'

    Raises UnpairedError for pictures too small to hold out a part, unknown methods, and if all
    methods fail.
    """
    for name in methods or ():
        Settings(name, device).check()
    end = time.monotonic() + _seconds(minutes)
    pages = _pages_of(_stacks_of(pictures, axes))
    noise = measure_noise(pages)
    stride = stride_for(noise, Settings())
    outcomes, failures = [], {}
    with tempfile.TemporaryDirectory(prefix="unpaired-") as folder:
        packs = Path(folder) / "training.h5", Path(folder) / "judging.h5"
        split(pages, stride, *packs, judged_px_within(minutes))
        options = {"stride": stride, "device": device, "precision": "auto"}
        names = list(methods or in_order(methods_for_noisy()))
        for tried in judge_candidates(names, *packs, deadline=end, **options):
            outcomes += tried.outcomes
            if tried.failure:
                failures[tried.method] = tried.failure
        noisy_db = noisy_psnr_db(packs[1])
    if not outcomes:
        raise UnpairedError("; ".join(f"{name}: {why}" for name, why in failures.items()))
    is_unsure = contradicts(noise, noisy_db)
    return Comparison(rank(outcomes, is_unsure), noisy_db, failures, is_unsure)


def _in_type(restored: np.ndarray, dtype: np.dtype, pages: Sequence[Conditioned]) -> np.ndarray:
    """Return restored values in the type of the input, or as float32 where that is too coarse."""
    if dtype.kind == "f":
        return restored.astype(dtype)
    if any(uses_few_steps(page, 1.0) for page in pages):
        warnings.warn(
            f"the result is float32: too few steps of {dtype} are used to hold it", stacklevel=3
        )
        return restored.astype(np.float32)
    information = np.iinfo(dtype)
    rounded = np.floor(restored.astype(np.float64) + 0.5)
    return np.clip(rounded, information.min, information.max).astype(dtype)


def _seconds(minutes: float) -> float:
    check_positive("minutes", minutes)
    return 60 * minutes
