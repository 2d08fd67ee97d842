"""Models of Table 9 and a test pack -> what arrives of its first pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired import catalog
from unpaired.core.command import json_argument, run, stage_parser
from unpaired.core.devices import choose_device
from unpaired.data.packs import open_verified
from unpaired.learning.weights import load_model, load_product
from unpaired.systems.transmission.channel import snr_of
from unpaired.systems.transmission.figures import EXAMPLES, draw_examples
from unpaired.systems.transmission.scoring import send_all


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    pack, snr_db = open_verified(arguments.test), snr_of(catalog.conditions()[arguments.condition])
    rows = {}
    for row, one in arguments.products.items():
        path = Path(one["file"]) if one["file"] else None
        product = load_product(path, one["spec"], None, device)
        for role, file in one["needs"].items():
            product.receive(role, load_model(Path(file), device)[1])
        rows[row] = send_all(product, pack, snr_db, device, count=EXAMPLES)
    draw_examples(arguments.output, rows, snr_db)
    print(f"{len(rows)} rows at {snr_db:g} dB")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--products", type=json_argument, required=True, help="what each row is")
    parser.add_argument("--models", type=Path, nargs="+", help="weights, which products name")
    parser.add_argument("--test", type=Path, required=True, help="pack")
    parser.add_argument("--condition", required=True, help="the channel")
    parser.add_argument("--output", type=Path, required=True, help="PNG to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
