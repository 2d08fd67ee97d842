"""Trained colorizers + test packs -> the figures of Table 10."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.data.packs import open_verified
from unpaired.imaging.color.ab_bins import load_prior
from unpaired.learning.weights import load_model
from unpaired.systems.colorization.figures import (
    PICTURES_COUNTED,
    PICTURES_PER_SET,
    draw_distributions,
    draw_histograms,
    draw_methods,
    draw_temperatures,
    pictures_of,
)


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    rows = zip(arguments.rows, arguments.models, strict=True)
    models = {row: load_model(path)[1] for row, path in rows}
    packs = [open_verified(path) for path in arguments.packs]
    shown = pictures_of(packs, PICTURES_PER_SET)
    folder, stem = arguments.methods.parent, arguments.methods.stem
    print(f"{folder}/{stem}: {', '.join(models)}; {len(shown)} pictures")
    draw_methods(arguments.methods, models, shown)
    draw_temperatures(arguments.temperatures, models[arguments.of], shown)
    counted = pictures_of(packs[:1], PICTURES_COUNTED)
    draw_histograms(arguments.histograms, load_prior(arguments.prior), models, counted)
    draw_distributions(arguments.distributions, models[arguments.of], shown)


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--rows", nargs="+", required=True, help="names of the models")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="weights, each row's")
    parser.add_argument("--of", required=True, help="row whose distributions are shown")
    parser.add_argument("--packs", type=Path, nargs="+", required=True, help="test sets")
    parser.add_argument("--prior", type=Path, required=True, help="of the training set (.npy)")
    for name in ("methods", "temperatures", "histograms", "distributions"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="PNG to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
