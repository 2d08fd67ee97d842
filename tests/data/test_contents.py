from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest

from unpaired import catalog
from unpaired.data import contents
from unpaired.data.contents import contents_of

OWN = catalog.datasets()["kodak"]  # Read as any folder of pictures is.
ARCHIVE = catalog.datasets()["imagenet_train"]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "pictures"
    (place / "sub").mkdir(parents=True)
    (place / "a.png").write_bytes(b"first")
    (place / "sub/b.JPG").write_bytes(b"second")
    return place


@pytest.fixture
def look(tmp_path):
    def digest(folder, dataset=OWN, **options):
        return contents_of(dataset, folder, tmp_path / "memory/kodak.json", **options)

    return digest


@pytest.mark.parametrize("dataset", [OWN, ARCHIVE], ids=["own", "archive"])
def test_what_does_not_count(folder, look, dataset, tmp_path):
    before = look(folder, dataset)
    (folder / ".DS_Store").write_bytes(b"hidden")
    (folder / "sub/.hidden.png").write_bytes(b"hidden")
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails/c.png").write_bytes(b"hidden")
    for path in folder.rglob("*"):
        os.utime(path)
    assert look(folder, dataset) == before
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    assert look(copy, dataset) == before


def test_only_pictures_count_in_folders_of_pictures(folder, look):
    before = look(folder)
    (folder / "notes.txt").write_text("where they were taken")
    assert look(folder) == before


def overwrite(folder):
    """Of the same size, with the old time of writing brought along, as a copy may do."""
    path = folder / "sub/b.JPG"
    status = path.stat()
    path.write_bytes(b"SECOND")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        overwrite,
        lambda folder: (folder / "sub/c.tif").write_bytes(b"third"),
        lambda folder: (folder / "sub/b.JPG").unlink(),
        lambda folder: (folder / "a.png").rename(folder / "z.png"),
    ],
    ids=["overwritten", "added", "removed", "renamed"],
)
def test_changed_pictures_count(folder, look, change):
    before = look(folder)
    change(folder)
    assert look(folder) != before


def test_added_and_removed_files_of_an_archive_count(folder, look):
    before = look(folder, ARCHIVE)
    (folder / "sub/c.JPEG").write_bytes(b"third")
    assert look(folder, ARCHIVE) != before
    (folder / "sub/c.JPEG").unlink()
    assert look(folder, ARCHIVE) == before


def test_unchanged_pictures_are_not_read_again(folder, look, monkeypatch):
    read = []
    monkeypatch.setattr(contents, "sha256_of", lambda path: read.append(path.name) or "0")
    look(folder)
    look(folder)
    assert sorted(read) == ["a.png", "b.JPG"]
    overwrite(folder)
    look(folder)
    assert sorted(read) == ["a.png", "b.JPG", "b.JPG"]


def test_unchanged_folders_of_an_archive_are_not_listed_again(folder, look, monkeypatch):
    before = look(folder, ARCHIVE)
    monkeypatch.setattr(contents, "_listed", lambda *_: pytest.fail("listed again"))
    assert look(folder, ARCHIVE) == before


def test_other_nodes_take_what_was_found(folder, look):
    before = look(folder)
    (folder / "c.png").write_bytes(b"third")
    assert look(folder, look=False) == before
    assert look(folder) != before


def test_a_damaged_memory_is_as_good_as_none(folder, look, tmp_path):
    before = look(folder)
    for damage in (b"", b"{", b"[1]", bytes(9)):
        (tmp_path / "memory/kodak.json").write_bytes(damage)
        assert look(folder) == before


def test_links_that_lead_back_up_end(folder, look):
    before = look(folder)
    (folder / "sub/loop").symlink_to(folder)
    assert look(folder) == before
    assert look(folder, replace(ARCHIVE)) == look(folder, ARCHIVE)
