"""Degradation models + held-out pairs -> how their noise compares with the real one."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from unpaired.core.command import run, stage_parser
from unpaired.core.devices import choose_device
from unpaired.core.leases import leased_gpus
from unpaired.data.noise import NOISES
from unpaired.data.packs import open_verified
from unpaired.imaging.pixels import to_uint8
from unpaired.learning.weights import load_model
from unpaired.systems.degradation.noise_statistics import (
    Corrupt,
    compare,
    draw,
    white_noise,
    write_table,
)
from unpaired.systems.degradation.synthesis import draw_levels, synthesize


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    awgn = NOISES["awgn"]
    with leased_gpus(arguments.device):
        device = choose_device(arguments.device)
        models = dict(_degrader(path, device) for path in arguments.models)
        models["awgn"] = white_noise(awgn.level_min, awgn.level_max)
        statistics = compare(open_verified(arguments.test), open_verified(arguments.train), models)
    write_table(arguments.table, statistics)
    draw(arguments.figure, statistics)


def _degrader(path: Path, device: torch.device) -> tuple[str, Corrupt]:
    """Return a method's name, and what adds its noise at a level drawn for every picture."""
    name, method = load_model(path, device)

    def corrupt(clean: np.ndarray, number: int) -> np.ndarray:
        image = torch.from_numpy(clean.astype(np.float32) / 255).permute(2, 0, 1)[None]
        key = ("noise statistics", number)
        pair = synthesize(method, image.to(device), key=key, **draw_levels(method, key))
        return to_uint8(pair.noisy[0].permute(1, 2, 0).cpu().numpy())

    return name, corrupt


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="weights")
    parser.add_argument("--test", type=Path, required=True, help="pack of held-out pairs")
    parser.add_argument("--train", type=Path, required=True, help="pack of pairs to fit to")
    parser.add_argument("--split", type=Path, help="what proves that they share nothing")
    parser.add_argument("--table", type=Path, required=True, help="numbers to write (CSV)")
    parser.add_argument("--figure", type=Path, required=True, help="drawing to write (PNG)")
    return parser


if __name__ == "__main__":
    run(main, parser())
