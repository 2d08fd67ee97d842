"""Trained reconstructions, the diffusion model and packs -> the figures of Table 8."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.core.files import write_rows
from unpaired.data.packs import open_verified
from unpaired.learning.conditions import noise_or_condition
from unpaired.learning.weights import load_model
from unpaired.systems.few_shot.figures import (
    draw_drift,
    draw_examples,
    draw_prior,
    draw_sheet,
    label_psnr_db,
    prior_psnr_db,
    truths_of,
)
from unpaired.systems.few_shot.samples import Measurements, chosen_pairs


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    condition = noise_or_condition(arguments.condition)
    test, pairs = (
        Measurements(open_verified(path), condition) for path in (arguments.test, arguments.pairs)
    )
    products = {}
    files = zip(arguments.rows, arguments.models, arguments.read_outs, strict=True)
    for row, path, read_out in files:
        products[row] = load_model(path)[1]
        if read_out != "default":
            products[row].choose_read_out(read_out)
    prior = load_model(arguments.prior)[1]
    draw_examples(arguments.examples, products, test)
    draw_sheet(arguments.portraits, test)
    draw_drift(arguments.drift, {row: products[row] for row in arguments.drifting})
    # Those of the pairs are none that the diffusion model has learned from, and none of the test's.
    held_out = truths_of(pairs)
    rows = prior_psnr_db(prior, held_out)
    write_rows(arguments.numbers, rows)
    draw_prior(arguments.samples, prior, held_out, rows)
    start, sud2 = products[arguments.start], products[arguments.drifting[-1]]
    _, left = chosen_pairs(len(pairs), start.config.pairs, arguments.seed)
    validation, steps = [pairs[index] for index in left], sud2.config.reverse_steps
    write_rows(arguments.labels, label_psnr_db(start, prior, validation, steps))
    print("; ".join(f"t = {row['time']}: {row['psnr_db']:.2f} dB" for row in rows))


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--rows", nargs="+", required=True, help="names of the models")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="weights, each row's")
    parser.add_argument("--read-outs", nargs="+", required=True, help="each row's, or default")
    parser.add_argument("--condition", required=True, help="what the test portraits lack")
    parser.add_argument("--drifting", nargs="+", required=True, help="rows whose way is drawn")
    for name, about in (("prior", "diffusion model"), ("test", "pack"), ("pairs", "pack")):
        parser.add_argument(f"--{name}", type=Path, required=True, help=about)
    for name in ("examples", "portraits", "drift", "samples"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="PNG to write")
    parser.add_argument("--start", required=True, help="row whose outputs get labels")
    parser.add_argument("--seed", type=int, required=True, help="that drew the pairs")
    for name in ("numbers", "labels"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="CSV to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
