"""Trained colorizers + photographs -> how often a classifier sees in them what it saw before."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.core.devices import choose_device
from unpaired.core.leases import leased_gpus
from unpaired.data.packs import open_verified
from unpaired.learning.weights import load_model
from unpaired.networks import efficientnet_lite
from unpaired.pipeline.tables.lines import read_paper_numbers
from unpaired.systems.colorization.classification import load_classifier
from unpaired.systems.colorization.methods.colorization import Colorizer
from unpaired.systems.colorization.methods.untrained import Gray, RandomColors
from unpaired.systems.colorization.recognition import same_class, write_comparison


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    random = RandomColors()
    random.take_pictures(open_verified(arguments.train), arguments.seed)
    products: dict[str, Colorizer] = {"gray": Gray(), "random": random}
    with leased_gpus(arguments.device):
        device = choose_device(arguments.device)
        classifier = load_classifier(efficientnet_lite.NAME, None, device)
        for row, path in zip(arguments.rows, arguments.models, strict=True):
            products[row] = load_model(path, device)[1]
        percent, squares = same_class(classifier, open_verified(arguments.test), products, device)
    printed = {
        method: value
        for (_, method, _, metric), value in read_paper_numbers(arguments.numbers).items()
        if metric == "top1_pct"
    }
    names = dict(zip(arguments.rows, arguments.printed_as, strict=True))
    beside = {row: printed.get(names.get(row, row)) for row in products}
    write_comparison(arguments.table, percent, squares, efficientnet_lite.NAME, beside)
    print(f"{arguments.table}: {len(products)} colorings, {squares} squares")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--rows", nargs="+", required=True, help="names of the models")
    parser.add_argument("--printed-as", nargs="+", required=True, help="what the paper calls them")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="weights, each row's")
    parser.add_argument("--test", type=Path, required=True, help="pack of the photographs")
    parser.add_argument("--train", type=Path, required=True, help="pack whose colors are drawn")
    parser.add_argument("--numbers", type=Path, required=True, help="the paper's numbers")
    parser.add_argument("--seed", type=int, required=True, help="decides the random colors")
    parser.add_argument("--table", type=Path, required=True, help="CSV to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
