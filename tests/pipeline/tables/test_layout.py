from __future__ import annotations

from tests.pipeline.synthetic_results import make_lines
from unpaired.pipeline.tables.layout import align_markdown, lines_as_markdown


def test_ours_stand_beside_the_papers(tmp_path):
    text = lines_as_markdown(*make_lines(tmp_path))
    cells = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in cells}) == 1
    assert "32.08/0.879" in text
    assert "data absent" in text
    assert "31.00/0.900" in text


def test_align_markdown():
    assert align_markdown([["a", "bb"], ["ccc", ""]]) == "| a   | bb |\n|-----|----|\n| ccc |    |"
