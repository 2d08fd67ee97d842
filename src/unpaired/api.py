"""What a notebook uses, by ``import unpaired as up``: arrays in, arrays out, nothing on the screen.

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unpaired import denoising
from unpaired.candidates import in_order, judge_candidates
from unpaired.conditioning import Conditioned, condition, nominal, uses_few_steps
from unpaired.errors import UnpairedError
from unpaired.held_out import judged_px_within, split
from unpaired.images import Picture, find_pictures, read_picture
from unpaired.judging import noisy_psnr_db
from unpaired.own_pages import ArrayPages
from unpaired.ranking import Ranked, as_text, hardly_trained, rank
from unpaired.short_training import methods_for_noisy
from unpaired.training import Interrupted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Source = "ArrayLike | str | os.PathLike"
COLOR_CHANNELS = (1, 3)  # restored together; of any other number each one by itself
SECONDS_TO_FINISH = 2.0
LARGEST = 2.0**53  # Larger integers are not exact in float64.


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

    def joined(self, pages: Sequence[np.ndarray]) -> np.ndarray:
        """Return pages, as many and as large as `pages`, as an array with the axes of the input."""
        if self.are_split:
            channels = self._sorted_shape[-1]
            pages = [
                np.concatenate(pages[k : k + channels], axis=-1)
                for k in range(0, len(pages), channels)
            ]
        whole = np.stack(pages)
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


def _as_array(source: Any) -> np.ndarray:
    """Return numbers that can be denoised; UnpairedError for anything else."""
    if isinstance(source, np.ma.MaskedArray):
        raise UnpairedError("a masked array: fill the masked values first, as with .filled()")
    try:
        array = np.asarray(source)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UnpairedError(f"not an array of numbers: {str(error).splitlines()[0]}") from None
    if array.dtype.kind not in "uif" or array.dtype.itemsize > 8:
        raise UnpairedError(
            f"an array of {array.dtype} cannot be denoised; give integers or floating-point numbers"
        )
    if array.size == 0:
        raise UnpairedError(f"an array of shape {array.shape} is empty")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UnpairedError("the array holds NaN or infinite values; set them to a number")
    if np.abs(array.astype(np.float64)).max() > LARGEST:
        raise UnpairedError(f"the array holds values beyond {LARGEST:.3g}; scale them down")
    return array


def _is_path(source: Any) -> bool:
    return isinstance(source, str | os.PathLike)


def _read(path: str | os.PathLike) -> tuple[np.ndarray, str]:
    """Return a picture in a file as an array in its own units and type, and its axes."""
    picture = read_picture(path)
    pixels, axes = picture.pixels, "NYXC"
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
    return _Stack(_as_array(source), axes)


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
    pages = [page for stack in stacks for page in stack.pages]
    if len({page.shape[-1] for page in pages}) > 1:
        raise UnpairedError("gray and color pictures together: give one kind at a time")
    return ArrayPages(pages)


@contextmanager
def _torch_left_alone() -> Iterator[None]:
    """Learn and restore whatever the caller has set of PyTorch, and put all of it back."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
            torch.random.fork_rng(devices=[]),
        ):
            yield
    except Interrupted:
        raise KeyboardInterrupt from None
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


