"""Models whose codes differ in length, and a pack -> samples of each, as in Figure 4.7."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.data.packs import open_verified
from unpaired.learning.weights import load_model
from unpaired.systems.translation.figures import draw_samples


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    products = [load_model(path)[1] for path in arguments.models]
    named = {f"|z| = {product.config.code_dim}": product for product in products}
    draw_samples(arguments.output, named, open_verified(arguments.pack))
    print(f"samples by codes of {len(named)} lengths drawn")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="weights")
    parser.add_argument("--pack", type=Path, required=True, help="test pictures")
    parser.add_argument("--output", type=Path, required=True, help="PNG to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
