"""Degradation model + pack of clean (or noisy) pictures -> pack of training pairs."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch

from unpaired import catalog
from unpaired.core.command import json_argument, run
from unpaired.core.devices import choose_device, describe, no_gpu_note
from unpaired.core.files import sha256_of
from unpaired.core.leases import leased_gpus
from unpaired.data.pack_format import Identity
from unpaired.data.pack_in_parts import write_pack_in_parts
from unpaired.data.packs import Pack, open_verified
from unpaired.learning.weights import load_model
from unpaired.pipeline.packing import add_pack_options, make_pack


def main(arguments: argparse.Namespace) -> None:
    source = open_verified(arguments.pack)
    stamp = {
        "spec": arguments.spec,
        "code": arguments.code,
        "model_sha256": sha256_of(arguments.model),
        "source_sha256": source.digest,
    }
    make_pack(arguments, stamp, partial(_synthesize, arguments, source, stamp))


def _synthesize(arguments: argparse.Namespace, source: Pack, stamp: dict[str, Any]) -> Identity:
    with leased_gpus(arguments.device):
        torch.set_num_threads(arguments.threads)
        device, spec = choose_device(arguments.device), arguments.spec
        note = no_gpu_note(arguments.device, device)
        print(f"synthesize on {describe(device)}{note}", flush=True)
        name, model = load_model(arguments.model, device)
        how = {key: value for key, value in spec.items() if key not in ("model", "source")}
        make = catalog.load(catalog.method(name).makes_pairs)
        kinds = catalog.method(name).packs
        trained_on = dict(zip(kinds, arguments.trained_on, strict=True))
        given = {"trained_on": trained_on, "device": device, "stamp": stamp}
        pairs = make(model, source, **given, **how)
        written = write_pack_in_parts(
            arguments.output,
            pairs,
            source=arguments.output.stem,
            value_range=source.value_range,
            color_space=source.color_space,
            settings=stamp,
        )
        print(f"{arguments.output}: {written.pictures} pairs")
        return written


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="weights of what makes them")
    parser.add_argument("--spec", type=json_argument, required=True, help="what defines the pairs")
    parser.add_argument("--pack", type=Path, required=True, help="pictures to make pairs of")
    parser.add_argument(
        "--trained-on", type=Path, nargs="+", required=True, help="packs of the model, in its order"
    )
    add_pack_options(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    return parser


if __name__ == "__main__":
    run(main, parser())
