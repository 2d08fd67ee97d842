"""Score files -> how far every row is from the pairs alone, portrait by portrait."""

from __future__ import annotations

import argparse
from pathlib import Path

from unpaired.core.command import run, stage_parser
from unpaired.core.files import write_rows
from unpaired.pipeline.frames import read_scores
from unpaired.systems.few_shot.differences import Scores, differences


def main(arguments: argparse.Namespace) -> None:
    given = zip(arguments.rows, arguments.seeds, arguments.scores, strict=True)
    files = [Scores(row, seed, read_scores(path)) for row, seed, path in given]
    lines = differences(files, arguments.base)
    write_rows(arguments.output, lines)
    for line in lines:
        if line["metric"] == "psnr_db":
            print(f"{line['row']}, seed {line['seed']}: {line['difference']:+.2f} dB")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--rows", nargs="+", required=True, help="the row of every score file")
    parser.add_argument("--seeds", nargs="+", required=True, help="the seed of every score file")
    parser.add_argument("--base", required=True, help="row that the others are compared with")
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="score files")
    parser.add_argument("--records", type=Path, nargs="+", required=True, help="beside them")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
