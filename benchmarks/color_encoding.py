r"""Soft encoding of colors by the regular grid against a scikit-learn nearest-neighbor search.

    python benchmarks/color_encoding.py

Prints, side by side for K = 5 and 10: the time per pixel of

* ours: K bins and weights per pixel, which the loss takes as they are;
* search: scikit-learn's ball tree over the 313 bins, one call per picture, and the weights;
* search, dense: the same, written into 313 channels in double precision, as a loss on dense targets
  needs it and as the authors' training layer does;
* search by pixel: one call per pixel.

The searches run on fewer pictures or pixels (--slow-pictures, --slow-pixels), of the same colors;
times are per pixel, the best of --repeats. The largest difference between the dense results is
printed as well: it must be below 1e-5.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from unpaired.imaging.color.ab_bins import BINS, CENTERS, SIGMA, distribution_of, soft_encode
from unpaired.imaging.color.lab import rgb_to_lab


def search(tree: NearestNeighbors, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distances, bins = tree.kneighbors(points)
    weights = np.exp(-(distances**2) / (2 * SIGMA**2))
    return bins, weights / weights.sum(1, keepdims=True)


def search_dense(tree: NearestNeighbors, picture: np.ndarray) -> np.ndarray:
    """Return 313 x H x W of H x W x 2."""
    height, width, _ = picture.shape
    bins, weights = search(tree, picture.reshape(-1, 2))
    dense = np.zeros((height * width, BINS))
    dense[np.arange(len(dense))[:, None], bins] = weights
    return np.ascontiguousarray(dense.T).reshape(BINS, height, width)


def best_seconds(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def colors(pictures: int, side: int) -> Tensor:
    """Return ab of random sRGB colors: everywhere in the gamut, so no cache helps the look-up."""
    generator = torch.Generator().manual_seed(0)
    return rgb_to_lab(torch.rand(pictures, 3, side, side, generator=generator))[:, 1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--slow-pictures", type=int, default=2)
    parser.add_argument("--slow-pixels", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    ab = colors(arguments.pictures, arguments.side)
    given = ab.to(arguments.device)
    some = ab[: arguments.slow_pictures].permute(0, 2, 3, 1).double().numpy()
    few = some.reshape(-1, 2)[: arguments.slow_pixels]
    picture_px = arguments.side**2
    print(f"{arguments.pictures} pictures of {arguments.side} px, {arguments.threads} threads")
    print("| K | what | ns per pixel | of ours |\n|---|---|---|---|")
    for neighbors in (5, 10):
        tree = NearestNeighbors(n_neighbors=neighbors, algorithm="ball_tree").fit(CENTERS)

        def ours(k: int = neighbors) -> None:
            soft_encode(given, k)
            if given.is_cuda:
                torch.cuda.synchronize()

        ours()  # makes the table, once and for all
        works: dict[str, tuple[Callable[[], object], int]] = {
            "ours": (ours, len(ab) * picture_px),
            "search": (
                lambda tree=tree: [search(tree, p.reshape(-1, 2)) for p in some],
                len(some) * picture_px,
            ),
            "search, dense": (
                lambda tree=tree: [search_dense(tree, p) for p in some],
                len(some) * picture_px,
            ),
            "search by pixel": (lambda tree=tree: [search(tree, p[None]) for p in few], len(few)),
        }
        times = {
            name: best_seconds(work, arguments.repeats) / pixels
            for name, (work, pixels) in works.items()
        }
        for name, seconds in times.items():
            print(f"| {neighbors} | {name} | {1e9 * seconds:.0f} | {seconds / times['ours']:.1f} |")
        dense = distribution_of(soft_encode(given[:1], neighbors)).cpu().numpy()
        difference = np.abs(dense[0] - search_dense(tree, some[0])).max()
        print(f"K = {neighbors}: largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
