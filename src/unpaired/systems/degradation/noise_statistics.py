"""What noise is like, without a denoiser: its histogram, variance by intensity, and correlation.

Real noise of held-out pairs against what models add to the clean pictures of the same pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from unpaired.core.errors import UnpairedError
from unpaired.core.files import save_figure, write_rows
from unpaired.core.randomness import numpy_generator
from unpaired.data.packs import Pack

REAL = "real pairs"
HISTOGRAM_STEP = 4  # Gray levels per bin of the noise's histogram.
HISTOGRAM_EDGES = np.arange(-256, 256 + HISTOGRAM_STEP, HISTOGRAM_STEP)
INTENSITY_BINS = 16  # Of the clean picture, 16 gray levels each.
PIXELS_MIN = 1000  # An intensity that fewer values have tells no variance.
LAG_MAX_PX = 4

# Clean picture, uint8 H x W x 3, and its number -> a noisy version, of the same shape and type.
Corrupt = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class NoiseStatistics:
    """Of the noise values noisy - clean, in gray levels of 255, of all pictures and channels.

    histogram: counts in the bins of HISTOGRAM_EDGES. variance: by the clean picture's intensity, in
    INTENSITY_BINS equal bins, NaN where there are too few values. correlation: between values so
    many columns or rows apart, lags 0..LAG_MAX_PX, the mean of both directions.
    """

    histogram: np.ndarray
    variance: np.ndarray
    correlation: np.ndarray


def measure(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> NoiseStatistics:
    """Return the statistics of (clean, noisy) pictures, uint8 H x W x 3."""
    histogram = np.zeros(len(HISTOGRAM_EDGES) - 1, np.int64)
    count, total, squares = (np.zeros(INTENSITY_BINS) for _ in range(3))
    products = np.zeros(LAG_MAX_PX + 1)
    for clean, noisy in pairs:
        noise = noisy.astype(np.float64) - clean
        histogram += np.histogram(noise, HISTOGRAM_EDGES)[0]
        bins = (clean.astype(np.intp) * INTENSITY_BINS // 256).ravel()
        for sums, weights in ((count, None), (total, noise), (squares, noise**2)):
            weights = None if weights is None else weights.ravel()
            sums += np.bincount(bins, weights, INTENSITY_BINS)
        products += _lagged_products(noise)
    if not histogram.sum():
        raise UnpairedError("no pictures to measure the noise of")
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = squares / count - (total / count) ** 2
    variance[count < PIXELS_MIN] = np.nan
    return NoiseStatistics(histogram, variance, products / products[0])


def _lagged_products(noise: np.ndarray) -> np.ndarray:
    """Return for each lag the mean product of values that far apart, the picture's mean removed."""
    centered = noise - noise.mean(axis=(0, 1))
    products = []
    for lag in range(LAG_MAX_PX + 1):
        height, width = noise.shape[:2]
        across = (centered[:, : width - lag] * centered[:, lag:]).mean()
        down = (centered[: height - lag] * centered[lag:]).mean()
        products.append((across + down) / 2)
    return np.array(products)


def kl_divergence(real: np.ndarray, model: np.ndarray) -> float:
    """Return KL(real || model) of two histograms of counts, in nats.

    One is added to every bin of both (Laplace), so that a bin the model never fills costs much but
    not everything.
    """
    p, q = ((counts + 1) / (counts + 1).sum() for counts in (real, model))
    return float((p * np.log(p / q)).sum())


def variance_error(real: NoiseStatistics, model: NoiseStatistics) -> float:
    """Return the root mean square of ln(model variance / real variance) over intensities."""
    both = np.isfinite(real.variance) & np.isfinite(model.variance)
    floor = 1 / 12  # Rounding to whole gray levels has this variance.
    ratio = np.maximum(model.variance[both], floor) / np.maximum(real.variance[both], floor)
    return float(np.sqrt(np.mean(np.log(ratio) ** 2)))


def correlation_error(real: NoiseStatistics, model: NoiseStatistics) -> float:
    """Return the root mean square difference of the correlations at lags from 1 on."""
    return float(np.sqrt(np.mean((model.correlation[1:] - real.correlation[1:]) ** 2)))


