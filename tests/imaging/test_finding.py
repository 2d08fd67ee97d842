from __future__ import annotations

import os

import pytest

from tests.imaging.files import (
    PHOTO,
    message_of,
    write_png,
)
from unpaired.imaging.finding import find_pictures, names_in, read_all, survey
from unpaired.imaging.pictures import read_picture


def test_read_all_lists_all_bad_files(tmp_path):
    for index in range(15):
        (tmp_path / f"{index:02}.png").write_text("x")
    write_png(tmp_path / "good.png", PHOTO)
    message = message_of(read_all, sorted(tmp_path.iterdir()), read_picture)
    assert all(f"{index:02}.png" in message for index in range(10))
    assert "and 5 more" in message
    assert "good.png" not in message
    assert len(read_all([tmp_path / "good.png"], read_picture)) == 1


# ---- Folders ------------------------------------------------------------------------------------


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


def test_folders_are_searched_in_order(tmp_path):
    names = ["b.PNG", "a.jpeg", "sub folder/é.Tiff", "sub folder/deep/x.webp", "Z.jpg", "c.tif"]
    wanted = [touch(tmp_path / name) for name in names]
    for name in ["notes.txt", ".hidden.png", ".cache/a.png", "raw.dng", "png"]:
        touch(tmp_path / name)
    assert find_pictures([tmp_path]) == sorted(wanted)


def test_files_come_in_the_order_given_and_once(tmp_path):
    b, a = touch(tmp_path / "b.png"), touch(tmp_path / "a.png")
    assert find_pictures([str(b), tmp_path, a]) == [b, a]


def test_links_are_followed_but_not_in_circles(tmp_path):
    outside = touch(tmp_path / "outside" / "a.png")
    folder = tmp_path / "folder"
    inside = touch(folder / "sub" / "b.png")
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "link").symlink_to(outside.parent)
    (folder / "name.png").symlink_to(inside)
    assert find_pictures([folder]) == [folder / "link" / "a.png", folder / "name.png"]


def test_what_cannot_be_found_is_listed_at_once(tmp_path):
    touch(tmp_path / "empty" / "notes.txt")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").symlink_to(tmp_path / "nowhere.png")
    paths = ["absent.png", "empty", "empty/notes.txt", "broken", "absent"]
    message = message_of(find_pictures, [tmp_path / name for name in paths])
    assert f"{tmp_path / 'absent.png'}: no such file" in message
    assert f"{tmp_path / 'empty'}: no picture in this folder" in message
    assert "notes.txt: not a picture's name" in message
    assert "a link that leads nowhere" in message
    assert f"{tmp_path / 'absent'}: no such file or folder" in message
    assert "without a suffix" not in message


def test_an_unreadable_folder(tmp_path, monkeypatch):
    folder = touch(tmp_path / "folder" / "a.png").parent
    if os.geteuid() == 0:

        def refuse(name):
            raise PermissionError(13, "Permission denied", str(name))

        monkeypatch.setattr(os, "listdir", refuse)
        monkeypatch.setattr(os, "scandir", refuse)
    else:
        folder.chmod(0)
    message = message_of(find_pictures, [folder])
    assert f"cannot read {folder}: permission denied" in message


# ---- Files that are passed over -----------------------------------------------------------------


def test_files_that_are_passed_over_are_listed_with_a_remedy(tmp_path):
    picture = touch(tmp_path / "a.png")
    said = {
        "b.BMP": "convert it to PNG",
        "c.heic": "convert it to PNG",
        "sub/d.dng": "develop it to TIFF",
        "sub/e.czi": "export it as TIFF with Bio-Formats or Fiji",
        "f.mp4": "save its frames as a TIFF stack",
        "g.unheard": "an unknown format",
        "DSC0001": "without a suffix",
    }
    for name in [*said, "notes.txt", ".hidden.heic", ".cache/a.nd2", "model.safetensors", "a.csv"]:
        touch(tmp_path / name)
    (tmp_path / "lost.heic").symlink_to(tmp_path / "nowhere")
    pictures, skipped = survey([tmp_path])
    assert pictures == [picture] == find_pictures([tmp_path])
    assert list(skipped) == sorted(tmp_path / name for name in said)
    for name, words in said.items():
        assert words in skipped[tmp_path / name]
    assert survey([picture]).skipped == {}


def test_a_folder_of_other_formats_says_what_to_do(tmp_path):
    touch(tmp_path / "a.heic")
    message = message_of(survey, [tmp_path])
    assert "no picture in this folder" in message
    assert "a.heic: a format that is not read; convert it to PNG" in message
    assert "develop it to TIFF" in message_of(find_pictures, [touch(tmp_path / "a.nef")])


@pytest.mark.parametrize("with_links", [False, True])
def test_names_in_a_folder_are_those_of_its_pictures(tmp_path, with_links):
    for name in ("b.PNG", "a/z.jpg", "a.jpg", "a/b/c.tif", "notes.txt"):
        touch(tmp_path / "in" / name)
    if with_links:
        (tmp_path / "in/a/link.png").symlink_to(tmp_path / "in/b.PNG")
        (tmp_path / "in/again").symlink_to(tmp_path / "in/a")
    names = names_in(tmp_path / "in")
    assert [tmp_path / "in" / name for name in names] == find_pictures([tmp_path / "in"])
    expected = ["a/b/c.tif", "a/z.jpg", "a.jpg", "b.PNG"]
    assert names == (["a/b/c.tif", "a/link.png", *expected[1:3]] if with_links else expected)
