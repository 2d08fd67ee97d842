"""Work that is finished when the run that it belongs to is no more.

Snakemake removes the outputs of a job whose end it has not seen before it starts the job again.
What took long is therefore kept under a second name, with a stamp of what it was made of, until a
run has ended that knows of it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from unpaired.core.errors import UnpairedError
from unpaired.core.files import atomic_path, sha256_of
from unpaired.core.locks import locked

SUFFIX = ".finished"
NAME = "about.json"


def make_once(
    work: Path, stamp: Mapping[str, Any], outputs: Sequence[Path], make: Callable[[], None]
) -> None:
    """Call ``make``, which writes ``outputs``, unless a process that outlived its run did so.

    work: a path of the job's own; beside it lie its lock, for which a process waits that another
    one is ahead of, and what is kept. stamp: JSON data that changes whenever the outputs would.
    """
    with locked(lock_of(work)):
        if _take_over(_kept_of(work), stamp, outputs):
            print(f"take over {outputs[0]}, which was finished after its run had ended", flush=True)
            return
        make()
        with suppress(OSError, UnpairedError):  # It is an insurance: nothing is lost without.
            _keep(_kept_of(work), stamp, outputs)


def lock_of(work: Path) -> Path:
    return work.with_name(f"{work.name}.lock")


def forget_finished(root: Path) -> None:
    """Drop what is kept below ``root`` and is in its place too: a run that ends has seen it."""
    for kept in [path.parent for path in root.rglob(f"*{SUFFIX}/{NAME}")]:
        with suppress(OSError, ValueError, KeyError):
            if all(Path(path).exists() for path in _about(kept)["files"]):
                shutil.rmtree(kept)


def _kept_of(work: Path) -> Path:
    return work.with_name(work.name + SUFFIX)


def _about(kept: Path) -> dict[str, Any]:
    return json.loads((kept / NAME).read_text(encoding="utf-8"))


def _keep(kept: Path, stamp: Mapping[str, Any], outputs: Sequence[Path]) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for path in outputs:
        try:
            os.link(path, kept / path.name)  # Takes no room.
        except OSError:
            shutil.copyfile(path, kept / path.name)
    files = {str(path): sha256_of(path) for path in outputs}
    with atomic_path(kept / NAME) as aside:
        aside.write_text(json.dumps({"stamp": stamp, "files": files}), encoding="utf-8")


def _take_over(kept: Path, stamp: Mapping[str, Any], outputs: Sequence[Path]) -> bool:
    """Put kept files in place; False if there are none, or they are others, or damaged."""
    with suppress(OSError, ValueError, KeyError):
        about, stamp = _about(kept), json.loads(json.dumps(stamp))
        files = {str(path): sha256_of(kept / path.name) for path in outputs}
        if (about["stamp"], about["files"]) == (stamp, files):
            for path in outputs:  # Copied, as Snakemake wants outputs newer than inputs.
                with atomic_path(path) as aside:
                    shutil.copyfile(kept / path.name, aside)
            return True
    return False
