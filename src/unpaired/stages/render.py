"""Distorting networks -> the stand-in for BAPPS, in its layout, as the simulated observer votes."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.datasets.simulated_bapps import render
from unpaired.stages import run


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    for part in render(arguments.output, arguments.networks):
        print(f"{arguments.output / part.place}: {part.size}, {part.votes} votes each")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=Path, nargs="+", required=True, help="weights")
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    return parser


if __name__ == "__main__":
    run(main, parser())
