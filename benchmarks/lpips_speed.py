"""LPIPS of triplets, AlexNet with the same random weights: the package ``lpips`` against ours.

In turn in one process.

    python benchmarks/lpips_speed.py --threads 2

Triplets are crops of the embedded photographs, 64 x 64 px, each with two random amounts of noise or
blur. A triplet is two distances to one reference. The range of the pictures is looked at by ours
alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

import lpips
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from unpaired.core.randomness import numpy_generator
from unpaired.data.sources.embedded import train_records
from unpaired.metrics.perceptual import LPIPS, installed_linear_weights
from unpaired.networks.feature_networks import build, draw_gaussian

SIDE_PX = 64
TOLD_FROM = 0.01  # of the mean distance: smaller ones are left out where ratios are compared


def draw_triplets(count: int) -> list[Tensor]:
    """Return references and both alternatives, each count x 3 x 64 x 64 in [0, 1]."""
    photographs = [
        record.arrays["image"].astype(np.float32) / 255 for record in train_records(None)
    ]
    rng = numpy_generator("lpips speed")
    triplets = []
    for index in range(count):
        photograph = photographs[index % len(photographs)]
        top, left = (rng.integers(length - SIDE_PX) for length in photograph.shape[:2])
        crop = photograph[top : top + SIDE_PX, left : left + SIDE_PX]
        triplets.append([crop, distorted(crop, rng), distorted(crop, rng)])
    stacked = np.moveaxis(np.array(triplets, np.float32), -1, 2)
    return list(torch.from_numpy(stacked).unbind(1))


def distorted(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        return gaussian_filter(crop, (*[rng.uniform(0.3, 2)] * 2, 0))
    return (crop + rng.uniform(0.01, 0.2) * rng.standard_normal(crop.shape)).clip(0, 1)


def make_metrics() -> tuple[lpips.LPIPS, LPIPS]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It builds torchvision's networks in a deprecated way.
        theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    network = build("alex")
    draw_gaussian(network, torch.Generator().manual_seed(1))
    ours = LPIPS(network).eval()
    ours.load_linear(installed_linear_weights("alex"))
    for k in range(theirs.net.N_slices):
        for name, module in getattr(theirs.net, f"slice{k + 1}").named_children():
            module.load_state_dict(network.features[int(name)].state_dict())
    return theirs, ours


def plain(metric: lpips.LPIPS, triplets: list[Tensor]) -> list[Tensor]:
    reference, first, second = triplets
    return [metric(reference, other, normalize=True).flatten() for other in (first, second)]


def fast(metric: LPIPS, triplets: list[Tensor]) -> list[Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        return metric.distances(*triplets)


def timed(work, batches: list) -> tuple[float, list[Tensor]]:
    start = time.perf_counter()
    distances = [work(batch) for batch in batches]
    seconds = time.perf_counter() - start
    return seconds, [torch.cat(side) for side in zip(*distances, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--triplets", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    theirs, ours = make_metrics()
    triplets = draw_triplets(arguments.triplets)
    batches = list(zip(*(side.split(arguments.batch) for side in triplets), strict=True))
    last = [
        [side.contiguous(memory_format=torch.channels_last) for side in batch] for batch in batches
    ]
    copy = make_metrics()[1]
    copy.load_state_dict(ours.state_dict())
    copy = copy.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        sides = {
            "lpips fp32": (lambda batch: plain(theirs, batch), batches),
            "ours fp32": (lambda batch: ours.distances(*batch), batches),
            "ours bf16": (lambda batch: fast(copy, batch), last),
        }
        for work, given in sides.values():
            timed(work, given[:2])
        runs = [
            {name: timed(work, given) for name, (work, given) in sides.items()}
            for _ in range(arguments.runs)
        ]
    report(runs, arguments.triplets)


def report(runs: list[dict], triplets: int) -> None:
    first, second = runs[0]["lpips fp32"][1]
    for name in runs[0]:
        seconds = statistics.median(run[name][0] for run in runs)
        ratios = sorted(run["lpips fp32"][0] / run[name][0] for run in runs)
        distances = runs[0][name][1]
        expected = torch.cat([first, second])
        # Of nearly identical pictures both have rounding errors alone.
        told = expected > TOLD_FROM * expected.mean()
        off = ((torch.cat(distances) - expected).abs() / expected)[told].max().item()
        agreed = ((distances[0] < distances[1]) == (first < second)).float().mean().item()
        print(
            f"{name}: {triplets / seconds:.0f} triplets/s, ratio {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f} .. {ratios[-1]:.2f}), distances within {off:.1e}, "
            f"same choice {100 * agreed:.2f} %"
        )


if __name__ == "__main__":
    main()
