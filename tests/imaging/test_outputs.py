"""Where results go: what is taken, what is left out and said, and what is refused beforehand."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.imaging.outputs import (
    MARKER,
    LeftOut,
    Outcome,
    check_files,
    naming,
    plan_outputs,
    refuse_unwritable,
    results_in,
    told,
)


@pytest.fixture
def inside(tmp_path):
    """A folder of two pictures, one of them in a sub-folder."""
    put(tmp_path / "in" / "a.png")
    put(tmp_path / "in" / "sub" / "b.png")
    return tmp_path / "in"


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    return path


def everything(folder):
    return sorted(path for path in folder.rglob("*"))


def test_pictures_keep_their_place_and_nothing_is_written_by_planning(inside, tmp_path):
    before = everything(tmp_path)
    outputs = plan_outputs([inside], tmp_path / "new" / "out")
    assert outputs.targets == {
        inside / "a.png": tmp_path / "new/out/a.png",
        inside / "sub/b.png": tmp_path / "new/out/sub/b.png",
    }
    assert (outputs.folder, outputs.is_file, outputs.left_out) == (
        tmp_path / "new/out",
        False,
        (),
    )
    assert everything(tmp_path) == before


def left_out_of(outputs):
    return [f"{left_out.path}: {left_out.reason}" for left_out in outputs.left_out]


def run(inputs, output, **options):
    """What a command does: plan, mark, write."""
    outputs = plan_outputs(inputs, output, **options)
    outputs.mark("test")
    for target in outputs.targets.values():
        put(target)
    return outputs


def test_earlier_results_below_the_input_are_left_out_and_told(inside):
    run([inside], inside / "first")
    put(inside / "first" / "mine.png")  # Not a result: somebody put it there.
    outputs = run([inside], inside / "second")
    names = {path.relative_to(inside).as_posix() for path in outputs.targets}
    assert names == {"a.png", "sub/b.png", "first/mine.png"}
    assert left_out_of(outputs) == [f"{inside / 'first'}: 2 results of an earlier run"]
    third = plan_outputs([inside], inside / "third")
    assert len(third.left_out) == 2
    assert len(third.targets) == 3


def test_results_named_explicitly_are_pictures_like_others(inside, tmp_path):
    run([inside], tmp_path / "first")
    assert len(plan_outputs([tmp_path / "first"], tmp_path / "second").targets) == 2
    assert len(plan_outputs([tmp_path / "first/sub"], tmp_path / "second").targets) == 1
    assert len(plan_outputs([tmp_path / "first/a.png"], tmp_path / "second").targets) == 1


def test_results_of_a_run_without_a_list_are_left_out_of_the_same_output(inside):
    put(inside / "out" / "a.png")
    outputs = plan_outputs([inside], inside / "out", overwrite=True)
    assert len(outputs.targets) == 2
    assert left_out_of(outputs) == [f"{inside / 'out'}: 1 result of an earlier run"]


def test_a_folder_of_results_alone_is_said_to_be_one(tmp_path):
    put(tmp_path / "other" / "a.png")
    (tmp_path / "in").mkdir()
    run([tmp_path / "other"], tmp_path / "in" / "first")
    with pytest.raises(UnpairedError, match="no picture but results of earlier runs"):
        plan_outputs([tmp_path / "in"], tmp_path / "out")


def test_the_list_grows_and_survives_names_that_are_not_utf8(inside, tmp_path):
    output = tmp_path / "out"
    run([inside / "a.png"], output)
    name = os.fsdecode(b"caf\xe9.png")
    put(tmp_path / "in2" / "x.png").rename(tmp_path / "in2" / name)
    run([tmp_path / "in2"], output)
    assert {path.name for path in results_in(output)} == {"a.png", name}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"files": [3]}', "\x00"])
def test_a_damaged_list_is_no_list(tmp_path, text):
    (tmp_path / MARKER).write_text(text)
    assert results_in(tmp_path) == []


def test_hidden_folders_with_pictures_are_told(inside, tmp_path):
    put(inside / ".cache" / "deep" / "c.png")
    put(inside / "sub" / ".thumbs" / "d.png")
    (inside / ".git").mkdir()
    outputs = plan_outputs([inside], tmp_path / "out")
    assert len(outputs.targets) == 2
    assert left_out_of(outputs) == [
        f"{inside / '.cache'}: a hidden folder",
        f"{inside / 'sub/.thumbs'}: a hidden folder",
    ]
    outcome = Outcome([inside], ["a.png: damaged"], outputs.left_out)
    assert outcome.summary("out") == "1 picture written to out, 1 refused, 2 skipped"


def test_every_file_counts_and_those_that_are_no_pictures_are_told(inside, tmp_path):
    for name in ("notes.txt", "sub/table.csv", "b.heic", ".hidden.txt", ".git/config"):
        (inside / name).parent.mkdir(exist_ok=True)
        (inside / name).write_text("x")
    run([inside], inside / "results")
    (inside / "results" / "page.html").write_text("x")  # Of the run, not of the input.
    outputs = plan_outputs([inside], tmp_path / "out")
    assert (
        left_out_of(outputs)[0]
        == f"{inside / 'b.heic'}: a format that is not read; convert it to PNG"
    )
    assert left_out_of(outputs)[-1] == f"{inside}: 2 files of another kind"
    outcome = Outcome([], [], outputs.left_out)
    assert outcome.summary("out").endswith("5 skipped")
    (inside / "notes.txt").unlink()
    last = left_out_of(plan_outputs([inside], inside / "results", overwrite=True))[-1]
    assert last == f"{inside}: 1 file of another kind"
    with pytest.raises(UnpairedError, match=r"^a\.png and b\.png: odd$"), naming("a.png", "b.png"):
        raise UnpairedError("odd")


def test_the_same_picture_given_twice_is_taken_once(inside, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [inside, inside / "a.png", "in/a.png", inside / "sub" / "b.png"]
    assert len(plan_outputs(given, tmp_path / "out").targets) == 2


def test_a_single_picture_may_go_into_a_named_file(inside, tmp_path):
    for name in ("out.png", "new/OUT.PNG"):
        outputs = run([inside / "a.png"], tmp_path / name)
        assert outputs.targets == {inside / "a.png": tmp_path / name}
        assert (outputs.is_file, outputs.folder) == (True, (tmp_path / name).parent)
        assert not (outputs.folder / MARKER).exists()
    (tmp_path / "folder.png").mkdir()
    outputs = plan_outputs([inside / "a.png"], tmp_path / "folder.png")
    assert outputs.targets == {inside / "a.png": tmp_path / "folder.png" / "a.png"}


def test_nothing_that_exists_is_overwritten_unless_asked_for(inside, tmp_path):
    run([inside], tmp_path / "out")
    with pytest.raises(UnpairedError, match=r"a\.png; .*b\.png: there already; .*--overwrite"):
        plan_outputs([inside], tmp_path / "out")
    assert len(plan_outputs([inside], tmp_path / "out", overwrite=True).targets) == 2
    put(tmp_path / "one.png")
    with pytest.raises(UnpairedError, match=r"one\.png: there already"):
        plan_outputs([inside / "a.png"], tmp_path / "one.png")
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "a.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(UnpairedError, match="there already"):
        plan_outputs([inside / "a.png"], tmp_path / "link")


def _output_is_a_file(root):
    (root / "f").write_text("x")
    return [root / "in"], root / "f", "f is a file, not a folder"


def _above_output_is_a_file(root):
    (root / "f").write_text("x")
    return [root / "in"], root / "f" / "out", "f is a file, not a folder"


def _sub_folder_is_a_file(root):
    (root / "out").mkdir()
    (root / "out" / "sub").write_text("x")
    return [root / "in"], root / "out", "sub is a file, not a folder"


def _target_is_a_folder(root):
    (root / "out" / "a.png").mkdir(parents=True)
    return [root / "in"], root / "out", "a.png: a folder, not a file"


def _dangling_link(root):
    (root / "out").symlink_to(root / "nowhere")
    return [root / "in"], root / "out", "is a file, not a folder"


def _own_folder(root):
    return [root / "in"], root / "in", "a.png is an input"


def _own_file(root):
    return [root / "in" / "a.png"], root / "in" / "a.png", "is an input"


def _another_input(root):
    put(root / "in2" / "b.png")
    return [root / "in/a.png", root / "in/sub/b.png"], root / "in", "a.png is an input"


def _one_name(root):
    put(root / "in2" / "a.png")
    return [root / "in", root / "in2"], root / "out", "would both become"


def _file_for_many(root):
    return [root / "in"], root / "out.png", "a file, but there are 2 pictures; name a folder"


def _other_suffix(root):
    return [root / "in" / "a.png"], root / "out.jpg", "name it out.png or out.tif"


def _missing(root):
    return [root / "none.png"], root / "out", "no such file or folder"


def _empty(root):
    (root / "empty").mkdir()
    return [root / "empty"], root / "out", "no picture in this folder"


@pytest.mark.parametrize(
    "case",
    [
        _output_is_a_file,
        _above_output_is_a_file,
        _sub_folder_is_a_file,
        _target_is_a_folder,
        _dangling_link,
        _own_folder,
        _own_file,
        _another_input,
        _one_name,
        _file_for_many,
        _other_suffix,
        _missing,
        _empty,
    ],
)
def test_what_cannot_be_is_refused_in_one_line_whatever_may_be_overwritten(case, inside, tmp_path):
    inputs, output, message = case(tmp_path)
    before = everything(tmp_path)
    with pytest.raises(UnpairedError, match=message) as caught:
        plan_outputs(inputs, output, overwrite=True)
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that refuses even root")
def test_a_folder_that_refuses_files_is_refused_beforehand(inside):
    with pytest.raises(UnpairedError, match=r"/proc/out: cannot be written \(.+\); choose"):
        plan_outputs([inside], "/proc/out")
    with pytest.raises(UnpairedError, match="cannot be written"):
        plan_outputs([inside / "a.png"], "/proc/out.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused_beforehand(inside, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(UnpairedError, match="permission denied"):
        refuse_unwritable([tmp_path / "locked" / "out"])


def test_a_table_to_write_is_checked_as_well(tmp_path):
    check_files(None, suffix=".csv")
    check_files(tmp_path / "new" / "t.csv", suffix=".csv")
    assert not (tmp_path / "new").exists()
    (tmp_path / "t.csv").write_text("x")
    check_files(tmp_path / "t.csv", suffix=".csv", overwrite=True)
    for path, reason in (
        (tmp_path / "t.csv", "there already"),
        (tmp_path / "t.csv" / "u.csv", "is a file, not a folder"),
        (tmp_path, "a folder, not a file"),
    ):
        with pytest.raises(UnpairedError, match=reason):
            check_files(path, suffix=".csv")


def test_files_that_are_there_are_named_at_once(tmp_path):
    paths = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    for path in paths[:2]:
        path.write_text("x")
    with pytest.raises(UnpairedError, match=r"a\.csv; \S*b\.csv: there already; .*--overwrite"):
        check_files(*paths, suffix=".csv")
    check_files(*paths, suffix=".csv", overwrite=True)


def test_another_suffix_and_an_input_are_refused_whatever_may_be_overwritten(tmp_path):
    read = tmp_path / "read.png"
    read.write_bytes(b"x")
    with pytest.raises(UnpairedError, match=r"--map \S*map\.jpg: a \.png file is written"):
        check_files(tmp_path / "map.jpg", suffix=".png", overwrite=True, option="--map")
    link = tmp_path / "link.png"
    link.symlink_to(read)
    for path in (read, link):
        with pytest.raises(UnpairedError, match=r"is an input; choose another --map"):
            check_files(path, suffix=".png", overwrite=True, inputs=[read], option="--map")
    assert read.read_bytes() == b"x"


def test_what_is_left_out_is_told_in_a_line_for_every_reason():
    raw = [LeftOut(Path(f"{number}.nef"), "raw; develop it", 1) for number in range(7)]
    lines = told([*raw, LeftOut(Path("old"), "2 results of an earlier run", 2)])
    assert lines == [
        "skipped 0.nef; 1.nef; 2.nef; 3.nef; 4.nef; and 2 more: raw; develop it",
        "skipped old: 2 results of an earlier run",
    ]
