r"""Four claims of Zhang 2018 (chapter 2) on scenes whose colors are known as a distribution.

    python benchmarks/color_claims.py [--seeds 1 2 3] [--images-seen 12000] [--width 8]

Trains classification with and without rebalancing and regression on the drawn scenes, for every
seed, and prints mean and spread (standard deviation over seeds) of:

* what is predicted for a fruit against the known distribution of fruit colors, as relative entropy
  (nats). Without rebalancing the target is the frequencies themselves; with rebalancing it is the
  frequencies times the class weights, which training converges to, and the distance to the plain
  frequencies is told as well. A network that has learned nothing but the colors of all pixels
  together is the yardstick.
* mean chroma of fruits, by regression and by classification, against the true one.
* area under the error curve, rebalanced and not, of all three.
* chroma and area for the mean (T = 1), the annealed mean (0.38) and the mode (0) of one network.

Fruit pixels are those whose surroundings of 9 x 9 pixels are all fruit; distributions are averaged
over them, in all test scenes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_erosion
from torch import Tensor

from unpaired.core.randomness import seed_for
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.samples import CropSamples
from unpaired.data.sources import color_scenes as color_scenes
from unpaired.data.sources.color_scenes import BINS, CLASSES, COLORS, true_distribution
from unpaired.imaging.color.ab_bins import class_weights, smoothed_prior, soft_encode
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.learning.create import create
from unpaired.learning.training import train
from unpaired.systems.colorization.methods.colorization import Colorization
from unpaired.systems.colorization.scoring import as_batch, prior_of, score

ROWS = {
    "class": {"uniform_share": 1.0},
    "full": {},
    "l2": {"loss": "regression"},
}
SURROUNDINGS_PX = 9
STRIDE_PX = 4
FRUIT = CLASSES.index("fruit")
CPU = torch.device("cpu")


def packed(split: str, folder: Path) -> Pack:
    records = getattr(color_scenes, f"{split}_records")(None)
    path = folder / f"{split}.h5"
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack(path, records, source=f"color_scenes_{split}", **about)
    return Pack(path)


def trained(row: str, pack: Pack, prior: Tensor, seed: int, options: dict) -> Colorization:
    torch.manual_seed(seed_for(seed, "weights"))
    method = create("colorization", **ROWS[row], **options)
    if method.needs_prior:
        method.set_prior(prior)
    patch_px = method.config.patch_px
    samples = CropSamples(pack, sees=method.sees, patch_px=patch_px, seed=seed, noise=None)
    train(method, samples, seed=seed, device="cpu")
    return method.eval()


def fruit_cells(pack: Pack, index: int) -> Tensor:
    """Return at which of the network's output cells there is fruit all around: H/4 x W/4, bool."""
    fruit = pack.read(index, "labels")[..., 0] == FRUIT
    inside = binary_erosion(fruit, np.ones((SURROUNDINGS_PX, SURROUNDINGS_PX)))
    return torch.from_numpy(inside[::STRIDE_PX, ::STRIDE_PX])


def lightness(pack: Pack, index: int) -> Tensor:
    return rgb_to_lab(as_batch(pack.read(index)))[:, :1]


def mean_distribution(method: Colorization, pack: Pack) -> Tensor:
    """Return what is predicted for fruits on average: 313, float64."""
    total = torch.zeros(BINS, dtype=torch.float64)
    for index in pack:
        predicted = method.distribution(lightness(pack, index))[0]
        total += predicted[:, fruit_cells(pack, index)].double().sum(1)
    return total / total.sum()


def mean_chroma(method: Colorization, pack: Pack, **options: float) -> float:
    chroma = [
        method.colorize(lightness(pack, index), **options)[0, :, ::STRIDE_PX, ::STRIDE_PX].norm(
            dim=0
        )[fruit_cells(pack, index)]
        for index in pack
    ]
    return float(torch.cat(chroma).mean())


def true_chroma(pack: Pack) -> float:
    ab = [rgb_to_lab(as_batch(pack.read(index)))[0, 1:, ::STRIDE_PX, ::STRIDE_PX] for index in pack]
    cells = [fruit_cells(pack, index) for index in pack]
    return float(
        torch.cat([c.norm(dim=0)[where] for c, where in zip(ab, cells, strict=True)]).mean()
    )


