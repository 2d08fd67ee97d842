"""Packs of made pairs and of real ones -> how alike their degradations are."""

from __future__ import annotations

import argparse
from pathlib import Path

from unpaired.core.command import run, stage_parser
from unpaired.core.files import write_rows
from unpaired.data.packs import open_verified
from unpaired.systems.super_resolution.degradations import compare, draw


def main(arguments: argparse.Namespace) -> None:
    packs = map(open_verified, arguments.made)
    made = dict(zip(arguments.rows, packs, strict=True))
    real = open_verified(arguments.real)
    lines = compare(made, real)
    write_rows(arguments.table, lines)
    draw(arguments.figure, made, real)
    for line in lines:
        correlation = f"neighbors correlate by {line['neighbor_correlation']:.2f}"
        print(f"{line['row']}: {line['std']:.1f} of 255, {correlation}")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--rows", nargs="+", required=True, help="names of the packs of made pairs")
    parser.add_argument("--made", type=Path, nargs="+", required=True, help="packs of made pairs")
    parser.add_argument("--real", type=Path, required=True, help="pack of real pairs")
    parser.add_argument("--table", type=Path, required=True, help="numbers to write (CSV)")
    parser.add_argument("--figure", type=Path, required=True, help="drawing to write (PNG)")
    return parser


if __name__ == "__main__":
    run(main, parser())
