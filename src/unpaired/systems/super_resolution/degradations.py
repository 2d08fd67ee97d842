"""What a degradation adds to small pictures: its size and correlation, made and real.

They show in a second what a training on the pairs would show in hours: noise that is too weak, too
strong, or of another kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from unpaired.core.errors import UnpairedError
from unpaired.core.files import save_figure
from unpaired.data.packs import Pack
from unpaired.imaging.reduction import reduced
from unpaired.networks.rrdb import SCALE
from unpaired.systems.super_resolution.samples import LARGE

REAL = "real"
SHOWN_PX = 80
DPI = 150
GAIN = 3  # What is added is drawn so many times as strong, around gray.


def small_pairs(pack: Pack) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (clean, noisy) small pictures of a pack, uint8 h x w x 3.

    Where the pack's clean pictures are large ones, they are made four times smaller.
    Raises UnpairedError for a pack without pairs.
    """
    if not pack.is_paired:
        raise UnpairedError(f"data set '{pack.source}': no pairs to compare")
    for index in pack:
        clean = pack.read(index, "clean")
        yield clean if LARGE in pack.fields else reduced(clean, SCALE), pack.read(index, "noisy")


def statistics(pack: Pack) -> dict[str, float]:
    """Return what pairs say of their degradation, in gray levels of 255.

    std: standard deviation of noisy - clean over all pictures and channels. mean: of the same.
    neighbor_correlation: of values one pixel apart, the mean of both directions, every picture's
    channels less their mean. channel_correlation: of red, green and blue of a pixel, the mean of
    the three pairs: 1 where what is added is gray.
    """
    total = squares = count = 0.0
    products, powers, covariance = 0.0, 0.0, np.zeros((3, 3))
    for clean, noisy in small_pairs(pack):
        added = noisy.astype(np.float64) - clean
        total, squares, count = total + added.sum(), squares + (added**2).sum(), count + added.size
        centered = added - added.mean(axis=(0, 1))
        across = (centered[:, :-1] * centered[:, 1:]).mean()
        down = (centered[:-1] * centered[1:]).mean()
        products += (across + down) / 2
        powers += (centered**2).mean()
        flat = centered.reshape(-1, 3)
        covariance += flat.T @ flat / len(flat)
    mean = total / count
    deviations = np.sqrt(np.diag(covariance))
    scale = np.outer(deviations, deviations)
    correlations = np.divide(covariance, scale, out=np.zeros((3, 3)), where=scale > 0)
    return {
        "std": float(np.sqrt(squares / count - mean**2)),
        "mean": float(mean),
        "neighbor_correlation": float(products / powers) if powers else 0.0,
        "channel_correlation": float(correlations[np.triu_indices(3, 1)].mean()),
    }


def compare(made: Mapping[str, Pack], real: Pack) -> list[dict[str, object]]:
    """Return `statistics` of the real degradation and of every row's, and how far they are from it.

    std_ratio: over the real one. correlation_difference: less the real one.
    """
    true = statistics(real)
    lines = []
    for row, own in {REAL: true, **{row: statistics(pack) for row, pack in made.items()}}.items():
        difference = own["neighbor_correlation"] - true["neighbor_correlation"]
        ratio = own["std"] / true["std"]
        lines.append({"row": row, **own, "std_ratio": ratio, "correlation_difference": difference})
    return lines


def draw(output: Path, made: Mapping[str, Pack], real: Pack) -> None:
    """Write a PNG: a small picture clean, and noisy by every row and for real; what is added below.

    Where the real pairs are of other pictures, the first of them stands alone.
    """
    first = {REAL: real, **made}
    columns = {row: next(small_pairs(pack)) for row, pack in first.items()}
    figure = Figure((1.6 * (1 + len(columns)), 3.4), layout="constrained")
    axes = figure.subplots(2, 1 + len(columns))
    shown = slice(0, SHOWN_PX)
    for axis in axes.ravel():
        axis.set(xticks=[], yticks=[], frame_on=False)
    clean = next(iter(made.values())) if made else real
    axes[0, 0].imshow(next(small_pairs(clean))[0][shown, shown], interpolation="nearest")
    axes[0, 0].set_title("clean", fontsize=7)
    for column, (row, (small, noisy)) in zip(axes.T[1:], columns.items(), strict=True):
        added = 128 + GAIN * (noisy.astype(np.float64) - small)
        column[0].imshow(noisy[shown, shown], interpolation="nearest")
        column[0].set_title(row, fontsize=7)
        picture = np.clip(added, 0, 255).astype(np.uint8)
        column[1].imshow(picture[shown, shown], interpolation="nearest")
        column[1].set_xlabel(f"added, x {GAIN}", fontsize=6)
    save_figure(figure, output, DPI)
