"""Pack -> color prior: how often each of the 313 colors is in its pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.data.packs import open_verified
from unpaired.imaging.color.ab_bins import save_prior
from unpaired.systems.colorization.scoring import prior_of


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    prior = prior_of(open_verified(arguments.pack))
    save_prior(arguments.output, prior)
    print(f"{arguments.output}: {int((prior > 0).sum())} of {len(prior)} colors are there")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="prior to write (.npy)")
    return parser


if __name__ == "__main__":
    run(main, parser())