@dataclass(frozen=True)
class HeteroscedasticGaussian:
    """Independent Gaussian noise whose variance is ``slope * intensity + offset``, in [0, 1].

    The model of sensor noise that needs pairs to be fitted to: what LUD-VAE does without.
    """

    slope: float
    offset: float

    @classmethod
    def fit(cls, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> HeteroscedasticGaussian:
        """Fit a line to the variances by intensity, by least squares with no negative variance."""
        variance = measure(pairs).variance / 255**2
        middles = (np.arange(INTENSITY_BINS) + 0.5) / INTENSITY_BINS
        known = np.isfinite(variance)
        slope, offset = np.polyfit(middles[known], variance[known], 1)
        return cls(float(slope), float(offset))

    def __call__(self, clean: np.ndarray, number: int) -> np.ndarray:
        """Return a noisy version of a clean picture, clipped and rounded; see ``Corrupt``."""
        rng = numpy_generator("noise statistics", "heteroscedastic", number)
        unit = clean / 255
        std = np.sqrt(np.maximum(self.slope * unit + self.offset, 0))
        return _rounded(255 * (unit + std * rng.standard_normal(clean.shape)))


def white_noise(std_min: float, std_max: float) -> Corrupt:
    """Return what adds white Gaussian noise, its deviation drawn for every picture (in [0, 1])."""

    def corrupt(clean: np.ndarray, number: int) -> np.ndarray:
        rng = numpy_generator("noise statistics", "awgn", number)
        std = rng.uniform(std_min, std_max)
        return _rounded(clean + 255 * std * rng.standard_normal(clean.shape))

    return corrupt


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def real_pairs(pack: Pack) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the (clean, noisy) pictures of a pack."""
    for index in pack:
        yield pack.read(index, "clean"), pack.read(index, "noisy")


def model_pairs(pack: Pack, corrupt: Corrupt) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the clean pictures of a pack with what a model adds to them."""
    for index in pack:
        clean = pack.read(index, "clean")
        yield clean, corrupt(clean, index)


def compare(test: Pack, train: Pack, models: dict[str, Corrupt]) -> dict[str, NoiseStatistics]:
    """Measure real noise, the given models', and that of a Gaussian fitted to training pairs."""
    fitted = HeteroscedasticGaussian.fit(real_pairs(train))
    all_models = models | {"heteroscedastic Gaussian (fitted to pairs)": fitted}
    measured = {name: measure(model_pairs(test, corrupt)) for name, corrupt in all_models.items()}
    return {REAL: measure(real_pairs(test))} | measured


def write_table(path: Path, statistics: dict[str, NoiseStatistics]) -> None:
    """Write one tidy row per number: source, statistic, at, value."""
    real = statistics[REAL]
    rows = []
    for source, own in statistics.items():
        summary = {
            "kl_divergence_nats": kl_divergence(real.histogram, own.histogram),
            "variance_rms_log_error": variance_error(real, own),
            "correlation_rms_error": correlation_error(real, own),
        }
        rows += [(source, name, "", value) for name, value in summary.items()]
        middles = (np.arange(INTENSITY_BINS) + 0.5) * 256 / INTENSITY_BINS
        rows += [
            (source, "variance_at_intensity", at, value)
            for at, value in zip(middles, own.variance, strict=True)
            if np.isfinite(value)
        ]
        rows += [(source, "correlation_at_lag_px", at, v) for at, v in enumerate(own.correlation)]
    columns = ("source", "statistic", "at", "value")
    write_rows(path, [dict(zip(columns, row, strict=True)) for row in rows])


def draw(path: Path, statistics: dict[str, NoiseStatistics]) -> None:
    """Draw histograms, variances and correlations side by side, real noise in black."""
    figure = Figure((12, 3.8), layout="constrained")
    histogram, variance, correlation = figure.subplots(1, 3)
    centers = (HISTOGRAM_EDGES[:-1] + HISTOGRAM_EDGES[1:]) / 2
    intensities = (np.arange(INTENSITY_BINS) + 0.5) * 256 / INTENSITY_BINS
    for number, (name, own) in enumerate(statistics.items()):
        look = {"color": "black", "lw": 2} if name == REAL else {"color": f"C{number}", "lw": 1.2}
        histogram.plot(centers, own.histogram / own.histogram.sum(), label=name, **look)
        variance.plot(intensities, own.variance, **look)
        correlation.plot(range(LAG_MAX_PX + 1), own.correlation, marker="o", ms=3, **look)
    histogram.set(xlabel="noise (gray levels)", ylabel="share", yscale="log", xlim=(-128, 128))
    variance.set(xlabel="clean intensity (gray levels)", ylabel="variance", yscale="log")
    correlation.set(xlabel="distance (pixels)", ylabel="correlation")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    save_figure(figure, path, dpi=130)
