"""A pack of TID2013 and distances -> how they order its pictures as people do (Figure 6.7)."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.core.files import write_rows
from unpaired.data.packs import open_verified
from unpaired.systems.perceptual.opinions import draw_opinions, judges, score_opinions


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    models = dict(zip(arguments.names, arguments.models, strict=True))
    rows = score_opinions(open_verified(arguments.pack), judges(models))
    write_rows(arguments.correlations, rows)
    draw_opinions(arguments.figure, rows)


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--pack", type=Path, required=True, help="TID2013")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="learned distances")
    parser.add_argument("--names", nargs="+", required=True, help="what they are called")
    parser.add_argument("--figure", type=Path, required=True, help="bars to write (PNG)")
    parser.add_argument("--correlations", type=Path, required=True, help="numbers (CSV)")
    return parser


if __name__ == "__main__":
    run(main, parser())
