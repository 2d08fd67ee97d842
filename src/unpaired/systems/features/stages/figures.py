"""Table 15, an encoder and test pictures -> the figures of features."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.data.packs import open_verified
from unpaired.learning.weights import load_model
from unpaired.pipeline.tables.lines import read_lines
from unpaired.systems.features.figures import draw_filters, draw_layers, draw_neighbors


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    encoder = load_model(arguments.encoder)[1]
    draw_layers(arguments.layers, read_lines(arguments.table), arguments.testset)
    draw_filters(arguments.filters, encoder)
    draw_neighbors(arguments.neighbors, encoder, open_verified(arguments.test))


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--table", type=Path, required=True, help="the table's CSV")
    parser.add_argument("--record", type=Path, required=True, help="beside it")
    parser.add_argument("--testset", required=True, help="whose accuracies are drawn")
    parser.add_argument("--encoder", type=Path, required=True, help="weights")
    parser.add_argument("--test", type=Path, required=True, help="pack")
    for name in ("layers", "filters", "neighbors"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="PNG to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
