"""Two processes that share every batch learn what one process learns."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.waiting import PATIENCE_SECONDS
from unpaired.core.errors import UnpairedError
from unpaired.core.processes import Processes

STEPS, BATCH = 20, 4


def spec(method: str, **overrides) -> dict:
    small = {"images_seen": STEPS * BATCH, "batch_size": BATCH, "patch_px": 64, "width": 8}
    return {
        "method": method,
        "overrides": small | {"learning_rate": 1e-3} | overrides,
        "noise": "gauss25",
        "noise_draw": "fresh",
        "seed": 1,
        "precision": "fp32",
        "threads": 1,
    }


def start(folder: Path, pack, spec: dict, options: list[str], **environment) -> subprocess.Popen:
    """Start the training stage as the pipeline does."""
    command = [sys.executable, "-m", "unpaired.stages.train", "--spec", json.dumps(spec)]
    command += ["--code", "none", "--pack", str(pack.path), "--work", str(folder / "work/it")]
    for name, file in (("model", "model.safetensors"), ("about", "a.json"), ("history", "h.csv")):
        command += [f"--{name}", str(folder / file)]
    return subprocess.Popen(
        [*command, "--device", "cpu", *options],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes: subprocess.Popen) -> None:
    for process in processes:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, output


def assert_equal_runs(one: Path, other: Path) -> None:
    weights = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    torch.testing.assert_close(weights[1], weights[0], rtol=0, atol=1e-5)
    histories = [list(csv.DictReader((folder / "h.csv").open())) for folder in (one, other)]
    assert len(histories[0]) == STEPS
    for rows in zip(*histories, strict=True):
        assert rows[0]["images_seen"] == rows[1]["images_seen"]
        losses = [float(row["loss"]) for row in rows]
        assert losses[1] == pytest.approx(losses[0], abs=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("method", ["neighbor2neighbor", "dbsn"])
def test_two_processes_equal_one(train_pack, tmp_path, method):
    """DBSN has parameters that its first phase does not use, and two phases."""
    made = spec(method, **({"blocks": 1} if method == "dbsn" else {}))
    one, two = tmp_path / "one", tmp_path / "two"
    finish(start(one, train_pack, made, []))
    finish(start(two, train_pack, made, ["--devices", "2"]))
    assert_equal_runs(one, two)


@pytest.mark.long
def test_two_machines_equal_one(train_pack, tmp_path):
    """Two commands with the ranks of two machines, as srun or a person starts them."""
    made = spec("neighbor2neighbor")
    finish(start(tmp_path / "one", train_pack, made, []))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    both = [
        start(tmp_path / "two", train_pack, made, ["--nodes", "2"], NODE_RANK=rank, **address)
        for rank in ("0", "1")
    ]
    finish(*both)
    assert_equal_runs(tmp_path / "one", tmp_path / "two")


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(UnpairedError, match="3 processes cannot share batches of 4"):
        Processes(devices=3).check(4)
