"""Models of local hints + drawn scenes -> how often every possible color is suggested."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import run, stage_parser
from unpaired.core.devices import choose_device
from unpaired.core.errors import UnpairedError
from unpaired.core.files import write_rows
from unpaired.data.packs import open_verified
from unpaired.learning.weights import load_model
from unpaired.systems.guided_colorization.coverage import (
    CONFIDENCE,
    EVERY,
    coverage_lines,
    found_colors,
)


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    device, pack = choose_device(arguments.device), open_verified(arguments.test)
    lines = []
    for seed, path in zip(arguments.seeds, arguments.models, strict=True):
        model = load_model(path, device)[1]
        found = found_colors(model, pack, device)
        if not len(found):
            raise UnpairedError(f"{arguments.test}: no scene has a fruit; draw the scenes anew")
        about = {"row": arguments.row, "seed": seed, "dataset": pack.source}
        factor = {"suggestion_factor": model.config.suggestion_factor}
        lines += [line | factor for line in coverage_lines(found, **about)]
    write_rows(arguments.output, lines)
    for line in lines:
        if line["true_color_ab"] == EVERY:
            ends = f"{line['ci_low_pct']} to {line['ci_high_pct']}"
            told = f"{line['share_pct']} % ({CONFIDENCE:.0%} interval {ends})"
            print(f"seed {line['seed']}: all colors in {told} of {line['places']} places")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--row", required=True, help="name of the row that the models are of")
    parser.add_argument("--seeds", nargs="+", required=True, help="the seed of every model")
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="weights")
    parser.add_argument("--test", type=Path, required=True, help="pack of drawn scenes")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
