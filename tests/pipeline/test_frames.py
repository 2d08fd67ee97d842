from __future__ import annotations

import pytest

from unpaired.core.errors import UnpairedError
from unpaired.core.files import rows_as_csv
from unpaired.pipeline.frames import as_csv, read_frame


def test_names_of_pictures_stay_as_they_are(tmp_path):
    names = ["0001", "nan", "NA", "None", "1e5", "", " x ", "a,b", 'a"b', "a\nb", "#", "ä"]
    rows = [{"image": name, "psnr_db": "31.50"} for name in names]
    path = tmp_path / "scores.csv"
    path.write_text(rows_as_csv(rows), newline="")
    assert read_frame(path).to_dict("records") == rows


def test_numbers_are_read_to_the_last_digit(tmp_path):
    numbers = [0.1 + 0.2, 1 / 3, 1e-300, 31.123456789012345, float("inf")]
    path = tmp_path / "scores.csv"
    path.write_text(rows_as_csv([{"value": number} for number in numbers]))
    assert read_frame(path)["value"].astype(float).tolist() == numbers


def test_values_are_written_as_they_are():
    rows = [{"a": 9, "b": 1.5, "c": "x, y"}, {"a": 10**9, "b": None}, {"b": 2}]
    assert as_csv(rows, ["a", "b", "c"]) == 'a,b,c\n9,1.5,"x, y"\n1000000000,,\n,2,\n'


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a,b\n1,2\n1,2,3\n", b'a,b\n"1,2'])
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, content):
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    with pytest.raises(UnpairedError, match=r"scores\.csv: not a readable CSV file"):
        read_frame(path)
