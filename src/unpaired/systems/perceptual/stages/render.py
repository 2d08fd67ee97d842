"""Distorting networks -> the stand-in for BAPPS, in its layout, as the simulated observer votes."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.systems.perceptual.sources.simulated_bapps import render


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    for part in render(arguments.output, arguments.networks):
        print(f"{arguments.output / part.place}: {part.size}, {part.votes} votes each")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--networks", type=Path, nargs="+", required=True, help="weights")
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    return parser


if __name__ == "__main__":
    run(main, parser())
