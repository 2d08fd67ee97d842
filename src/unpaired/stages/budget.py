"""Method -> what its paper's budget would cost on this machine."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from unpaired.core.command import run
from unpaired.core.leases import leased_gpus
from unpaired.pipeline.budgets import paper_budget
from unpaired.pipeline.records import write_record


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    with leased_gpus(arguments.device):
        budget = paper_budget(arguments.method, arguments.device, arguments.options)
    write_record(arguments.output, budget)
    print(budget)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True)
    parser.add_argument("--options", type=json.loads, default={}, help="its table's, as JSON")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, required=True)
    return parser


if __name__ == "__main__":
    run(main, parser())
