from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unpaired.core import leases
from unpaired.core.errors import UnpairedError
from unpaired.core.leases import lease, leased_gpus

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such GPUs")

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def devices() -> tuple[str, str]:
    """Names that no other test, and no real GPU, has."""
    return tuple(f"test-{secrets.token_hex(8)}-{number}" for number in range(2))


def work(devices: tuple[str, str], folder: Path, count: int) -> None:
    """Lease again and again, and write a file per device that nobody else may have written."""
    leases.SECONDS_BETWEEN_TRIES = 0.01
    for _ in range(15):
        with lease(devices, count) as mine:
            files = [folder / f"{device}.in_use" for device in mine]
            for file in files:
                file.touch(exist_ok=False)  # Fails the process where another one holds the device.
            time.sleep(0.005)
            for file in files:
                file.unlink()


def hold(devices: tuple[str, str], held) -> None:
    with lease(devices[:1], 1):
        held.set()
        time.sleep(60)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_TRIES", 0.01)


@pytest.mark.parametrize("counts", [(1, 1, 1, 1), (1, 2, 1, 2)])
def test_four_processes_never_hold_one_device_twice(tmp_path, devices, counts):
    processes = [SPAWN.Process(target=work, args=(devices, tmp_path, count)) for count in counts]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4


def test_a_killed_holder_frees_its_device(devices):
    held = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(devices, held))
    process.start()
    assert held.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    with lease(devices[:1], 1) as mine:
        assert mine == [devices[0]]
    process.join()


AS_ANOTHER = """
import os, sys
from unpaired.core.leases import lease
os.umask(0o077)
os.setuid(int(sys.argv[1]))
os.environ["TMPDIR"] = os.environ["HOME"] = "/nowhere"
with lease(sys.argv[2:], 1) as mine:
    print(*mine)
    sys.stdout.flush()
    sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another person")
def test_two_other_people_of_the_machine_count_the_devices_together(devices):
    """With a umask and temporary folders of their own, as SLURM gives."""
    people = []
    for user, expected in ((65534, devices[0]), (65533, devices[1])):
        command = [sys.executable, "-c", AS_ANOTHER, str(user), *devices]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        people.append(subprocess.Popen(command, **pipes))
        assert people[-1].stdout.readline().strip() == expected
    for person in people:
        person.communicate("", timeout=30)
        assert person.returncode == 0
    with lease(devices, 2) as mine:
        assert mine == list(devices)


def test_more_than_there_are_is_refused(devices):
    with pytest.raises(UnpairedError, match="3 GPUs were asked for, but this machine has 2"):
        lease(devices, 3).__enter__()


def test_a_system_that_refuses_is_one_line(devices, monkeypatch):
    class Refusing:
        def __init__(self, *_):
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(leases.socket, "socket", Refusing)
    with pytest.raises(UnpairedError, match=r"not permitted.*by CUDA_VISIBLE_DEVICES"):
        lease(devices, 1).__enter__()


def test_the_lease_is_what_cuda_sees(monkeypatch, devices):
    names = [*devices, "nvidia-other"]
    monkeypatch.setattr(leases, "nvidia_gpus", lambda: names)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with leased_gpus("cuda", 2):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        with lease(names, 1) as mine:
            assert mine == names[2:]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize(
    ("device", "visible", "is_there"),
    [("cpu", None, True), ("auto", "1", True), ("cuda", "", True), ("auto", None, False)],
)
def test_nothing_is_leased(monkeypatch, devices, device, visible, is_there):
    """For the CPU, where the choice was made already, and without a GPU."""
    monkeypatch.setattr(leases, "nvidia_gpus", lambda: list(devices) if is_there else [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with leased_gpus(device):
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible
        with lease(devices, 2):
            pass
