"""Pack -> colour prior: how often each of the 313 colours is in its pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.color.ab_bins import save_prior
from unpaired.colour_evaluation import prior_of
from unpaired.packs import open_verified
from unpaired.stages import run


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    prior = prior_of(open_verified(arguments.pack))
    save_prior(arguments.output, prior)
    print(f"{arguments.output}: {int((prior > 0).sum())} of {len(prior)} colours are there")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="prior to write (.npy)")
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    run(main, parser())
