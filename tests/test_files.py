from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import stat

import h5py
import numpy as np
import pytest
import safetensors.numpy

from unpaired.errors import UnpairedError
from unpaired.files import atomic_path, reading, sha256_of


def write_half(target, error):
    with atomic_path(target) as part:
        part.write_text("half")
        raise error


def test_the_file_appears_whole_under_its_name_and_nothing_else_stays(tmp_path):
    target = tmp_path / "a b" / "größe.txt"
    with atomic_path(target) as part:
        assert part.parent == target.parent
        assert part.suffix == ".txt"
        part.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == [target.name]


def test_an_error_keeps_what_was_there_before(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_half(target, ZeroDivisionError())
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "a.txt", KeyboardInterrupt())
    assert os.listdir(tmp_path) == []


def test_the_file_has_ordinary_permissions(tmp_path):
    plain, target = tmp_path / "plain", tmp_path / "target"
    plain.write_text("")
    with atomic_path(target) as part:
        part.write_text("")
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_the_longest_file_name_works(tmp_path):
    target = tmp_path / ("n" * 251 + ".txt")
    with atomic_path(target) as part:
        part.write_text("x")
    assert target.read_text() == "x"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
    ],
)
def test_what_the_file_system_refuses_is_one_line_with_the_name(tmp_path, code, words):
    target = tmp_path / "a.txt"
    with pytest.raises(UnpairedError, match=words) as caught:
        write_half(target, OSError(code, os.strerror(code)))
    assert str(target) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_failing_rename_is_told_too(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "inside").write_text("")
    with pytest.raises(UnpairedError, match="it is a folder"), atomic_path(tmp_path / "a") as part:
        part.write_text("x")


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "deep" / "a.txt"
    with pytest.raises(UnpairedError, match="not a folder"), atomic_path(target):
        pass


def test_trouble_with_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        (tmp_path / "input.txt").read_text()


def test_an_unpaired_error_passes_unchanged(tmp_path):
    refusal = UnpairedError("input.txt: No space left on device")
    with pytest.raises(UnpairedError) as caught:
        write_half(tmp_path / "a.txt", refusal)
    assert caught.value is refusal


def _write_plain(part):
    part.write_bytes(bytes(2_000_000))


def _write_hdf5(part):
    with h5py.File(part, "w") as file:
        file["image"] = np.random.default_rng(0).random(250_000)


def _write_safetensors(part):
    safetensors.numpy.save_file({"weight": np.zeros(500_000, np.float32)}, part)


@pytest.fixture
def small_files_only():
    """Let the system refuse files beyond a million bytes, as a full disk would."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, previous)


@pytest.mark.usefixtures("small_files_only")
@pytest.mark.parametrize("write", [_write_plain, _write_hdf5, _write_safetensors])
def test_a_real_refusal_in_the_middle_of_writing(tmp_path, write):
    target = tmp_path / "a.bin"
    told = pytest.raises(UnpairedError, match="larger than the system allows")
    with told as caught, atomic_path(target) as part:
        write(part)
    assert str(target) in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_sha256(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    assert sha256_of(path) == hashlib.sha256(b"abc").hexdigest()


def test_sha256_of_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UnpairedError, match="no such file") as caught:
        sha256_of(tmp_path / "absent")
    assert str(tmp_path / "absent") in str(caught.value)


def test_reading_names_the_file_that_the_system_names(tmp_path):
    with pytest.raises(UnpairedError, match="inner"), reading(tmp_path):
        (tmp_path / "inner").read_text()
