"""Pack -> trained model."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path

import psutil
import torch

from unpaired.corruptions.noise import get_noise
from unpaired.files import locked, write_rows
from unpaired.methods import create
from unpaired.methods.base import Method
from unpaired.packs import Pack
from unpaired.randomness import seed_for
from unpaired.records import data_record, library_versions, with_python, write_record
from unpaired.sampling import CropSamples
from unpaired.stages import json_argument, run
from unpaired.training import Checkpointing, Result, train
from unpaired.weights import save_model


def main(arguments: argparse.Namespace) -> None:
    with locked(arguments.work.with_suffix(".lock")):
        _train_and_publish(arguments)
        shutil.rmtree(arguments.work, ignore_errors=True)


def _train_and_publish(arguments: argparse.Namespace) -> None:
    spec = arguments.spec
    torch.set_num_threads(spec["threads"])
    pack = Pack(arguments.pack)
    torch.manual_seed(seed_for(spec["seed"], "weights"))
    method = create(spec["method"], **spec["overrides"])
    samples = CropSamples(
        pack,
        sees=method.sees,
        patch_px=method.config.patch_px,
        seed=spec["seed"],
        noise=get_noise(spec["noise"]),
        noise_draw=spec["noise_draw"],
    )
    versions, data = library_versions(), data_record(pack, arguments.pack)
    result = train(
        method,
        samples,
        seed=spec["seed"],
        device=arguments.device,
        precision=spec["precision"],
        workers=arguments.workers,
        checkpointing=Checkpointing(
            arguments.work,
            {"spec": spec, "code": arguments.code, "data": data, "versions": versions},
            arguments.checkpoint_seconds,
        ),
    )
    write_rows(arguments.history, result.history)
    about = {
        "spec": spec,
        "config": dataclasses.asdict(method.config),
        "code": arguments.code,
        "data": data,
        "versions": with_python(versions),
        **_costs(method, result),
    }
    write_record(arguments.about, about)
    save_model(arguments.model, spec["method"], method)


def _costs(method: Method, result: Result) -> dict[str, object]:
    peak_gpu_bytes = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return {
        "parameters": sum(parameter.numel() for parameter in method.parameters()),
        "images_seen": result.images_seen,
        "seconds": round(result.seconds, 3),
        "device": result.device,
        "precision": result.precision,
        "peak_memory_mib": psutil.Process().memory_info().rss // 2**20,
        "peak_gpu_memory_mib": peak_gpu_bytes // 2**20,
    }


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", type=json_argument, required=True, help="what defines the model")
    parser.add_argument("--code", required=True, help="fingerprint of the code, for the record")
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="weights to write (safetensors)")
    parser.add_argument("--about", type=Path, required=True, help="record to write (JSON)")
    parser.add_argument("--history", type=Path, required=True, help="losses to write (CSV)")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of checkpoints in progress"
    )
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0)
    return parser


if __name__ == "__main__":
    run(main, parser())
