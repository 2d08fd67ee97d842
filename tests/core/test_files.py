from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal
import stat
import subprocess
import sys

import h5py
import numpy as np
import pytest
import safetensors.numpy

from unpaired.core.errors import UnpairedError, shown
from unpaired.core.files import (
    atomic_path,
    reading,
    remove_leftovers,
    sha256_of,
    write_rows,
)


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


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
@pytest.mark.parametrize("write", [_write_plain, _write_hdf5, _write_safetensors])
def test_a_file_gets_the_permissions_that_umask_asks_for(tmp_path, write, umask):
    previous = os.umask(umask)
    try:
        with atomic_path(tmp_path / "a.bin") as part:
            write(part)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("mode", [0o640, 0o444, 0o600])
def test_a_replaced_file_keeps_its_permissions(tmp_path, mode):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    target.chmod(mode)
    with atomic_path(target) as part:
        _write_safetensors(part)
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert target.read_bytes() != b"old"


FOREIGN = os.fsdecode(b"caf\xe9.png")  # Latin-1, not UTF-8


def test_a_foreign_name_can_be_shown_refused_and_written(tmp_path):
    assert shown(tmp_path / FOREIGN) == f"{tmp_path}/caf\\xe9.png"
    with pytest.raises(UnpairedError) as caught:
        sha256_of(tmp_path / FOREIGN)
    assert str(caught.value).encode() == (
        f"cannot read {tmp_path}/caf\\xe9.png: no such file or folder; check its name".encode()
    )
    with pytest.raises(UnpairedError) as caught:
        write_half(tmp_path / FOREIGN, OSError(errno.ENOSPC, ""))
    assert "caf\\xe9.png" in str(caught.value)
    with atomic_path(tmp_path / FOREIGN) as part:
        part.write_text("x")
    write_rows(tmp_path / "a.csv", [{"file": FOREIGN}])
    assert (tmp_path / "a.csv").read_text() == "file\ncaf\\xe9.png\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_an_error_is_told_on_any_terminal(encoding):
    code = (
        "import os, unpaired.core.errors as errors;"
        "errors.exit_with('größe ' + os.fsdecode(b'caf\\xe9 \\xe2'))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, timeout=60
    )
    assert result.returncode == 1
    assert result.stderr.startswith(b"error: gr")
    assert result.stderr.count(b"\n") == 1


BLOCKED = """
import importlib, pkgutil, sys
import psutil, torch  # They have their own ways on Windows.
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
import os, unpaired
for name in ("O_DIRECTORY", "geteuid", "getuid", "fork"):
    delattr(os, name)
for module in pkgutil.walk_packages(unpaired.__path__, "unpaired."):
    importlib.import_module(module.name)
"""


@pytest.mark.long
def test_every_module_can_be_imported_without_what_windows_lacks():
    result = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr


LEFT = """
import sys, time
from pathlib import Path
from unpaired.core.files import atomic_path
with atomic_path(Path(sys.argv[1])) as aside:
    aside.write_text("half") if sys.argv[2] == "file" else (aside / "below").mkdir(parents=True)
    print("written", flush=True)
    time.sleep(60)
"""


def test_what_a_kill_leaves_is_removed_and_nothing_else(tmp_path):
    kept = ["a.part", ".hidden.txt", ".kodak.parts/1.h5", ".0123.part.h5", "deep/.snakemake/x"]
    for name in kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    for name, kind in (("deep/pack.h5", "file"), (".kodak.parts/2.h5", "file"), ("set", "folder")):
        command = [sys.executable, "-c", LEFT, str(tmp_path / name), kind]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "written\n"
        process.kill()
        process.communicate()
    assert len(list(tmp_path.rglob(f".{'[0-9a-f]' * 16}.part*"))) == 3
    remove_leftovers(tmp_path)
    stayed = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert stayed == set(kept)
    assert not list(tmp_path.rglob("below"))
    remove_leftovers(tmp_path / "absent")
