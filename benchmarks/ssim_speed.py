"""SSIM of a 512 x 768 color picture: this project's against scikit-image's, and their agreement.

python benchmarks/ssim_speed.py --runs 7
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from skimage.metrics import structural_similarity

from unpaired.metrics.ssim import ssim

SHAPE = (512, 768, 3)


def theirs(reference: np.ndarray, image: np.ndarray) -> float:
    """The same definition: Gaussian window of 11 pixels, population covariance, whole windows."""
    return structural_similarity(
        reference,
        image,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )


def timed(work, *pictures: np.ndarray) -> tuple[float, float]:
    start = time.perf_counter()
    value = work(*pictures)
    return time.perf_counter() - start, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, SHAPE, np.uint8)
    image = np.clip(reference + rng.normal(0, 25, SHAPE), 0, 255).astype(np.uint8)
    for work in (theirs, ssim):
        work(reference, image)
    pairs = [(timed(theirs, reference, image), timed(ssim, reference, image)) for _ in range(runs)]
    ratios = sorted(first[0] / second[0] for first, second in pairs)
    seconds = [statistics.median(pair[side][0] for pair in pairs) for side in (0, 1)]
    difference = abs(pairs[0][0][1] - pairs[0][1][1])
    print(
        f"scikit-image {1e3 * seconds[0]:.0f} ms, ours {1e3 * seconds[1]:.0f} ms: ratio "
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} .. {ratios[-1]:.2f}), "
        f"difference {difference:.1e}"
    )


if __name__ == "__main__":
    main()
