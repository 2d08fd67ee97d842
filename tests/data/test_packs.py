from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unpaired.core.errors import UnpairedError
from unpaired.data import pack_format, pack_writing
from unpaired.data.disjoint import check_disjoint
from unpaired.data.pack_format import COLUMNS
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack, open_verified
from unpaired.data.records import Record

OPTIONS = {"source": "s", "value_range": (0, 255), "color_space": "sRGB", "settings": {"a": 1}}


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 600), st.integers(1, 600), st.data())
def test_any_size_comes_back_and_any_crop_is_its_part(tmp_path_factory, height, width, data):
    path = tmp_path_factory.mktemp("pack") / "p.h5"
    original = image(height, width)
    write_pack(path, [Record("x", {"image": original}, "s:x")], **OPTIONS)
    pack = Pack(path)
    top = data.draw(st.integers(0, height - 1))
    left = data.draw(st.integers(0, width - 1))
    assert np.array_equal(pack.read(0), original)
    crop = pack.read(0, rows=slice(top, top + 100), columns=slice(left, left + 100))
    assert np.array_equal(crop, original[top : top + 100, left : left + 100])


def test_chunks_waste_little():
    with h5py.File.in_memory() as file:
        from unpaired.data.pack_writing import _append

        _append(file, Record("x", {"image": image(375, 500)}, "s"), 0)
        chunks = file["image/00000000"].chunks
    assert chunks == (188, 250, 3)


def test_aligned_arrays_metadata_and_unit_range(tmp_path):
    path = tmp_path / "pairs.h5"
    noisy, clean = image(40, 50), image(40, 50, 1)
    write_pack(path, [Record("p", {"noisy": noisy, "clean": clean}, "scene9")], **OPTIONS)
    pack = Pack(path)
    assert pack.fields == ("clean", "noisy")
    assert pack.columns["scene"] == ["scene9"]
    assert pack.settings == {"a": 1}
    unit = pack.read_unit(0, "noisy")
    assert unit.dtype == np.float32
    assert np.array_equal(np.round(unit * 255).astype(np.uint8), noisy)


def test_reader_can_be_sent_to_a_worker(make_pack):
    import pickle

    pack = make_pack({"a": image(64, 64)})
    assert np.array_equal(pickle.loads(pickle.dumps(pack)).read(0), pack.read(0))


def test_a_failing_source_leaves_the_previous_pack(tmp_path):
    path = tmp_path / "p.h5"
    write_pack(path, [Record("old", {"image": image(8, 8)}, "s")], **OPTIONS)

    def failing():
        yield Record("new", {"image": image(8, 8)}, "s")
        raise UnpairedError("bad.png: corrupt; remove it")

    with pytest.raises(UnpairedError, match=r"bad\.png"):
        write_pack(path, failing(), **OPTIONS)
    assert Pack(path).columns["name"] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.h5"]


def test_disk_full_is_one_line_and_keeps_the_previous_pack(tmp_path, monkeypatch):
    path = tmp_path / "p.h5"
    write_pack(path, [Record("old", {"image": image(8, 8)}, "s")], **OPTIONS)
    assert path.stat().st_size < 100_000  # what was reserved and not used is given back

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UnpairedError, match=r"cannot write .*p\.h5: the disk is full"):
        write_pack(path, [Record("new", {"image": image(8, 8)}, "s")], **OPTIONS)
    monkeypatch.undo()
    assert Pack(path).columns["name"] == ["old"]


