from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from unpaired.core import leases
from unpaired.core.errors import UnpairedError
from unpaired.core.leases import lease, leased_gpus

SPAWN = multiprocessing.get_context("spawn")
DEVICES = ("0", "1")


def work(folder: Path, count: int) -> None:
    """Lease again and again, and write a file per device that nobody else may have written."""
    for _ in range(15):
        with lease(DEVICES, count, folder) as mine:
            files = [folder / f"{device}.in_use" for device in mine]
            for file in files:
                file.touch(exist_ok=False)  # Fails the process where another one holds the device.
            time.sleep(0.005)
            for file in files:
                file.unlink()


def hold(folder: Path, held) -> None:
    with lease(DEVICES[:1], 1, folder):
        held.set()
        time.sleep(60)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_TRIES", 0.01)


@pytest.mark.parametrize("counts", [(1, 1, 1, 1), (1, 2, 1, 2)])
def test_four_processes_never_hold_one_device_twice(tmp_path, counts):
    processes = [SPAWN.Process(target=work, args=(tmp_path, count)) for count in counts]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4


def test_a_killed_holder_frees_its_device(tmp_path):
    held = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(tmp_path, held))
    process.start()
    assert held.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    with lease(DEVICES[:1], 1, tmp_path) as mine:
        assert mine == ["0"]
    process.join()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another person")
def test_other_people_of_the_machine_lease_as_well(tmp_path):
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o755)
        folder = Path(parent, "gpus")
        code = """if True:
            import os, sys
            from pathlib import Path
            from unpaired.core.leases import lease
            with lease(["0"], 1, Path(sys.argv[2])):
                pass  # Whatever is imported only now may be out of the other person's reach.
            os.umask(0o077)
            os.setuid(int(sys.argv[1]))
            with lease(["0", "1"], 1, Path(sys.argv[3])) as mine:
                print(mine[0])
        """
        for user in (65534, 65533):
            with lease(["0", "1"], 1, folder) as mine:
                command = [sys.executable, "-c", code, str(user), str(tmp_path), str(folder)]
                other = subprocess.run(command, capture_output=True, text=True)
                assert (mine, other.stdout, other.stderr) == (["0"], "1\n", "")
        with lease(["0", "1"], 2, folder) as mine:
            assert mine == ["0", "1"]


def test_more_than_there_are_is_refused(tmp_path):
    with pytest.raises(UnpairedError, match="3 GPUs were asked for, but this machine has 2"):
        lease(DEVICES, 3, tmp_path).__enter__()


def test_the_lease_is_what_cuda_sees(monkeypatch, tmp_path):
    monkeypatch.setattr(leases, "nvidia_gpus", lambda: ["0", "1", "2"])
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with leased_gpus("cuda", 2):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        with lease(["0", "1", "2"], 1, tmp_path / "unpaired-gpus") as mine:
            assert mine == ["2"]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize(
    ("device", "visible", "gpus"),
    [("cpu", None, ["0"]), ("auto", "1", ["0"]), ("cuda", "", ["0"]), ("auto", None, [])],
)
def test_nothing_is_leased(monkeypatch, tmp_path, device, visible, gpus):
    """For the CPU, where the choice was made already, and without a GPU."""
    monkeypatch.setattr(leases, "nvidia_gpus", lambda: gpus)
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with leased_gpus(device):
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
    assert not list(tmp_path.iterdir())
