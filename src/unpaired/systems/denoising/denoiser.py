"""A method ready to restore pages of any units, how it is asked for, and what is known of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unpaired.core.devices import choose_device, choose_precision
from unpaired.core.errors import UnpairedError, shown
from unpaired.learning.create import create
from unpaired.learning.method import Restorer
from unpaired.learning.weights import load_model, read_notes, save_model
from unpaired.metrics.noise_correlation import NoiseCorrelation
from unpaired.systems.denoising.conditioning import Conditioned
from unpaired.systems.denoising.offers import is_per_image
from unpaired.systems.denoising.own_bm3d import create_own
from unpaired.systems.denoising.pixel_shuffle import STRIDE_MAX
from unpaired.systems.denoising.short_training import (
    methods_for_noisy,
    needs_beside_noisy,
    restore_page,
)

AUTO = "auto"
STRIDES = ("auto", *map(str, range(1, STRIDE_MAX + 1)))
MEAN_SHIFT_MAX = 0.2
# A factor of two between two measures of the noise, as with texture or correlated noise.
CONTRADICTION_DB = 6.0
CONTRADICTED = (
    "the noise in flat parts contradicts that of the whole, as where fine texture is everywhere or "
    "neighboring pixels share noise"
)
UNSURE = f"{CONTRADICTED}: the order of methods says nothing, so look at the pictures"


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
    noisy and of the restored pictures; NaN if unknown, or if that contradicts the noise. reason:
    why this method was taken. colors_differ: the noise is not the same in all directions of color.
    """

    noise: NoiseCorrelation | None
    before_db: float = math.nan
    after_db: float = math.nan
    reason: str = ""
    colors_differ: bool = False


def contradicts(noise: NoiseCorrelation | None, before_db: float) -> bool:
    """Say whether an estimated PSNR of noisy pictures is far from what their flat parts tell."""
    if noise is None or math.isnan(before_db) or not noise.noise_std > 0:
        return False
    return abs(before_db + 20 * math.log10(noise.noise_std)) > CONTRADICTION_DB


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
        if is_per_image(self.method) and not page.shares_scale:
            # Such methods take the noise of all channels to be alike.
            channels = np.split(page.values, self.channels, axis=-1)
            restored = [restore_page(channel, self.restorer, **options) for channel in channels]
            return np.concatenate(restored, axis=-1)
        return restore_page(page.values, self.restorer, **options)

    def save(self, path: Path) -> None:
        """Write the model; raises UnpairedError for a method that learns nothing in advance."""
        if is_per_image(self.method):
            raise UnpairedError(f"'{self.method}' learns nothing in advance: there is no model")
        notes = {"stride": self.stride, "conditioned": True}
        save_model(path, self.method, self.restorer, notes)


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
        own = create_own(learned["method"])
        restorer = choose_read_out(own, learned["method"], settings.read_out)
        device, precision = settings.device, settings.precision
        denoiser = Denoiser(
            learned["method"], restorer, channels, None, device, precision, True, Estimate(None)
        )
    return replace(denoiser, stride=learned["stride"], estimate=Estimate(**kept))
