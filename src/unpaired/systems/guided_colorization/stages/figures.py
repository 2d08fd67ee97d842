"""Models of local and global hints + a test pack -> the pictures of Table 11."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.core.devices import choose_device
from unpaired.data.packs import open_verified
from unpaired.learning.weights import load_model
from unpaired.systems.guided_colorization.figures import (
    draw_histograms,
    draw_one_area,
    draw_suggestions,
    draw_unusual,
    guided,
)
from unpaired.systems.guided_colorization.scoring import truths

PICTURES, COMPARED = 3, 30
CROP_PX = 256


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    device, pack = choose_device(arguments.device), open_verified(arguments.test)
    shown = list(islice(truths(pack, CROP_PX), COMPARED))
    model = load_model(arguments.points, device)[1]
    few = guided(model, shown[:PICTURES], device)
    draw_suggestions(arguments.suggestions, model, few)
    draw_unusual(arguments.unusual, few)
    draw_one_area(arguments.area, model, few)
    by_statistics = load_model(arguments.statistics, device)[1]
    draw_histograms(arguments.histograms, guided(by_statistics, shown, device))
    print(f"{pack.source}: {len(few)} pictures with points, {len(shown)} histograms compared")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--points", type=Path, required=True, help="model that takes points")
    parser.add_argument("--statistics", type=Path, required=True, help="that takes histograms")
    parser.add_argument("--test", type=Path, required=True, help="pack")
    for name in ("suggestions", "unusual", "area", "histograms"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="PNG to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
