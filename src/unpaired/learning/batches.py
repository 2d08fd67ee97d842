"""Batches that other processes prepare, also in a container that has hardly any shared memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

SHARED_MEMORY = Path("/dev/shm")  # Of Linux; elsewhere it has no size of its own.
LEAST_BYTES = 2**20  # With less there is no room for the locks that workers need.
AHEAD = 2  # Batches that every worker keeps ready.


def batches(
    samples: Any,
    order: Sequence[int],
    *,
    batch_size: int,
    workers: int,
    pin_memory: bool = False,
    sharers: int = 1,
) -> Iterator[dict[str, Tensor]]:
    """Yield the samples in ``order``, in batches that ``workers`` processes prepare.

    pin_memory: for a GPU. sharers: processes of this machine that do the same at once. Where shared
    memory is too small for that, batches come through pipes, and one line says so.
    """
    collate = default_collate
    if workers and order and SHARED_MEMORY.is_dir():
        wanted = sharers * (AHEAD * workers + 2) * batch_size * _bytes_of(samples[order[0]])
        free = shutil.disk_usage(SHARED_MEMORY).free if os.access(SHARED_MEMORY, os.W_OK) else 0
        if free < wanted:
            collate, workers = _arrays, workers if free >= LEAST_BYTES else 0
            _tell(free, wanted, workers)
    loader = DataLoader(
        samples,
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        collate_fn=collate,
        pin_memory=pin_memory,
    )
    for batch in loader:
        yield {key: torch.as_tensor(value) for key, value in batch.items()}


def _bytes_of(sample: Mapping[str, Tensor | float]) -> int:
    return sum(torch.as_tensor(value).nbytes for value in sample.values())


def _arrays(samples: Sequence[Mapping[str, Tensor | float]]) -> dict[str, np.ndarray]:
    """Make a batch that goes through a pipe; PyTorch would make it in shared memory."""
    return {key: np.stack([np.asarray(one[key]) for one in samples]) for key in samples[0]}


def _tell(free: int, wanted: int, workers: int) -> None:
    instead = f"the {workers} workers send them through pipes" if workers else "no worker is used"
    print(
        f"{SHARED_MEMORY} has room for {free / 2**20:.0f} of {wanted / 2**20:.0f} MiB of batches: "
        f"{instead}, which is slower (a container gets more by --shm-size)",
        flush=True,
    )
