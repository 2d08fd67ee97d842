from __future__ import annotations

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from PIL import Image

from tests.waiting import wait_for
from unpaired.core.errors import UnpairedError
from unpaired.data.pack_in_parts import write_pack_in_parts
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack, open_verified
from unpaired.data.sources import imagenet

ABOUT = {"source": "s", "value_range": (0, 255), "color_space": "sRGB", "settings": {}}


def save(path, seed):
    """Write a small picture, and say that it is an hour old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colors = np.random.default_rng(seed).integers(0, 256, (2, 3, 3), np.uint8)
    Image.fromarray(colors).resize((300, 260)).save(path)
    os.utime(path, (time.time() - 3600,) * 2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ten pictures in two classes, of which two are kept together."""
    monkeypatch.setattr(imagenet, "TOGETHER", 2)
    for number in range(10):
        save(tmp_path / f"train/n{number // 5}/{number}.JPEG", number)
    return tmp_path / "train"


@pytest.fixture
def read(monkeypatch):
    """The names of the files whose pixels are read."""
    names, plain = [], imagenet.read_rgb8

    def watched(path, **options):
        names.append(path.stem)
        return plain(path, **options)

    monkeypatch.setattr(imagenet, "read_rgb8", watched)
    return names


READERS = pytest.mark.parametrize("reader", [imagenet.records, imagenet.square_records])


def pack_and_stall(reader, folder, output):
    """Pack all but the seventh picture, at which the process waits for ever."""
    plain = imagenet.read_rgb8

    def stalling(path, **options):
        return time.sleep(1000) if path.stem == "6" else plain(path, **options)

    imagenet.read_rgb8 = stalling
    write_pack_in_parts(output, reader(folder), **ABOUT)


@READERS
def test_packing_goes_on_where_it_was_killed(folder, tmp_path, read, reader):
    output = tmp_path / "packs/p.h5"
    parts = output.parent / ".p.parts"
    context = multiprocessing.get_context("fork")
    process = context.Process(target=pack_and_stall, args=(reader, folder, output))
    process.start()
    wait_for((parts / "00000004.h5").exists)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not output.exists()
    # One file changes meanwhile, one is touched, and one part is damaged.
    save(folder / "n0/0.JPEG", 99)
    os.utime(folder / "n0/0.JPEG")
    part = parts / "00000004.h5"
    part.write_bytes(part.read_bytes()[:1000])
    write_pack_in_parts(output, reader(folder), **ABOUT)
    assert sorted(read) == ["0", "1", *"456789"]
    assert os.listdir(output.parent) == ["p.h5"]
    at_once = tmp_path / "at_once.h5"
    identity = write_pack(at_once, reader(folder), **ABOUT)
    assert open_verified(output).identity == identity
    assert all(np.array_equal(Pack(output).read(n), Pack(at_once).read(n)) for n in range(10))


def test_other_code_reads_anew(folder, tmp_path, read, monkeypatch):
    stamps = [part.stamp for part in imagenet.square_records(folder).parts]
    monkeypatch.setattr(imagenet, "fingerprint", lambda module: "other")
    others = [part.stamp for part in imagenet.square_records(folder).parts]
    assert not set(stamps) & set(others)
    assert read == []


def test_counting_and_listing_read_no_header(folder, monkeypatch):
    monkeypatch.setattr(imagenet, "size_of", lambda path: pytest.fail("a header was read"))
    assert imagenet.square_records(folder).count() == 10
    assert imagenet.records(folder).count() == 10


@READERS
def test_all_that_is_bad_is_told_before_a_picture_is_read(folder, tmp_path, read, reader):
    save(folder / "n0/3.png", 3)
    (folder / "n1/5.JPEG").write_bytes(b"")
    (folder / "n1/7.JPEG").write_text("<html>")
    with pytest.raises(UnpairedError, match=r"3\.png and .*3\.JPEG differ only .*5\.J.*7\.JPEG"):
        write_pack_in_parts(tmp_path / "p.h5", reader(folder), **ABOUT)
    assert read == []
    assert [path.name for path in tmp_path.iterdir()] == ["train"]


@READERS
def test_pixels_that_are_bad_leave_what_was_read(folder, tmp_path, read, reader):
    whole = (folder / "n0/0.JPEG").read_bytes()
    (folder / "n0/1.JPEG").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnpairedError, match=r"1 bad files: .*1\.JPEG"):
        write_pack_in_parts(tmp_path / "p.h5", reader(folder), **ABOUT)
    read.clear()
    save(folder / "n0/1.JPEG", 1)
    assert write_pack_in_parts(tmp_path / "p.h5", reader(folder), **ABOUT).pictures == 10
    assert read == ["0", "1"]


def test_equal_pictures_under_two_names_are_packed(folder, tmp_path):
    os.link(folder / "n0/0.JPEG", folder / "n1/again.JPEG")
    pack = tmp_path / "p.h5"
    assert write_pack_in_parts(pack, imagenet.square_records(folder), **ABOUT).pictures == 11
    pixels = Pack(pack).columns["sha256_pixels"]
    assert pixels[0] == pixels[-1]
