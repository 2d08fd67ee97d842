"""The page of faults: long enough, and every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import REPOSITORY

PAGE = Path(__file__).with_name("README.md")
ROWS_MIN = 60
TEST = re.compile(r"`([\w/]*(?:\.py)?)::(\w+)`")


def rows_of(page: str) -> list[list[str]]:
    """Return the cells of all rows of faults, headers left out."""
    page = page[page.index("| fault |") :]
    lines = [line for line in page.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] != "fault" and not row[0].startswith("---")]


def named_in(row: list[str]) -> list[tuple[str, str]]:
    """Return file and name of every test in a row; ``::name`` is in the file before it."""
    found, file = [], ""
    for own_file, name in TEST.findall(row[-1]):
        file = own_file or file
        found.append((file, name))
    return found


def test_the_page_has_its_rows():
    rows = rows_of(PAGE.read_text())
    assert len(rows) >= ROWS_MIN
    assert all(len(row) == 3 and all(row) for row in rows)
    assert len({row[0] for row in rows}) == len(rows)


def test_every_test_that_the_page_names_is_there():
    for row in rows_of(PAGE.read_text()):
        assert named_in(row), row[0]
        for file, name in named_in(row):
            path = REPOSITORY / "tests" / file
            assert path.is_file(), f"{row[0]}: {file}"
            assert re.search(rf"^def {name}\(", path.read_text(), re.M), f"{row[0]}: {name}"


def test_a_row_is_read():
    row = "| a | b | `c/d.py::test_e`, `::test_f` |"
    page = f"| fault | what happens | shown by |\n|---|---|---|\n{row}"
    assert rows_of(page) == [["a", "b", "`c/d.py::test_e`, `::test_f`"]]
    assert named_in(rows_of(page)[0]) == [("c/d.py", "test_e"), ("c/d.py", "test_f")]
