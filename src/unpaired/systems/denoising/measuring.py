"""What noisy pages tell of their noise, and of how well they are restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from unpaired.metrics.coupled_bootstrap import coupled_error_map
from unpaired.metrics.noise_correlation import NoiseCorrelation, noise_correlation
from unpaired.metrics.unsupervised_error import upsnr_text
from unpaired.systems.denoising.denoiser import AUTO, Settings
from unpaired.systems.denoising.held_out import Judged, judged_part
from unpaired.systems.denoising.own_pages import Pages, evenly, probed
from unpaired.systems.denoising.pixel_shuffle import choose_stride

JUDGED_PAGES = 12


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
    """Return the mean squared error of ``restore``, estimated by the coupled bootstrap.

    It is that of the median part: a single picture of another kind must not decide.
    """
    errors = [
        np.mean([coupled_error_map(phase, restore, noise).mean() for phase, noise in phases])
        for phases in (part.phases(stride) for part in judged)
    ]
    return float(np.median(errors))


def estimated_noise_power(judged: Sequence[Judged]) -> float:
    """Return the variance of the noise in the median part, as for `estimated_error`."""
    return float(np.median([part.noise.variance.mean() for part in judged]))


def in_words(psnr_db: float) -> str:
    """Return a PSNR with its unit; infinite is what an estimate of no error at all comes to."""
    return upsnr_text(psnr_db, decimals=1, unit=" dB")


def judged_parts(pages: Pages, pixels: int, stride: int) -> list[Judged]:
    """Cut about ``pixels`` in all out of what is held out, of evenly chosen pages."""
    chosen = evenly(len(pages.names), JUDGED_PAGES)
    share = pixels // len(chosen)
    parts = (
        judged_part(pages.read(index).values, share, stride, number)
        for number, index in enumerate(chosen)
    )
    return [part for part in parts if part is not None]
