"""Distorting networks -> a sheet of all distortions, and how distances grow with severity."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.core.files import write_rows
from unpaired.systems.perceptual.distortions.growth import growth
from unpaired.systems.perceptual.distortions.networks import load
from unpaired.systems.perceptual.distortions.sheet import draw_distortions


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    draw_distortions(arguments.figure, [load(path) for path in arguments.networks])
    rows = growth()
    write_rows(arguments.growth, rows)
    falling = [f"{row['distortion']} by {row['distance']}" for row in rows if not row["grows"]]
    print(f"distances that do not grow throughout: {', '.join(falling) or 'none'}")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--networks", type=Path, nargs="+", required=True, help="weights")
    parser.add_argument("--figure", type=Path, required=True, help="sheet to write (PNG)")
    parser.add_argument("--growth", type=Path, required=True, help="numbers to write (CSV)")
    return parser


if __name__ == "__main__":
    run(main, parser())
