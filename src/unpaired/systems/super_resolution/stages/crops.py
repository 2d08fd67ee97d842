"""Trained networks and a test pack -> crops of enlarged pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.core.devices import choose_device
from unpaired.core.leases import leased_gpus
from unpaired.data.packs import open_verified
from unpaired.learning.weights import load_model
from unpaired.systems.super_resolution.figures import draw_crops


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    test = open_verified(arguments.test)
    with leased_gpus(arguments.device):
        device = choose_device(arguments.device)
        loaded = [load_model(path, device)[1] for path in arguments.models]
        draw_crops(arguments.figure, dict(zip(arguments.rows, loaded, strict=True)), test, device)


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--rows", nargs="+", required=True, help="names of the models")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="weights, each row's")
    parser.add_argument("--test", type=Path, required=True, help="pack of test pairs")
    parser.add_argument("--figure", type=Path, required=True, help="PNG to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