class Denoiser:
    """A denoiser that has learned from noisy pictures; made by `Denoiser.fit` or `load`.

    >>> import numpy as np, unpaired as up
    >>> noisy = np.random.default_rng(0).normal(100, 10, (64, 64))
    >>> denoiser = up.Denoiser.fit(noisy, method="cbm3d")
    >>> denoiser.method, bool(denoiser.restore(noisy).std() < 5)
    ('cbm3d', True)
    """

    def __init__(self, engine: denoising.Denoiser) -> None:
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
        work = denoising.Work(end=time.monotonic() + _seconds(minutes) - SECONDS_TO_FINISH)
        with _torch_left_alone():
            return cls(denoising.learn(pages, denoising.Settings(method, device), work))

    @property
    def method(self) -> str:
        """The name of the method that was chosen."""
        return self._engine.method

    @property
    def estimate(self) -> denoising.Estimate:
        """What was found out without clean pictures: noise, before_db, after_db, reason."""
        return self._engine.estimate

    def restore(self, picture: Any, *, axes: str | None = None) -> np.ndarray:
        """Return the picture without its noise: the same shape and type of numbers.

        Where integers are too coarse for the result it is float32, and a warning says so.

        Raises UnpairedError for an array or a file that cannot be read, other numbers of channels
        than were learned from, and where the method failed.
        """
        stack = _stack_of(picture, axes)
        channels = stack.pages[0].shape[-1]
        if channels != self._engine.channels:
            raise UnpairedError(
                f"this denoiser has learned from {self._engine.channels} channel(s), the picture "
                f"has {channels}"
            )
        with _torch_left_alone():
            pages = [self._prepared(page, stack.array.dtype) for page in stack.pages]
            restored = [self._engine.restore(page) for page in pages]
        return _in_type(stack.joined(restored), stack.array.dtype, pages)

    def _prepared(self, page: np.ndarray, dtype: np.dtype) -> Conditioned:
        if self._engine.is_conditioned:
            return condition(page)
        extent = np.iinfo(dtype).max if dtype.kind in "ui" else 1.0
        return nominal(page, 0.0, float(extent))

    def save(self, path: str | os.PathLike) -> None:
        """Write the model as safetensors; UnpairedError for a method that learns nothing."""
        self._engine.save(Path(path))

    def __repr__(self) -> str:
        before, after = self.estimate.before_db, self.estimate.after_db
        words = f", estimated PSNR {denoising.in_words(before)}, then {denoising.in_words(after)}"
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
    engine = denoising.load_denoiser(Path(path), denoising.Settings(device=device))
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
    failures: why a method, by its name, is not in the ranking.
    """

    def __init__(self, ranking: list[Ranked], noisy_db: float, failures: dict[str, str]) -> None:
        self.ranking, self.noisy_db, self.failures = ranking, noisy_db, failures

    @property
    def best(self) -> str:
        """The name of the best method."""
        return self.ranking[0].outcome.method

    def __repr__(self) -> str:
        failures = [f"{name}: {why}" for name, why in self.failures.items()]
        lines = [as_text(self.ranking, self.noisy_db), *failures, *hardly_trained(self.ranking)]
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
        denoising.Settings(name, device).check()
    end = time.monotonic() + _seconds(minutes)
    pages = _pages_of(_stacks_of(pictures, axes))
    stride = denoising.stride_for(denoising.measure_noise(pages), denoising.Settings())
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
    return Comparison(rank(outcomes), noisy_db, failures)


def colorize(gray: ArrayLike, *, model: str | os.PathLike, device: str = "auto") -> np.ndarray:
    """Return a gray picture, H x W, in colors, H x W x 3, of the same type of numbers.

    gray: unsigned integers of 8 or 16 bits, or floating-point numbers in [0, 1]. model: a trained
        colorizer, or a table's row such as "table10:full". A warning says if it has seen no
        photographs.

    >>> import numpy as np, unpaired as up
    >>> up.colorize(np.zeros((64, 64), "uint8"), model="absent.safetensors")
    Traceback (most recent call last):
    unpaired.errors.UnpairedError: absent.safetensors: no such model file
    """
    from unpaired.commands.colorize import Options, colorize_picture, doubt_about
    from unpaired.devices import choose_device
    from unpaired.weights import load_model, read_about

    array = _as_array(gray)
    if array.ndim != 2 or (array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f"):
        raise UnpairedError(
            "colorize needs a gray picture H x W of uint8, uint16 or floating-point numbers, not "
            f"{array.dtype} of shape {array.shape}"
        )
    largest = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
    pixels = array.astype(np.float32) / np.float32(largest)
    if pixels.min() < 0 or pixels.max() > 1:
        raise UnpairedError("colorize needs floating-point numbers in [0, 1]; scale them")
    if doubt := doubt_about(Path(model), read_about(Path(model))):
        warnings.warn(doubt, stacklevel=2)
    method = load_model(Path(model), choose_device(device))[1]
    picture = Picture(Path("array.png"), pixels[None, ..., None], None, array.dtype, "PNG", b"")
    with _torch_left_alone():
        colors = colorize_picture(picture, method, Options(device=device)).pixels[0]
    if array.dtype.kind == "f":
        return colors.astype(array.dtype)
    return np.floor(np.clip(colors, 0, 1) * largest + 0.5).astype(array.dtype)


def psnr(reference: ArrayLike, image: ArrayLike, *, data_range: float | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB of two arrays of one shape.

    data_range: the largest possible difference; that of the type for integers, 1 for floats in
        [0, 1], and needed for others.

    >>> import numpy as np, unpaired as up
    >>> float(round(up.psnr(np.zeros((8, 8), "uint8"), np.full((8, 8), 25, "uint8")), 2))
    20.17
    """
    first, second, peak = _pair(reference, image, data_range)
    error = np.mean(np.square(first - second))
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def ssim(reference: ArrayLike, image: ArrayLike, *, data_range: float | None = None) -> float:
    """Return the structural similarity of two pictures, H x W or H x W x C; 1 for equal ones.

    data_range: as for `psnr`. Raises UnpairedError below 11 pixels a side.

    >>> import numpy as np, unpaired as up
    >>> picture = np.random.default_rng(0).random((16, 16))
    >>> up.ssim(picture, picture)
    1.0
    """
    from unpaired.metrics.ssim import ssim as of_channels

    first, second, peak = _pair(reference, image, data_range)
    if first.ndim == 2:
        first, second = first[..., None], second[..., None]
    if first.ndim != 3 or first.shape[-1] > 4:
        raise UnpairedError(f"ssim is of pictures H x W or H x W x C, not of shape {first.shape}")
    return of_channels(first, second, peak=peak)


