"""Tables 19 and 20, a learned distance and its scores -> figures of how distances agree."""

from __future__ import annotations

import argparse
from pathlib import Path

from unpaired.core.command import run, stage_parser
from unpaired.data.packs import open_verified
from unpaired.learning.weights import load_model
from unpaired.pipeline.frames import read_scores
from unpaired.pipeline.tables.lines import read_lines
from unpaired.systems.perceptual.figures import (
    disagreements,
    draw_disagreements,
    draw_scores,
    draw_tests,
    draw_weights,
)


def main(arguments: argparse.Namespace) -> None:
    scores, tests = (read_lines(path) for path in arguments.tables)
    draw_scores(arguments.scores, scores)
    draw_tests(arguments.tests, tests)
    metric = load_model(arguments.model)[1].metric
    draw_weights(arguments.weights, metric, arguments.name)
    pack = open_verified(arguments.pack)
    found = disagreements(read_scores(arguments.ssim), read_scores(arguments.learned))
    draw_disagreements(arguments.disagreements, pack, found, arguments.name)


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--tables", type=Path, nargs=2, required=True, help="of 2AFC, of JND")
    parser.add_argument("--records", type=Path, nargs="+", help="beside tables and scores")
    parser.add_argument("--model", type=Path, required=True, help="weights of a learned distance")
    parser.add_argument("--name", required=True, help="what the learned distance is called")
    parser.add_argument("--ssim", type=Path, required=True, help="its scores on the pack")
    parser.add_argument("--learned", type=Path, required=True, help="scores of the learned one")
    parser.add_argument("--pack", type=Path, required=True, help="the triplets")
    parser.add_argument("--scores", type=Path, required=True, help="bar chart to write (PNG)")
    parser.add_argument("--weights", type=Path, required=True, help="weights by layer (PNG)")
    parser.add_argument("--disagreements", type=Path, required=True, help="triplets (PNG)")
    parser.add_argument("--tests", type=Path, required=True, help="2AFC against JND (PNG)")
    return parser


if __name__ == "__main__":
    run(main, parser())
