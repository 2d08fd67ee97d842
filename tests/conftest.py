"""Shared fixtures: real photographs, small packs, and where optional test data lies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.data.sources.embedded import test_records as embedded_test_records
from unpaired.data.sources.embedded import train_records as embedded_train_records

REPOSITORY = Path(__file__).parents[1]

# Tests run in parallel processes; more threads each would only get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _interruptible():
    """Ctrl-C reaches what is tested, also where a shell started the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _one_thread():
    """One thread here as well: PyTorch was loaded before the environment said so."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def photographs() -> list[np.ndarray]:
    """Real photographs, float32 in [0, 1], H x W x 3."""
    return [
        record.arrays["image"].astype(np.float32) / 255 for record in embedded_test_records(None)
    ]


@pytest.fixture
def make_pack(tmp_path):
    """Return a function that writes arrays into a pack and opens it."""

    def make(arrays: dict[str, np.ndarray], name: str = "small", **options) -> Pack:
        records = [Record(key, {"image": value}, f"{name}:{key}") for key, value in arrays.items()]
        path = tmp_path / f"{name}.h5"
        defaults = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
        write_pack(path, records, source=name, **(defaults | options))
        return Pack(path)

    return make


@pytest.fixture(scope="session")
def train_pack(tmp_path_factory) -> Pack:
    """The embedded training photographs."""
    path = tmp_path_factory.mktemp("packs") / "train.h5"
    write_pack(
        path,
        embedded_train_records(None),
        source="embedded_train",
        value_range=(0, 255),
        color_space="sRGB",
        settings={},
    )
    return Pack(path)


def shared_data(name: str) -> Path:
    """Return the folder of an optional data set beside the repository; skips without it."""
    folder = REPOSITORY.parent / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"needs the optional data set {name} in {folder}")
    return folder


@pytest.fixture
def make_pairs(tmp_path):
    """Return a function that writes (noisy, clean) arrays into a pack of pairs and opens it."""

    def make(pairs: dict[str, tuple[np.ndarray, np.ndarray]], name: str = "pairs", **options):
        records = [
            Record(key, {"noisy": noisy, "clean": clean}, f"{name}:{key}")
            for key, (noisy, clean) in pairs.items()
        ]
        path = tmp_path / f"{name}.h5"
        defaults = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
        write_pack(path, records, source=name, **(defaults | options))
        return Pack(path)

    return make