def lpips(first: ArrayLike, second: ArrayLike, *, net: str = "alex") -> float:
    """Return how different two pictures look, by LPIPS: 0 for equal ones.

    first, second: H x W or H x W x 3, uint8, or floating-point numbers in [0, 1]. net: "alex",
        "vgg" or "squeeze", whose weights must be imported, or a trained metric.

    >>> import numpy as np, unpaired as up
    >>> up.lpips(np.zeros((64, 64, 3)), np.zeros((64, 64, 3)), net="alexa")
    Traceback (most recent call last):
    unpaired.errors.UnpairedError: unknown perceptual network 'alexa'; ...
    """
    from unpaired.metrics.perceptual import load_metric, to_tensor

    metric = load_metric(net)
    pictures = [to_tensor(_as_array(picture)) for picture in (first, second)]
    channels = max(picture.shape[1] for picture in pictures)
    with torch.inference_mode():
        return metric(*(picture.expand(-1, channels, -1, -1) for picture in pictures)).item()


def _pair(
    reference: Any, image: Any, data_range: float | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return two arrays of one shape, float64, and the range of their values."""
    first, second = _as_array(reference), _as_array(image)
    if first.shape != second.shape:
        raise UnpairedError(f"shapes differ: {first.shape} and {second.shape}")
    if data_range is not None and not 0 < data_range < math.inf:
        raise UnpairedError(f"data_range must be a positive number, not {data_range}")
    if data_range is None:
        if _is_of_pictures(first.dtype) and first.dtype == second.dtype:
            information = np.iinfo(first.dtype)
            data_range = float(information.max) - float(information.min)
        elif all(a.dtype.kind == "f" and a.min() >= 0 and a.max() <= 1 for a in (first, second)):
            data_range = 1.0
        else:
            raise UnpairedError(
                "which range do the values have? give data_range=: the largest possible difference"
            )
    return first.astype(np.float64), second.astype(np.float64), data_range


def _is_of_pictures(dtype: np.dtype) -> bool:
    """Say whether the range of a type is that of pictures, unlike that of int64."""
    return dtype.kind in "ui" and dtype.itemsize <= 2


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
    if not 0 < minutes < math.inf:
        raise UnpairedError(f"minutes must be a positive number, not {minutes}")
    return 60 * minutes
