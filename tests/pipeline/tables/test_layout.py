from __future__ import annotations

from tests.conftest import REPOSITORY
from tests.pipeline.synthetic_results import make_lines
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.table import load_table
from unpaired.pipeline.tables.layout import align_markdown, lines_as_markdown
from unpaired.pipeline.tables.lines import Line


def test_ours_stand_beside_the_papers(tmp_path):
    text = lines_as_markdown(*make_lines(tmp_path))
    cells = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in cells}) == 1
    assert "32.08/0.879" in text
    assert "data absent" in text
    assert "31.00/0.900" in text


def test_align_markdown():
    assert align_markdown([["a", "bb"], ["ccc", ""]]) == "| a   | bb |\n|-----|----|\n| ccc |    |"


def test_many_metrics_have_columns_of_their_own_and_a_table_for_every_test_set():
    plan = plan_table(load_table(REPOSITORY / "config/tables/table8.yaml"), parse_settings({}))
    row = (8, "inpaint_face_5paired", "sud2")
    lines = [
        Line(*row, "drawn_portraits", "psnr_db", value=18.444, status="ok"),
        Line(*row, "drawn_portraits", "truth_correlation", value=-0.0004, status="ok"),
        Line(*row, "celebamask_hq", "psnr_db", paper_value=18.71, status="data absent"),
    ]
    drawn, people = lines_as_markdown(plan, lines).split("## ")[1:]
    assert drawn.startswith("drawn portraits, test")
    assert _cells(drawn)[0] == ["noise", "method", "PSNR (dB)", "correlation of truths", "status"]
    assert _cells(drawn)[2] == ["face_zero", "sud2", "18.44", "0.00", "ok"]
    # Of people's portraits there is nothing of ours, so the paper's numbers stand alone.
    assert people.startswith("CelebAMask-HQ, test")
    assert _cells(people)[0] == ["noise", "method", "PSNR (dB): paper", "status"]
    assert _cells(people)[2] == ["face_zero", "sud2", "18.71", "data absent"]


def _cells(section: str) -> list[list[str]]:
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