def test_a_write_that_the_system_refuses_is_one_line_and_keeps_the_previous_pack(tmp_path):
    """For real: a process that may not write more than 100 kB meets HDF5's own error."""
    path = tmp_path / "p.h5"
    write_pack(path, [Record("old", {"image": image(8, 8)}, "s")], **OPTIONS)
    code = f"""
import resource, signal, numpy as np
from pathlib import Path
from unpaired.core.errors import UnpairedError
from unpaired.data.pack_writing import write_pack
from unpaired.data.records import Record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
records = (Record(str(n), {{"image": np.zeros((300, 300, 3), np.uint8)}}, str(n)) for n in range(9))
try:
    write_pack(Path({str(path)!r}), records, source="s", value_range=(0, 255),
               color_space="sRGB", settings={{}})
except UnpairedError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "p.h5: the file would be larger than the system allows" in done.stdout, done.stderr
    assert Pack(path).columns["name"] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.h5"]


def test_empty_source_is_refused(tmp_path):
    with pytest.raises(UnpairedError, match="holds no usable picture"):
        write_pack(tmp_path / "p.h5", [], **OPTIONS)


def test_truncated_pack(make_pack):
    path = make_pack({"a": image(300, 300)}).path
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnpairedError, match=r"small\.h5: not a readable HDF5 pack"):
        Pack(path)


def test_foreign_files(tmp_path):
    foreign, text = tmp_path / "foreign.h5", tmp_path / "text.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    text.write_text("hello")
    with pytest.raises(UnpairedError, match="not a pack of this project"):
        Pack(foreign)
    with pytest.raises(UnpairedError, match=r"not a readable HDF5 pack"):
        Pack(text)
    with pytest.raises(UnpairedError, match="no such pack"):
        Pack(tmp_path / "absent.h5")


def test_shared_pixels_and_shared_scenes_are_refused(make_pack):
    same = image(32, 32)
    train = make_pack({"a": same, "b": image(32, 32, 1)}, "train")
    by_pixels = make_pack({"renamed": same}, "test")
    with pytest.raises(UnpairedError, match="the same pixels: renamed = a"):
        check_disjoint(train, by_pixels)
    check_disjoint(train, make_pack({"c": image(32, 32, 2)}, "fine"))


def test_names_of_files_that_are_not_utf8_are_kept_apart(tmp_path):
    names = [os.fsdecode(name) for name in (b"caf\xe9", b"caf\xea", "café".encode())]
    records = [Record(name, {"image": image(9, 9)}, f"s:{name}") for name in names]
    write_pack(tmp_path / "p.h5", records, **OPTIONS)
    columns = Pack(tmp_path / "p.h5").columns
    assert list(columns["name"]) == ["caf\\xe9", "caf\\xea", "café"]
    assert list(columns["scene"]) == ["s:caf\\xe9", "s:caf\\xea", "s:café"]


def test_the_digest_is_of_what_the_pack_says_and_holds(make_pack):
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    first = make_pack({"a": image}, "first").digest
    assert make_pack({"a": image}, "first").digest == first
    assert make_pack({"a": image + 1}, "first").digest != first
    assert make_pack({"b": image}, "first").digest != first
    assert make_pack({"a": image}, "second").digest != first


def damaged(pack, old, new):
    """Replace bytes in a closed pack's file, every time they occur."""
    content = pack.path.read_bytes()
    assert old in content
    pack._open().close()
    pack.path.write_bytes(content.replace(old, new))
    return pack.path


def test_zeroed_pixels_are_found(make_pack):
    image = np.random.default_rng(0).integers(1, 256, (30, 40, 3), np.uint8)
    path = damaged(make_pack({"a": image}), image.tobytes(), bytes(image.nbytes))
    with pytest.raises(UnpairedError, match=r"a damaged pack .*; delete it") as error:
        open_verified(path)
    assert str(path) in str(error.value)


def test_another_name_is_found_when_a_pack_is_opened(make_pack):
    image = np.zeros((4, 4, 3), np.uint8)
    path = damaged(make_pack({"lighthouse": image}), b"lighthouse", b"LIGHTHOUSE")
    with pytest.raises(UnpairedError, match="damaged pack"):
        Pack(path)


@pytest.mark.parametrize("content", [b"", bytes(4096), b"hello"], ids=["empty", "zeros", "text"])
def test_what_is_no_pack_is_one_line(tmp_path, content):
    path = tmp_path / "pack.h5"
    path.write_bytes(content)
    with pytest.raises(UnpairedError, match=r"not a readable HDF5 pack.*delete it"):
        Pack(path)
    with pytest.raises(UnpairedError, match=r"not a pack of this version.*delete it"):
        open_verified(path)
    with pytest.raises(UnpairedError, match="no such pack"):
        open_verified(tmp_path / "absent.h5")


