from __future__ import annotations

import csv
import io
import math

from tests.pipeline.synthetic_results import make_lines, write_record
from unpaired.pipeline.tables.lines import Line, lines_as_csv, read_lines


def test_one_row_per_number(tmp_path):
    _, lines = make_lines(tmp_path)
    rows = list(csv.DictReader(io.StringIO(lines_as_csv(lines))))
    assert len(rows) == len(lines)
    assert list(rows[0])[:6] == ["table", "setting", "method", "dataset", "metric", "value"]


def test_what_was_written_is_read_back(tmp_path):
    path = tmp_path / "table1.csv"
    absent = Line(1, "nan", "NA, with a comma", "0001", "ssim")
    filled = Line(1, "a", 'a "quoted" method', "b", "psnr_db", value=31.5, n_images=9, repeats=2)
    path.write_text(lines_as_csv([absent, filled]))
    write_record(path, {})
    assert read_lines(path) == [absent, filled]


def test_a_number_that_is_none_is_not_an_absent_one(tmp_path):
    path = tmp_path / "table1.csv"
    path.write_text(lines_as_csv([Line(1, "a", "m", "d", "ssim", value=math.nan)]))
    write_record(path, {})
    (line,) = read_lines(path)
    assert math.isnan(line.value)
    assert line.ci_low is None
