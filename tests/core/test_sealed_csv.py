from __future__ import annotations

import json

import pytest

from unpaired.core.errors import UnpairedError
from unpaired.core.files import rows_as_csv
from unpaired.core.sealed_csv import read_record, read_sealed, write_sealed

ROWS = [{"image": f"i{number}", "psnr_db": f"{30 + number}.5"} for number in range(3)]


@pytest.fixture
def scores(tmp_path):
    """A score file of three pictures and the record beside it."""
    path = tmp_path / "scores.csv"
    seals = write_sealed({path: rows_as_csv(ROWS)})
    path.with_suffix(".json").write_text(json.dumps({"seconds": 1} | seals))
    return path


def read(path):
    return read_sealed(path, path.with_suffix(".json"))


def test_what_was_written_is_read_back(scores):
    assert read(scores) == rows_as_csv(ROWS).encode()
    assert read_record(scores.with_suffix(".json"))["files"]["scores.csv"]["rows"] == 3


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda content: b"".join(content.splitlines(True)[:2]), r"\(1 rows, 3 in its record\)"),
        (lambda content: content[:-3], "not as it was written"),
        (lambda content: b"", r"\(0 rows, 3 in its record\)"),
        (lambda content: bytes(len(content)), "not as it was written|damaged"),
        (lambda content: b"\xff" * len(content), "damaged"),
        (lambda content: content.replace(b"31.5", b"91.5"), "not as it was written"),
    ],
    ids=["cut at a line", "cut in a line", "empty", "zeros", "no text", "another number"],
)
def test_a_damaged_file_is_one_line_that_names_it(scores, damage, told):
    scores.write_bytes(damage(scores.read_bytes()))
    with pytest.raises(UnpairedError, match=told) as error:
        read(scores)
    assert str(scores) in str(error.value)
    assert "delete it and run snakemake again" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"", bytes(40), b'{"files": {"scores.csv": {"ro', b"[1, 2]", b"\xff\xfe"],
    ids=["empty", "zeros", "cut", "no object", "no text"],
)
def test_a_damaged_record_is_one_line_that_names_it(scores, content):
    record = scores.with_suffix(".json")
    record.write_bytes(content)
    with pytest.raises(UnpairedError, match=r"not a readable record.*delete it") as error:
        read(scores)
    assert str(record) in str(error.value)


@pytest.mark.parametrize("about", [{}, {"files": None}, {"files": {"others.csv": {}}}])
def test_the_record_of_another_file(scores, about):
    scores.with_suffix(".json").write_text(json.dumps(about))
    with pytest.raises(UnpairedError, match=r"scores\.json: says nothing of scores\.csv"):
        read(scores)


def test_missing_files_are_named(scores):
    scores.with_suffix(".json").unlink()
    with pytest.raises(UnpairedError, match=r"scores\.json: no such record"):
        read(scores)
    scores.unlink()
    with pytest.raises(UnpairedError, match=r"scores\.csv: no such file"):
        read(scores)
