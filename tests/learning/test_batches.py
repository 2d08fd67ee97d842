from __future__ import annotations

import shutil
import subprocess
import sys
from collections import namedtuple

import pytest
import torch

from tests.conftest import REPOSITORY
from tests.learning.tiny import TinyGAN, made, samples_of
from unpaired.learning import batches as module
from unpaired.learning.batches import batches

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def samples(train_pack):
    return samples_of(made(TinyGAN, patch_px=64), train_pack)


def all_of(samples, workers):
    return list(batches(samples, range(3, 13), batch_size=4, workers=workers))


@pytest.fixture
def shared(monkeypatch, tmp_path):
    """Return a function that says how many bytes of shared memory are free."""
    monkeypatch.setattr(module, "SHARED_MEMORY", tmp_path)

    def set_free(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))

    return set_free


@pytest.mark.parametrize(
    ("free", "told"),
    [
        (2**30, ""),
        (2**20, "room for 1 of 2 MiB of batches: the 2 workers send them through pipes"),
        (0, "room for 0 of 2 MiB of batches: no worker is used"),
    ],
)
def test_scarce_memory_is_told_and_changes_no_batch(samples, shared, capsys, free, told):
    expected = all_of(samples, 0)
    capsys.readouterr()
    shared(free)
    found = all_of(samples, 2)
    assert told in (said := capsys.readouterr().out)
    assert len(said.splitlines()) == bool(told)
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        assert list(one) == list(other)
        for key in one:
            assert torch.equal(one[key], other[key])
            assert one[key].dtype == other[key].dtype


TRAINING = """
import sys
from pathlib import Path
from tests.conftest import REPOSITORY
from tests.learning.tiny import TinyGAN, made, trained
from unpaired.data.packs import Pack
method = made(TinyGAN, patch_px=256, batch_size=16, images_seen=160)
trained(method, Pack(Path(sys.argv[1])), workers=2)
print("trained")
"""


@pytest.mark.long
def test_a_training_in_a_container_of_little_shared_memory(train_pack):
    """A batch has 25 MiB here and a container 16; tensors of workers would not find room."""
    inside = 'mount -t tmpfs -o size=16m tmpfs /dev/shm && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", inside, "sh", sys.executable, "-c", TRAINING]
    done = subprocess.run(
        [*command, str(train_pack.path)], cwd=REPOSITORY, capture_output=True, text=True
    )
    if "ermitted" in done.stderr or "permission" in done.stderr:
        pytest.skip("only root can mount, and not in every container")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trained" in done.stdout
    assert "2 workers send them through pipes" in done.stdout
