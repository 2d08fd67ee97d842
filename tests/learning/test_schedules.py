from __future__ import annotations

import pytest

from unpaired.learning.schedules import SCHEDULES


@pytest.mark.parametrize(
    ("name", "fraction", "factor"),
    [
        ("halve_every_fifth", 0.0, 1.0),
        ("halve_every_fifth", 0.189, 1.0),
        ("halve_every_fifth", 0.19, 0.5),
        ("halve_every_fifth", 0.5, 0.25),
        ("halve_every_fifth", 0.99, 1 / 16),
        ("tenth_every_sixth", 0.166, 1.0),
        ("tenth_every_sixth", 0.167, 0.1),
        ("tenth_every_sixth", 0.5, 1e-3),
        ("tenth_every_sixth", 0.99, 1e-5),
        ("cosine_ramps", 0.0, 0.0),
        ("cosine_ramps", 0.05, 0.5),
        ("cosine_ramps", 0.1, 1.0),
        ("cosine_ramps", 0.7, 1.0),
        ("cosine_ramps", 0.85, 0.25),
        ("cosine_ramps", 1.0, 0.0),
        ("constant", 0.0, 1.0),
        ("constant", 0.99, 1.0),
        ("halve_midway", 0.499, 1.0),
        ("halve_midway", 0.5, 0.5),
        ("halve_midway", 0.99, 0.5),
        ("tenth_midway", 0.499, 1.0),
        ("tenth_midway", 0.5, 0.1),
        ("warmup_cosine", 0.025, 0.5),
        ("warmup_cosine", 0.05, 1.0),
        ("warmup_cosine", 1.0, 0.0),
    ],
)
def test_factor(name, fraction, factor):
    assert SCHEDULES[name](fraction) == pytest.approx(factor, abs=1e-9)