def test_a_pack_zeroed_anywhere_is_never_taken_for_whole(make_pack):
    """HDF5 itself does not end on some of these: it must not see them."""
    rng = np.random.default_rng(0)
    path = make_pack({name: rng.integers(1, 256, (20, 30, 3), np.uint8) for name in "abc"}).path
    whole = path.read_bytes()
    starts = [n for n in range(0, len(whole), 256) if any(whole[n : n + 256])]
    assert len(starts) > 20
    for start in starts:
        path.write_bytes(whole[:start] + bytes(256) + whole[start + 256 :])
        with pytest.raises(UnpairedError, match="damaged"):
            open_verified(path)
    for bytes_left in (0, 600, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:bytes_left])
        with pytest.raises(UnpairedError, match="delete it and run again"):
            open_verified(path)
    path.write_bytes(whole)
    assert len(open_verified(path)) == 3


LOCKED = """
import fcntl, os, sys
from pathlib import Path
from unpaired.core.errors import UnpairedError
from unpaired.data.packs import open_verified
with open(sys.argv[1]) as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        print(open_verified(Path(sys.argv[1])).read(0).shape)
    except UnpairedError as error:
        print(error)
"""


def read_while_locked(path, **environment):
    """Return what a process says of a pack that another has locked, as HDF5 would."""
    done = subprocess.run(
        [sys.executable, "-c", LOCKED, str(path)],
        env={key: v for key, v in os.environ.items() if "HDF5" not in key} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_pack_needs_no_lock(make_pack):
    assert read_while_locked(make_pack({"a": image(8, 9)}).path) == "(8, 9, 3)"


def test_a_lock_that_was_asked_for_is_named_and_nobody_is_told_to_delete(make_pack):
    path = make_pack({"a": image(8, 9)}).path
    told = read_while_locked(path, HDF5_USE_FILE_LOCKING="TRUE")
    assert f"{path}: HDF5 cannot lock it (" in told
    assert "unset HDF5_USE_FILE_LOCKING" in told
    assert "delete" not in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EIO, "input/output"), (errno.EMFILE, "too many files"), (errno.EACCES, "permission")],
)
def test_what_the_system_has_against_reading_is_no_damage(make_pack, monkeypatch, code, words):
    path = make_pack({"a": image(8, 9)}).path

    def refuse(*_, **__):
        raise OSError(code, f"Unable to open file ({os.strerror(code)})")

    monkeypatch.setattr(h5py, "File", refuse)
    for opened in (Pack, open_verified):
        with pytest.raises(UnpairedError, match=f"cannot read .*small.h5: .*{words}") as caught:
            opened(path)
        assert "delete" not in str(caught.value)


def test_the_digest_is_that_of_one_text_of_all(tmp_path, monkeypatch):
    for module in (pack_format, pack_writing):
        monkeypatch.setattr(module, "ROWS_IN_MEMORY", 8)
    names = [f'n{number}/é "{number}"\\' for number in range(17)]
    pixel = np.zeros((1, 1, 3), np.uint8)
    records = [Record(name, {"image": pixel}, f"s:{name}", "ab") for name in names]
    for count in (1, 7, 8, 9, 17):
        identity = write_pack(tmp_path / "p.h5", records[:count], **OPTIONS)
        columns = {c: [getattr(record, c) for record in records[:count]] for c in COLUMNS}
        about = {key: OPTIONS[key] for key in ("source", "value_range", "color_space")}
        text = json.dumps([about | {"settings": json.dumps({"a": 1})}, columns], sort_keys=True)
        # The range is stored as floats.
        text = text.replace("[0, 255]", "[0.0, 255.0]")
        assert identity == ("s", count, hashlib.sha256(text.encode()).hexdigest())
        assert Pack(tmp_path / "p.h5").digest == identity.sha256
        assert dict(Pack(tmp_path / "p.h5").columns) == columns


def test_a_pack_whose_columns_are_not_in_chunks_is_read(make_pack):
    """As they were written before."""
    pack = make_pack({"a": image(8, 9), "b": image(9, 8, 1)})
    columns = dict(pack.columns)
    pack._open().close()
    with h5py.File(pack.path, "r+", locking=False) as file:
        for column, values in columns.items():
            del file[f"columns/{column}"]
            file.create_dataset(f"columns/{column}", data=values, dtype=h5py.string_dtype())
    assert dict(Pack(pack.path).columns) == columns


def test_columns_are_read_when_they_are_asked_for(make_pack):
    pack = make_pack({"a": image(8, 9)})
    assert len(pack) == 1
    assert pack._known_columns == {}
    assert pack.columns["name"] == ["a"]
    assert list(pack._known_columns) == ["name"]
    with pytest.raises(KeyError):
        pack.columns["age"]
