"""Model + pack of the SIDD benchmark's blocks -> the files that its server takes."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired.core.command import json_argument, run
from unpaired.core.devices import choose_device, describe, no_gpu_note
from unpaired.core.leases import leased_gpus
from unpaired.data.packs import open_verified
from unpaired.learning.weights import load_product
from unpaired.systems.denoising.sidd_submission import Description, restore_blocks, write_submission


def main(arguments: argparse.Namespace) -> None:
    with leased_gpus(arguments.device):
        _submit(arguments)


def _submit(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    device, spec = choose_device(arguments.device), arguments.spec
    print(f"restore on {describe(device)}{no_gpu_note(arguments.device, device)}", flush=True)
    restorer = load_product(arguments.model, spec, arguments.read_out, device)
    blocks, seconds = restore_blocks(restorer, open_verified(arguments.pack), device)
    name = f"{spec['method']} {arguments.read_out or ''}".strip()
    for path in write_submission(arguments.output, blocks, seconds, Description(name)):
        print(path)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, help="weights; none for a method that needs no training"
    )
    parser.add_argument("--spec", type=json_argument, required=True, help="what defines the model")
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--read-out", help="which of the method's ways to restore")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    return parser


if __name__ == "__main__":
    run(main, parser())
