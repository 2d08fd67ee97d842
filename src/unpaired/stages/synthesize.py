"""Degradation model + pack of clean (or noisy) pictures -> pack of training pairs."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from unpaired import catalog
from unpaired.core.command import json_argument, run
from unpaired.core.devices import choose_device, describe, no_gpu_note
from unpaired.core.files import sha256_of
from unpaired.core.leases import leased_gpus
from unpaired.data.packs import open_verified, write_pack_in_parts
from unpaired.learning.weights import load_model


def main(arguments: argparse.Namespace) -> None:
    with leased_gpus(arguments.device):
        _synthesize(arguments)


def _synthesize(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    device, spec, source = (
        choose_device(arguments.device),
        arguments.spec,
        open_verified(arguments.pack),
    )
    print(f"synthesize on {describe(device)}{no_gpu_note(arguments.device, device)}", flush=True)
    stamp = {
        "spec": spec,
        "code": arguments.code,
        "model_sha256": sha256_of(arguments.model),
        "source_sha256": source.digest,
    }
    name, model = load_model(arguments.model, device)
    how = {key: value for key, value in spec.items() if key not in ("model", "source")}
    make = catalog.load(catalog.method(name).makes_pairs)
    pairs = make(model, source, device=device, stamp=stamp, **how)
    count = write_pack_in_parts(
        arguments.output,
        pairs,
        source=arguments.output.stem,
        value_range=source.value_range,
        color_space=source.color_space,
        settings=stamp,
    )
    print(f"{arguments.output}: {count} pairs")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="weights of what makes them")
    parser.add_argument("--spec", type=json_argument, required=True, help="what defines the pairs")
    parser.add_argument("--code", required=True, help="fingerprint of the code")
    parser.add_argument("--pack", type=Path, required=True, help="pictures to make pairs of")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    return parser


if __name__ == "__main__":
    run(main, parser())
