"""Trained variants, their scores and a pack -> the figures of Table 13."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.core.sealed_csv import read_record
from unpaired.data.packs import open_verified
from unpaired.learning.weights import load_model
from unpaired.pipeline.frames import read_scores
from unpaired.systems.translation.figures import Place, draw_samples, draw_scatter


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    pack = open_verified(arguments.pack)
    products = {
        row: load_model(path)[1] for row, path in zip(arguments.rows, arguments.models, strict=True)
    }
    draw_samples(arguments.samples, products, pack)
    places = []
    files = zip(arguments.rows, arguments.scores, arguments.records, strict=True)
    for row, scores, record in files:
        diversity = float(read_scores(scores)["diversity"].astype(float).mean())
        places.append(Place(row, diversity, read_record(record)["pooled"]))
    draw_scatter(arguments.scatter, places)
    print(f"{len(products)} variants drawn")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--rows", nargs="+", required=True, help="names of the models")
    for name, about in (("models", "weights"), ("scores", "scores"), ("records", "beside scores")):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help=about)
    parser.add_argument("--pack", type=Path, required=True, help="test pictures")
    for name in ("samples", "scatter"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="PNG to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
