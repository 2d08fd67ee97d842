"""The documentation: what it takes from other files, and whether it builds without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml

from unpaired import table_reference
from unpaired.methods import METHODS
from unpaired.tables import SIMULATED_OBSERVER

from .conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
TABLES = ["1", "2", "3", "4", "6", "7", "10", "19", "20"]
JUDGED = {"19", "20"}
SIMULATED = f"- {SIMULATED_OBSERVER}"


@pytest.mark.parametrize("number", TABLES)
def test_every_row_of_a_table_is_listed(number):
    text = table_reference.rows(number)
    for row in table_reference.table(number).rows:
        assert f"| `{row.name}` " in text
        assert row.note in text


def test_every_table_has_a_page():
    numbers = {path.stem[5:] for path in (REPOSITORY / "config/tables").glob("table*.yaml")}
    assert numbers == set(TABLES)
    for number in numbers:
        assert f"<!-- rows: {number} -->" in (DOCS / f"table{number}.md").read_text()


def test_every_page_says_which_table_of_which_paper_it_is():
    listed = table_reference.tables()
    for number in TABLES:
        table = table_reference.table(number)
        assert (DOCS / f"table{number}.md").read_text().startswith(f"# {table.name}: ")
        assert f"[Table {number}](table{number}.md)" in listed
        assert f" {table.source} " in listed


def test_every_picture_of_a_page_is_there_and_small():
    for page in DOCS.glob("*.md"):
        for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text()):
            assert (DOCS / name).is_file(), f"{page.name}: {name}"
    for picture in DOCS.glob("table*_*.jpg"):
        assert picture.stat().st_size < 300_000


def test_what_a_row_changes_of_its_method_is_told():
    ours, mu = (
        next(line for line in table_reference.rows("1").splitlines() if f"| `{name}` " in line)
        for name in ("neighbor2neighbor_fixed", "laine19_mu")
    )
    assert "noise drawn: fixed" in ours
    assert "`noise_parameter` = `global`, read-out `mu`" in mu


@pytest.mark.parametrize("number", TABLES)
def test_paper_scale_differs_in_no_setting_and_demo_scale_in_some(number):
    paper = table_reference.differences(number, "paper").splitlines()
    assert paper == [SIMULATED if number in JUDGED else "- In no setting."]
    told = table_reference.differences(number, "demo")
    assert ("centre crops of 256 px" in told) == (number not in JUDGED)
    assert ("No human saw them" in told) == (number in JUDGED)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_something_about_itself(name):
    assert len(table_reference.method_notes(name)) > 50


def test_settings_in_docstrings_become_a_list():
    notes = table_reference.method_notes("neighbor2neighbor")
    assert notes.startswith("Neighbor2Neighbor (Huang et al., CVPR 2021)")
    assert "\n\n- `gamma`: final weight of the regularizer." in notes
    assert "\n- `subsampler`: " in notes
    assert "\n- `global_residual`: " in table_reference.method_notes("laine19")
    assert "\n\n- `width, skip_width`: feature channels" in table_reference.method_notes("dip")


def test_noises_and_data_sets():
    assert "Gaussian, standard deviation 5 to 50 / 255, drawn for every image" in (
        table_reference.noises()
    )
    assert "| `poisson30`   | Poisson, photon count at 1.0: 30 " in table_reference.noises()
    assert re.search(r"\| `kodak` +\| 24 +\| 10 ", table_reference.datasets())


def test_sections_of_the_readme():
    assert "snakemake" in table_reference.readme("Run it")
    assert "## " not in table_reference.readme("Run it")


def test_every_page_is_in_the_navigation():
    listed = re.findall(r"\w+\.md", (REPOSITORY / "mkdocs.yml").read_text())
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the extra 'docs'")
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.name: path.read_text() for path in tmp_path.glob("*.html")}
    assert "neighbor2neighbor_fixed" in pages["table1.html"]
    assert not [name for name, text in pages.items() if re.search(r"<!-- \w+(: .+)? -->", text)]


def test_the_workflow_catalogue_finds_what_it_needs():
    usage = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["mandatory-flags"]["desc"]
    assert (REPOSITORY / "config/README.md").is_file()