def rebalanced_target(prior: Tensor, config) -> Tensor:
    """Return the distribution that rebalanced training converges to for a fruit."""
    weights, total = class_weights(prior, config.uniform_share), torch.zeros(BINS).double()
    for ab, frequency in COLORS["fruit"]:
        color = torch.tensor(ab, dtype=torch.float64).view(1, 2, 1, 1)
        code = soft_encode(color, config.neighbors, config.sigma)
        weight = frequency * weights[code.nearest.item()]
        total.index_add_(0, code.bins.flatten(), weight * code.weights.flatten())
    return total / total.sum()


def divergence(true: Tensor, predicted: Tensor) -> float:
    """Return the relative entropy of a true distribution to a predicted one, in nats."""
    there = true > 0
    return float((true[there] * (true[there] / predicted[there]).log()).sum())


def measure(models: dict[str, Colorization], test: Pack, prior: Tensor) -> dict[str, float]:
    config = models["full"].config
    truth = true_distribution("fruit", config.neighbors, config.sigma)
    predicted = {row: mean_distribution(models[row], test) for row in ("class", "full")}
    found = {
        "KL, class to frequencies": divergence(truth, predicted["class"]),
        "KL, full to weighted frequencies": divergence(
            rebalanced_target(prior, config), predicted["full"]
        ),
        "KL, full to frequencies": divergence(truth, predicted["full"]),
        "KL, all pixels' colors to frequencies": divergence(truth, prior),
        "chroma, truth": true_chroma(test),
    }
    for row, method in models.items():
        found[f"chroma, {row}"] = mean_chroma(method, test)
    test_prior = prior_of(test)
    for row, method in models.items():
        found |= areas(row, method, test, test_prior)
    for name, temperature in (("mean", 1.0), ("annealed mean", 0.38), ("mode", 0.0)):
        found[f"chroma, full, {name}"] = mean_chroma(models["full"], test, temperature=temperature)
        found |= areas(
            f"full, {name}", AtTemperature(models["full"], temperature), test, test_prior
        )
    return found


class AtTemperature:
    """A colorizer that decodes at another temperature than that of its settings."""

    def __init__(self, method: Colorization, temperature: float) -> None:
        self.method, self.temperature = method, temperature
        self.picture_px = method.picture_px

    def colorize(self, lightness: Tensor, *key: object) -> Tensor:
        return self.method.colorize(lightness, *key, temperature=self.temperature)


def areas(name: str, product, test: Pack, prior: Tensor) -> dict[str, float]:
    pooled = score(product, test, None, repeats=1, crop_px=None, device=CPU, prior=prior).pooled
    return {
        f"AuC (%), {name}": pooled["auc"],
        f"rebalanced AuC (%), {name}": pooled["auc_rebalanced"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--images-seen", type=int, default=12000)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    options = {
        "images_seen": arguments.images_seen,
        "width": arguments.width,
        "batch_size": 20,
        "patch_px": 64,
        "picture_px": 64,
        "learning_rate": 0.002,
        "schedule": "warmup_cosine",
        "weight_decay": 1e-4,
    }
    start, found = time.process_time(), defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        packs = {split: packed(split, Path(folder)) for split in ("train", "test")}
        prior = smoothed_prior(
            rgb_to_lab(as_batch(packs["train"].read(index)))[:, 1:] for index in packs["train"]
        )
        for seed in arguments.seeds:
            models = {row: trained(row, packs["train"], prior, seed, options) for row in ROWS}
            for name, value in measure(models, packs["test"], prior).items():
                found[name].append(value)
    print(f"{options}, seeds {arguments.seeds}, {time.process_time() - start:.0f} s of processor")
    print("| what | mean | spread | seeds |\n|---|---|---|---|")
    for name, values in found.items():
        spread = np.std(values, ddof=1) if len(values) > 1 else float("nan")
        each = ", ".join(f"{value:.3f}" for value in values)
        print(f"| {name} | {np.mean(values):.3f} | {spread:.3f} | {each} |")


if __name__ == "__main__":
    main()
