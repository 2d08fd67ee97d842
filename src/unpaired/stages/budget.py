"""Method -> what its paper's budget would cost on this machine."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from unpaired.costs import paper_budget
from unpaired.files import atomic_path
from unpaired.leases import leased_gpus
from unpaired.stages import run


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    with leased_gpus(arguments.device):
        budget = paper_budget(arguments.method, arguments.device)
    with atomic_path(arguments.output) as aside:
        aside.write_text(json.dumps(budget, indent=2, sort_keys=True) + "\n")
    print(budget)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, required=True)
    return parser


if __name__ == "__main__":
    run(main, parser())
