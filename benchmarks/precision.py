r"""bf16 against fp32 at equal images seen: demo settings, several seeds, same noise.

    python benchmarks/precision.py --train results/packs/embedded_train.h5 \
        --test results/packs/kodak.h5

Prints PSNR per seed and the mean difference with Student's 95 % interval over seeds.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import yaml
from scipy.stats import t as student_t

from unpaired.core.randomness import seed_for
from unpaired.data.noise import get_noise
from unpaired.data.packs import Pack
from unpaired.data.samples import CropSamples
from unpaired.learning.create import create
from unpaired.learning.training import train
from unpaired.metrics.psnr import psnr_db
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.specs import plan_model
from unpaired.pipeline.table import Row, load_table
from unpaired.systems.denoising.scoring import compare

CONFIG = Path(__file__).parents[1] / "config" / "config.yaml"
TABLE = CONFIG.parent / "tables" / "table1.yaml"


def mean_psnr_db(seed: int, precision: str, packs: tuple[Pack, Pack]) -> float:
    settings = parse_settings(yaml.safe_load(CONFIG.read_text()))
    row = Row(name="neighbor2neighbor", method="neighbor2neighbor")
    spec = plan_model(settings, load_table(TABLE), "gauss25", row, seed).spec
    torch.manual_seed(seed_for(seed, "weights"))
    method = create("neighbor2neighbor", **spec["overrides"])
    patch_px, noise = method.config.patch_px, get_noise("gauss25")
    samples = CropSamples(packs[0], sees=method.sees, patch_px=patch_px, seed=seed, noise=noise)
    train(method, samples, seed=seed, precision=precision)
    options = {"repeats": 1, "crop_px": None, "device": torch.device("cpu")}
    comparisons = compare(method.eval(), packs[1], noise, **options)
    return float(np.mean([psnr_db(c.clean, c.restored) for c in comparisons]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    packs = Pack(arguments.train), Pack(arguments.test)
    differences = []
    for seed in arguments.seeds:
        fp32, bf16 = (mean_psnr_db(seed, precision, packs) for precision in ("fp32", "bf16"))
        differences.append(bf16 - fp32)
        print(f"seed {seed}: fp32 {fp32:.2f} dB, bf16 {bf16:.2f} dB", flush=True)
    n = len(differences)
    half = student_t.ppf(0.975, n - 1) * np.std(differences, ddof=1) / math.sqrt(n)
    print(f"bf16 - fp32: {np.mean(differences):+.3f} +- {half:.3f} dB (95 %, {n} seeds)")


if __name__ == "__main__":
    main()
