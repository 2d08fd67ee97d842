"""Pixel-shuffle down-sampling: an image as smaller ones whose noise is less correlated.

Zhou et al., "When AWGN-based Denoiser Meets Real Noises" (AAAI 2020); Lee et al., "AP-BSN" (CVPR
2022). Both train and restore on the phases of a stride: pixels that are that many pixels apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from unpaired.metrics.noise_correlation import CORRELATED_FROM, NoiseCorrelation

STRIDE_MAX = 3
# Weaker noise harms a picture less than the detail that its phases lose. Six Kodak photographs with
# noise blurred by a binomial kernel, against the noisy picture: -2.5 dB at 0.037, +-0 at 0.05, +3.8
# at 0.073 (benchmarks/correlated_noise.py, Neighbor2Neighbor trained for 1.5 minutes, one run).
NOISE_STD_MIN = 0.06


def split_phases(image: np.ndarray, stride: int) -> list[np.ndarray]:
    """Return the ``stride ** 2`` phases of an H x W x C image, row by row.

    Phase (i, j) holds the pixels (i + stride m, j + stride n). All have the same size: sides that
    are no multiple of the stride are extended by reflection at the bottom and on the right.
    """
    extra = [-side % stride for side in image.shape[:2]]
    padded = np.pad(image, ((0, extra[0]), (0, extra[1]), (0, 0)), mode="reflect")
    return [padded[i::stride, j::stride] for i in range(stride) for j in range(stride)]


def join_phases(phases: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Undo `split_phases`: return the ``height`` x ``width`` x C image of these phases."""
    stride = math.isqrt(len(phases))
    rows, columns, channels = phases[0].shape
    image = np.empty((rows * stride, columns * stride, channels), phases[0].dtype)
    for number, phase in enumerate(phases):
        image[number // stride :: stride, number % stride :: stride] = phase
    return image[:height, :width]


def choose_stride(report: NoiseCorrelation) -> int:
    """Return the smallest stride at which the noise measured is uncorrelated, 3 at most.

    The report knows pixels one and two apart; what correlates even two apart gets STRIDE_MAX. 1 if
    nothing could be measured, and for noise below NOISE_STD_MIN, of pictures in [0, 1].
    """
    if report.noise_std < NOISE_STD_MIN:
        return 1
    two_apart = max(abs(report.horizontal_2), abs(report.vertical_2))
    if not report.is_correlated:
        return 1
    return 2 if two_apart < CORRELATED_FROM else STRIDE_MAX
