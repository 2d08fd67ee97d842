"""GPUs of one machine, shared by processes that know nothing of each other.

Snakemake counts the GPUs that its jobs use, but does not say which one a job may have, and two runs
do not know of each other at all.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import Timeout

from unpaired.core.errors import UnpairedError
from unpaired.core.files import lock_file

SECONDS_BETWEEN_TRIES = 0.5
VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def leased_gpus(device: str, count: int = 1) -> Iterator[None]:
    """Keep ``count`` NVIDIA GPUs of this machine to this process, waiting until so many are free.

    Nothing is leased where CUDA_VISIBLE_DEVICES is set, by a scheduler or a person, where there is
    no such GPU, or for another ``device`` than "auto" and "cuda". Enter before CUDA is used.
    Raises UnpairedError if the machine has fewer GPUs.
    """
    gpus = nvidia_gpus()
    if device not in ("auto", "cuda") or VISIBLE in os.environ or not gpus:
        yield
        return
    with lease(gpus, count, Path(tempfile.gettempdir(), "unpaired-gpus")) as mine:
        # CUDA's own order is by speed, not by slot, so equal numbers could be two GPUs.
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        os.environ[VISIBLE] = ",".join(mine)
        try:
            yield
        finally:
            del os.environ[VISIBLE]


def nvidia_gpus() -> list[str]:
    """Return the CUDA numbers of this machine's NVIDIA GPUs, without starting CUDA."""
    nodes = [path for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    return [str(number) for number in range(len(nodes))]


@contextmanager
def lease(devices: Sequence[str], count: int, folder: Path) -> Iterator[list[str]]:
    """Yield the names of ``count`` devices that no other holder of a lease in ``folder`` has.

    One lock file per device, freed by the kernel when its holder ends, however it ends. Either all
    are held or none, so that two who wait cannot wait for each other.
    """
    if count > len(devices):
        raise UnpairedError(f"{count} GPUs were asked for, but this machine has {len(devices)}")
    told = False
    while True:
        with ExitStack() as locks:
            held = []
            for device in devices:
                if len(held) < count and _try_lock(locks, folder / f"{device}.lock"):
                    held.append(device)
            if len(held) == count:
                yield held
                return
        if not told:
            print(f"waiting for {count} of {len(devices)} GPU(s)", flush=True)
            told = True
        time.sleep(SECONDS_BETWEEN_TRIES)


def _try_lock(locks: ExitStack, path: Path) -> bool:
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o1777)  # Other people on this machine lease as well.
    lock = lock_file(path, shared=True)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    locks.callback(lock.release)
    return True
