"""GPUs of one machine, shared by processes that know nothing of each other.

Snakemake counts the GPUs that its jobs use, but does not say which one a job may have, and two
runs, or two people, do not know of each other at all. Who binds a GPU's name as an abstract address
of Linux has the GPU: there is no file that could be another person's, or stay behind.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from unpaired.core.errors import UnpairedError

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
    with lease(gpus, count) as mine:
        # CUDA's own order is by speed, not by slot, so equal numbers could be two GPUs.
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        os.environ[VISIBLE] = ",".join(str(gpus.index(name)) for name in mine)
        try:
            yield
        finally:
            del os.environ[VISIBLE]


def nvidia_gpus() -> list[str]:
    """Return the names of this machine's NVIDIA GPUs in CUDA's order, without starting CUDA."""
    names = (path.name for path in Path("/dev").glob("nvidia*"))
    return sorted((n for n in names if re.fullmatch(r"nvidia\d+", n)), key=lambda n: int(n[6:]))


@contextmanager
def lease(devices: Sequence[str], count: int) -> Iterator[list[str]]:
    """Yield the names of ``count`` devices that no other process of this machine has leased.

    The kernel frees them when their holder ends, however it ends. Either all are held or none, so
    that two who wait cannot wait for each other. Raises UnpairedError if there are fewer.
    """
    if count > len(devices):
        raise UnpairedError(f"{count} GPUs were asked for, but this machine has {len(devices)}")
    told = False
    while True:
        with ExitStack() as bound:
            held = []
            for device in devices:
                if len(held) < count and _bind(bound, device):
                    held.append(device)
            if len(held) == count:
                yield held
                return
        if not told:
            print(f"waiting for {count} of {len(devices)} GPU(s)", flush=True)
            told = True
        time.sleep(SECONDS_BETWEEN_TRIES)


def _bind(bound: ExitStack, device: str) -> bool:
    """Take a device's name until ``bound`` is closed; False if another process has it."""
    try:
        holder = bound.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        holder.bind(f"\0unpaired-gpu/{device}")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise UnpairedError(
            f"{device} cannot be leased ({error.strerror}); say which GPU to use by {VISIBLE}"
        ) from error
    return True
