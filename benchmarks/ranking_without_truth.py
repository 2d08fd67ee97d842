r"""Do figures measured on noisy pictures alone rank denoisers as the true PSNR does?

    python benchmarks/ranking_without_truth.py --kodak DATA/kodak \
        --models 'results/models/*/model.safetensors' --methods cbm3d --output results/ranking

For each of the four noises every model trained for it (the model.json beside it says which) and
every per-image method restores the same noisy pictures: the sub-images that uMSE needs, and whole.
Prints a Markdown table of Spearman's rank correlations over denoisers, and of the mean errors, of
uPSNR and of the coupled bootstrap; writes all figures to ranking.csv and draws ranking.png.
"""

from __future__ import annotations

import argparse
import glob
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from unpaired.core.devices import choose_device
from unpaired.core.files import write_rows
from unpaired.core.randomness import numpy_generator
from unpaired.data.noise import NOISES
from unpaired.imaging.finding import find_pictures
from unpaired.imaging.pictures import read_rgb8
from unpaired.imaging.pixels import center_crop
from unpaired.learning.create import create
from unpaired.learning.restoring import observe, restore_array
from unpaired.learning.weights import load_model
from unpaired.metrics.coupled_bootstrap import coupled_error_map, noise_like
from unpaired.metrics.unsupervised_error import deal_cells, error_map, upsnr_db

FIGURES = ("upsnr_db", "coupled_psnr_db", "sub_image_psnr_db", "whole_psnr_db")
# What is estimated, and the truth that it is held against.
PAIRS = (
    ("upsnr_db", "sub_image_psnr_db"),
    ("upsnr_db", "whole_psnr_db"),
    ("coupled_psnr_db", "whole_psnr_db"),
)


def candidates(arguments: argparse.Namespace, noise: str, device: torch.device):
    """Yield name and restorer of every denoiser for a noise, each read-out by itself."""
    for method in arguments.methods:
        yield method, create(method)
    for path in sorted(map(Path, glob.glob(arguments.models))):
        spec = json.loads(path.with_name("model.json").read_text())["spec"]
        if spec["noise"] != noise:
            continue
        restorer = load_model(path, device)[1]
        for read_out in restorer.read_outs or (None,):
            if read_out:
                restorer.choose_read_out(read_out)
            parts = (spec["method"], read_out, spec["noise_draw"], f"seed{spec['seed']}")
            yield " ".join([*filter(None, parts), path.parent.name[-10:]]), restorer


def errors(
    clean: np.ndarray, noisy: np.ndarray, restore: Callable[[np.ndarray], np.ndarray], key: str
) -> list[float]:
    """Return the errors of one picture in the order of FIGURES."""
    restored = []

    def restore_and_keep(sub_image: np.ndarray) -> np.ndarray:
        restored.append(restore(sub_image))
        return restored[-1]

    umse = error_map(noisy, restore_and_keep, key).mean()
    coupled = coupled_error_map(noisy, restore, noise_like(noisy, key)).mean()
    truth = [deal_cells(clean, numpy_generator("deal", key, i))[0] for i in range(len(restored))]
    on_sub_images = np.mean((np.stack(truth) - restored) ** 2)
    return [umse, coupled, on_sub_images, np.mean((restore(noisy) - clean) ** 2)]


def draw(rows: list[dict], path: Path) -> None:
    """Draw each estimate against its truth, one panel per pair."""
    figure = Figure((4.2 * len(PAIRS), 4.2), layout="constrained")
    for axis, (estimate, truth) in zip(figure.subplots(1, len(PAIRS)), PAIRS, strict=True):
        for noise in NOISES:
            chosen = [row for row in rows if row["noise"] == noise]
            axis.scatter(*([row[key] for row in chosen] for key in (truth, estimate)), 14)
        ends = axis.get_xlim()
        axis.plot(ends, ends, color="gray", linewidth=0.8)
        axis.set(xlabel=truth, ylabel=estimate)
    axis.legend(NOISES)
    figure.savefig(path, dpi=150)


def summary(rows: list[dict]) -> str:
    """Return the Markdown table: per noise and pair, rank correlation and mean difference."""
    titles = [f"{estimate} by {truth}" for estimate, truth in PAIRS]
    lines = [f"| noise | denoisers | {' | '.join(titles)} |", "|---" * (2 + len(PAIRS)) + "|"]
    for noise in NOISES:
        chosen = [row for row in rows if row["noise"] == noise]
        cells = []
        for pair in PAIRS:
            estimated, true = ([row[key] for row in chosen] for key in pair)
            correlation = spearmanr(estimated, true).statistic if len(chosen) > 2 else np.nan
            gap = np.mean(np.subtract(estimated, true)) if chosen else np.nan
            cells.append(f"{correlation:.2f} ({gap:+.2f} dB)")
        lines.append(f"| {noise} | {len(chosen)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kodak", type=Path, required=True)
    parser.add_argument("--models", default="results/models/*/model.safetensors")
    parser.add_argument("--methods", nargs="*", default=["cbm3d"], help="per-image methods")
    parser.add_argument("--output", type=Path, default=Path("results/ranking"))
    parser.add_argument("--images", type=int, help="the first so many pictures; all if not given")
    parser.add_argument("--crop-px", type=int, help="center crops; whole pictures if not given")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    pictures = find_pictures([arguments.kodak])[: arguments.images]
    rows = []
    for noise in NOISES.values():
        for name, restorer in candidates(arguments, noise.name, device):
            found = []
            for path in pictures:
                clean = center_crop(read_rgb8(path, alpha="refuse"), arguments.crop_px) / 255
                noisy, level = observe(clean.astype(np.float32), noise, "ranking", path.name)
                restore = lambda image, r=restorer, v=level: restore_array(r, image, v, device)  # noqa: E731
                found.append(errors(clean, noisy, restore, path.name))
            figures = zip(FIGURES, map(upsnr_db, np.mean(found, axis=0)), strict=True)
            rows.append({"noise": noise.name, "denoiser": name, **dict(figures)})
            print(rows[-1], flush=True)
    write_rows(arguments.output / "ranking.csv", rows)
    draw(rows, arguments.output / "ranking.png")
    print(summary(rows))


if __name__ == "__main__":
    main()
