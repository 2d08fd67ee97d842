"""Pack, or a noisy and a clean one -> trained model."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch

from unpaired.core.command import add_given, json_argument, run
from unpaired.core.files import rows_as_csv, sha256_of
from unpaired.core.finished import lock_of, make_once
from unpaired.core.leases import leased_gpus
from unpaired.core.locks import locked
from unpaired.core.processes import Processes, first_of_all
from unpaired.core.randomness import seed_for
from unpaired.core.sealed_csv import write_sealed
from unpaired.data.packs import Pack, open_verified
from unpaired.learning.conditions import noise_or_condition
from unpaired.learning.create import create
from unpaired.learning.method import Method
from unpaired.learning.training import Checkpointing, Result, train
from unpaired.learning.weights import load_model, save_model
from unpaired.pipeline.records import data_record, library_versions, with_python, write_record

SET_SUFFIX = "_set"  # Of the keys of a spec that name data sets; the model's file says them too.


def main(arguments: argparse.Namespace) -> None:
    is_first = first_of_all()
    packs = [(open_verified if is_first else Pack)(path) for path in arguments.pack]
    stamp = _stamp(arguments, packs)
    if not is_first:
        _train(arguments, packs, stamp)  # The first process holds the lock and publishes.
        return
    if arguments.nodes > 1:  # The other machines wait for this one to train with them.
        with locked(lock_of(arguments.work)):
            _train_and_publish(arguments, packs, stamp)
        return
    outputs = (arguments.model, arguments.about, arguments.history)
    make_once(arguments.work, stamp, outputs, partial(_train_and_publish, arguments, packs, stamp))


def _stamp(arguments: argparse.Namespace, packs: list[Pack]) -> dict[str, Any]:
    """Return what defines the run, for the record: another stamp is another model."""
    stamp = {
        "spec": arguments.spec,
        "code": arguments.code,
        "data": [data_record(pack) for pack in packs],
        "versions": library_versions(),
    }
    # A file that was made anew is another one, whatever its name.
    start = {"start": arguments.start} if arguments.start else {}
    given = start | arguments.artifact | arguments.need
    return stamp | ({"given": {name: sha256_of(p) for name, p in given.items()}} if given else {})


def _train_and_publish(
    arguments: argparse.Namespace, packs: list[Pack], stamp: dict[str, Any]
) -> None:
    with leased_gpus(arguments.device, arguments.devices):
        _publish(arguments, *_train(arguments, packs, stamp), stamp)
        shutil.rmtree(arguments.work, ignore_errors=True)


def _train(
    arguments: argparse.Namespace, packs: list[Pack], stamp: dict[str, Any]
) -> tuple[Method, Result]:
    """Return the trained method, and what training left besides."""
    spec = arguments.spec
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(seed_for(spec["seed"], "weights"))
    method = create(spec["method"], **spec["overrides"])
    if arguments.start:
        method.start_from(load_model(arguments.start)[1])
    for name, path in arguments.artifact.items():
        method.receive_file(name, path)
    for role, path in arguments.need.items():
        method.receive(role, load_model(path)[1])
    noise = noise_or_condition(spec["noise"])
    samples = method.samples(packs, seed=spec["seed"], noise=noise, noise_draw=spec["noise_draw"])
    if not arguments.start:
        method.prepare(samples, spec["seed"])
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
    return method, result


def _publish(
    arguments: argparse.Namespace, method: Method, result: Result, stamp: dict[str, Any]
) -> None:
    seals = write_sealed({arguments.history: rows_as_csv(result.history)})
    about = {"config": dataclasses.asdict(method.config), **_costs(method, result), **seals}
    versions = with_python(stamp["versions"])
    write_record(arguments.about, stamp | about | {"versions": versions})
    learned_from = {key: value for key, value in stamp["spec"].items() if key.endswith(SET_SUFFIX)}
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
    add_given(parser, "--artifact", "a file that its method's entry names")
    add_given(parser, "--need", "another trained model, by its role")
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
