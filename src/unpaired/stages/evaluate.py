"""Model + test pack -> scores, an example picture, and a record of how."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from unpaired import catalog
from unpaired.core.command import add_given, json_argument, run
from unpaired.core.devices import choose_device, choose_precision, describe, no_gpu_note
from unpaired.core.files import atomic_path, rows_as_csv, sha256_of
from unpaired.core.finished import make_once
from unpaired.core.kept_parts import KeptParts
from unpaired.core.leases import leased_gpus
from unpaired.core.sealed_csv import write_sealed
from unpaired.data.packs import Pack, open_verified
from unpaired.learning.conditions import noise_or_condition
from unpaired.learning.method import Restorer
from unpaired.learning.weights import load_model, load_product
from unpaired.pipeline.records import data_record, library_versions, with_python, write_record


def main(arguments: argparse.Namespace) -> None:
    pack, about = open_verified(arguments.pack), _about(arguments)
    about["data"] = [data_record(pack)]
    how = ("task", "noise", "repeats", "crop_px", "read_out")
    stamp = about | {key: getattr(arguments, key) for key in how}
    stamp["artifacts"] = {name: sha256_of(path) for name, path in arguments.artifact.items()}
    pictures = open_verified(arguments.pictures) if arguments.pictures else None
    if pictures:
        stamp["pictures"] = pictures.digest
    outputs = (arguments.output, arguments.example, arguments.record)

    def make() -> None:
        with _parts(arguments, stamp) as parts:
            _evaluate(arguments, pack, pictures, about, parts)

    make_once(arguments.work, stamp, outputs, make)


@contextmanager
def _parts(arguments: argparse.Namespace, stamp: dict[str, Any]) -> Iterator[dict[str, KeptParts]]:
    """Yield the folder of parts for a scorer that keeps some; it goes when all is written."""
    if not catalog.scorer(arguments.task).keeps_parts:
        yield {}
        return
    folder = arguments.work.with_name(f"{arguments.work.name}.parts")
    # Rounding differs from device to device, and with the number of threads.
    parts = KeptParts(folder, stamp | {"on": [arguments.device, arguments.threads]})
    yield {"parts": parts}
    parts.drop()


def _about(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what is known before anything is computed, for the record."""
    about = {
        "spec": arguments.spec,
        "weights_sha256": sha256_of(arguments.model) if arguments.model else None,
        "code": arguments.code,
        "versions": with_python(library_versions()),
    }
    others = arguments.need | vars(arguments)["with"]
    given = {name: sha256_of(path) for name, path in others.items()}
    return about | ({"given": given} if given else {})


def _evaluate(
    arguments: argparse.Namespace,
    pack: Pack,
    pictures: Pack | None,
    about: dict[str, Any],
    parts: dict[str, KeptParts],
) -> None:
    with leased_gpus(arguments.device):
        torch.set_num_threads(arguments.threads)
        device = choose_device(arguments.device)
        print(f"evaluate on {describe(device)}{no_gpu_note(arguments.device, device)}", flush=True)
        restorer = load_product(arguments.model, arguments.spec, arguments.read_out, device)
        if pictures:
            restorer.take_pictures(pictures, arguments.spec["seed"])
        for role, path in arguments.need.items():
            restorer.receive(role, load_model(path, device)[1])
        scored_with = vars(arguments)["with"]
        others = {name: load_model(path, device)[1] for name, path in scored_with.items()}
        start = time.perf_counter()
        score = catalog.load(catalog.scorer(arguments.task).target)
        scored = score(
            restorer,
            pack,
            noise_or_condition(arguments.noise),
            repeats=arguments.repeats,
            crop_px=arguments.crop_px,
            device=device,
            **arguments.artifact,
            **others,
            **parts,
        )
        seconds = time.perf_counter() - start
    with atomic_path(arguments.example) as aside:
        Image.fromarray(scored.example).save(aside)
    seals = write_sealed({arguments.output: rows_as_csv(scored.rows)})
    found = {
        "device": describe(device),
        "precision": _precision(arguments.model, restorer, device),
        "seconds": round(seconds, 3),
        "pooled": scored.pooled,
    }
    write_record(arguments.record, about | found | seals)
    print(scored.summary)


def _precision(model: Path | None, restorer: Restorer, device: torch.device) -> str | None:
    """Name the precision of the networks that restored; None where no network did."""
    if model:
        return "fp32"
    # What is fitted to each image computes as a training does.
    wanted = getattr(restorer.config, "precision", None)
    return choose_precision(wanted, device) if wanted else None


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, help="weights; none for a method that needs no training"
    )
    parser.add_argument("--task", required=True, help="what the product does")
    parser.add_argument("--spec", type=json_argument, required=True, help="what defines the model")
    parser.add_argument("--code", required=True, help="fingerprint of the code, for the record")
    parser.add_argument("--pack", type=Path, required=True)
    add_given(parser, "--artifact", "a file that the scorer's entry names")
    add_given(parser, "--need", "another trained model that the product works with, by its role")
    add_given(parser, "--with", "a trained model that the scoring works with, by its name")
    parser.add_argument("--pictures", type=Path, help="pack, for a method that takes from others")
    parser.add_argument("--noise", required=True)
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--crop-px", type=int)
    parser.add_argument("--read-out", help="which of the method's ways to restore")
    parser.add_argument("--work", type=Path, required=True, help="path of work in progress")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, required=True, help="scores to write (CSV)")
    parser.add_argument("--example", type=Path, required=True, help="picture to look at (PNG)")
    parser.add_argument("--record", type=Path, required=True, help="record to write (JSON)")
    return parser


if __name__ == "__main__":
    run(main, parser())
