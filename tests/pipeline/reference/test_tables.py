"""What the documentation takes from tables, methods, noises and data sets."""

from __future__ import annotations

import re

import pytest

from tests.conftest import REPOSITORY
from tests.test_docs import TABLES
from unpaired import catalog
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.reference import tables as table_reference
from unpaired.pipeline.settings import load_settings
from unpaired.pipeline.tables.deviations import deviations_of_code
from unpaired.systems.perceptual.notes import SIMULATED_OBSERVER

JUDGED = {"19", "20"}
OWN_PICTURES = {"5", "8", "9", "13", "14", "15", "16", "17", "18"}
SIMULATED = f"- {SIMULATED_OBSERVER}"


@pytest.mark.parametrize("number", TABLES)
def test_every_row_of_a_table_is_listed(number):
    text = table_reference.rows(number)
    for row in table_reference.table(number).rows:
        assert f"| `{row.name}` " in text
        assert row.note in text


def test_what_a_row_changes_of_its_method_is_told():
    ours, mu = (
        next(line for line in table_reference.rows("1").splitlines() if f"| `{name}` " in line)
        for name in ("neighbor2neighbor_fixed", "laine19_mu")
    )
    assert "noise drawn: fixed" in ours
    assert "`noise_parameter` = `global`, read-out `mu`" in mu


@pytest.mark.parametrize("number", TABLES)
def test_paper_scale_differs_in_no_setting_and_demo_scale_in_some(number):
    settings = load_settings([REPOSITORY / f"config/{n}.yaml" for n in ("config", "paper")], None)
    plan = plan_table(table_reference.table(number), settings, assume_data=True)
    code = [f"- {line}" for line in deviations_of_code(plan)]
    paper = table_reference.differences(number, "paper").splitlines()
    assert paper == [SIMULATED] * (number in JUDGED) + code
    told = table_reference.differences(number, "demo")
    assert ("center crops of 256 px" in told) == (number not in JUDGED | OWN_PICTURES)
    assert ("No human saw them" in told) == (number in JUDGED)


@pytest.mark.parametrize("name", catalog.methods())
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
