"""Scores of Table 11 -> PSNR against the number of revealed points."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from unpaired import catalog
from unpaired.core.command import run, stage_parser
from unpaired.pipeline.frames import read_scores
from unpaired.systems.guided_colorization.curves import draw_curves, level


def main(arguments: argparse.Namespace) -> None:
    frames: dict[tuple[str, str], list[pd.DataFrame]] = {}
    given = zip(arguments.rows, arguments.conditions, arguments.scores, strict=True)
    for row, condition, path in given:
        frames.setdefault((row, condition), []).append(read_scores(path))
    conditions = catalog.conditions()
    levels = [
        level(row, conditions[condition].values["told"], own)
        for (row, condition), own in frames.items()
    ]
    draw_curves(arguments.output, levels)
    for one in levels:
        print(f"{one.row}, {one.told}, {one.points:.0f} points: {one.mean_db:.2f} dB")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="CSV of every score")
    parser.add_argument("--records", type=Path, nargs="+", help="waited for, not read")
    parser.add_argument("--rows", nargs="+", required=True, help="row of every score")
    parser.add_argument("--conditions", nargs="+", required=True, help="what each was told")
    parser.add_argument("--output", type=Path, required=True, help="PNG to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
