"""Pack, or a noisy and a clean one -> trained model."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.data import Dataset

from unpaired.color.ab_bins import load_prior
from unpaired.corruptions.noise import get_noise
from unpaired.distributed import Processes, first_of_all
from unpaired.files import locked, rows_as_csv, sha256_of
from unpaired.judged_sampling import JudgedSamples
from unpaired.leases import leased_gpus
from unpaired.methods import create
from unpaired.methods.base import Method
from unpaired.packs import Pack, open_verified
from unpaired.randomness import seed_for
from unpaired.records import data_record, library_versions, with_python, write_record
from unpaired.sampling import CropSamples
from unpaired.sealed_csv import write_sealed
from unpaired.stages import json_argument, run
from unpaired.training import Checkpointing, Result, train
from unpaired.unpaired_sampling import UnpairedSamples
from unpaired.weights import load_model, save_model

TRAIN_SETS = ("train_set", "clean_set")  # Of a spec; the model's file says them too.


def main(arguments: argparse.Namespace) -> None:
    if not first_of_all():
        _train(arguments)  # The first process holds the lock and publishes.
        return
    lock = locked(arguments.work.with_suffix(".lock"))
    with lock, leased_gpus(arguments.device, arguments.devices):
        for path in arguments.pack:
            open_verified(path)
        _publish(arguments, *_train(arguments))
        shutil.rmtree(arguments.work, ignore_errors=True)


def _train(arguments: argparse.Namespace) -> tuple[Method, Result, dict[str, Any]]:
    """Return the trained method, what training left, and what defines the run, for the record."""
    spec = arguments.spec
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(seed_for(spec["seed"], "weights"))
    method = create(spec["method"], **spec["overrides"])
    if arguments.start:
        method.start_from(load_model(arguments.start)[1])
    if arguments.prior and getattr(method, "needs_prior", False):
        method.set_prior(load_prior(arguments.prior))
    packs = [Pack(path) for path in arguments.pack]
    data = [data_record(pack) for pack in packs]
    samples = _samples(method, packs, spec)
    if not arguments.start:
        method.prepare(samples, spec["seed"])
    versions = library_versions()
    stamp = {"spec": spec, "code": arguments.code, "data": data, "versions": versions}
    # A model or a prior that was made anew is another one, whatever its name.
    given = {"start": arguments.start, "prior": arguments.prior}
    stamp |= {f"{key}_sha256": sha256_of(path) for key, path in given.items() if path}
    result = train(
        method,
        samples,
        seed=spec["seed"],
        device=arguments.device,
        precision=spec["precision"],
        workers=arguments.workers,
        checkpointing=Checkpointing(arguments.work, stamp, arguments.checkpoint_seconds),
        processes=Processes(arguments.devices, arguments.nodes),
    )
    return method, result, stamp


def _samples(method: Method, packs: list[Pack], spec: dict[str, Any]) -> Dataset:
    """Return what is trained on, by what the method sees.

    That is crops of one pack, unpaired ones of a noisy and a clean one, or judged triplets.
    """
    if "judge" in method.sees:
        return JudgedSamples(*packs, seed=spec["seed"])
    about = {
        "patch_px": method.config.patch_px,
        "seed": spec["seed"],
        "noise": get_noise(spec["noise"]),
        "noise_draw": spec["noise_draw"],
    }
    if "clean_set" in spec:
        return UnpairedSamples(*packs, **about)
    return CropSamples(*packs, sees=method.sees, **about)


def _publish(
    arguments: argparse.Namespace, method: Method, result: Result, stamp: dict[str, Any]
) -> None:
    seals = write_sealed({arguments.history: rows_as_csv(result.history)})
    about = {"config": dataclasses.asdict(method.config), **_costs(method, result)}
    about |= seals
    versions = with_python(stamp["versions"])
    write_record(arguments.about, stamp | about | {"versions": versions})
    learned_from = {key: stamp["spec"][key] for key in TRAIN_SETS if key in stamp["spec"]}
    save_model(arguments.model, arguments.spec["method"], method, learned_from)


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
    parser.add_argument(
        "--pack", type=Path, nargs="+", required=True, help="a pack, or a noisy and a clean one"
    )
    parser.add_argument("--start", type=Path, help="weights of the model that it starts from")
    parser.add_argument("--prior", type=Path, help="colour prior (.npy), for methods that use one")
    parser.add_argument("--model", type=Path, required=True, help="weights to write (safetensors)")
    parser.add_argument("--about", type=Path, required=True, help="record to write (JSON)")
    parser.add_argument("--history", type=Path, required=True, help="losses to write (CSV)")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of checkpoints in progress"
    )
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--devices", type=int, default=1, help="processes on each machine")
    parser.add_argument("--nodes", type=int, default=1, help="machines")
    return parser


if __name__ == "__main__":
    run(main, parser())
