from __future__ import annotations

import pytest

from unpaired.learning.schedules import SCHEDULES, falls_in_second_half


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
        ("color_alexnet", 0.53, 1.0),
        ("color_alexnet", 0.54, 1 / 3),
        ("color_alexnet", 0.67, 0.1),
        ("color_alexnet", 0.9, 1 / 30),
        ("tenth_after_two_thirds", 0.66, 1.0),
        ("tenth_after_two_thirds", 0.67, 0.1),
        ("halve_every_200_of_1000", 0.19, 1.0),
        ("halve_every_200_of_1000", 0.41, 0.25),
        ("halve_every_200_of_1000", 0.99, 1 / 16),
        ("esrgan_halvings", 0.08, 1.0),
        ("esrgan_halvings", 0.09, 0.5),
        ("esrgan_halvings", 0.17, 0.25),
        ("esrgan_halvings", 0.34, 1 / 8),
        ("esrgan_halvings", 0.51, 1 / 16),
        ("deflow_halvings", 0.49, 1.0),
        ("deflow_halvings", 0.74, 0.5),
        ("deflow_halvings", 0.76, 0.25),
        ("deflow_halvings", 0.91, 1 / 8),
        ("deflow_halvings", 0.96, 1 / 16),
        ("warmup_cosine", 0.025, 0.5),
        ("warmup_cosine", 0.05, 1.0),
        ("warmup_cosine", 1.0, 0.0),
    ],
)
def test_factor(name, fraction, factor):
    assert SCHEDULES[name](fraction) == pytest.approx(factor, abs=1e-9)


def test_a_rate_that_falls_in_the_second_half():
    fractions = (0.0, 0.5, 0.6, 0.75, 1.0)
    factors = [falls_in_second_half(fraction) for fraction in fractions]
    assert factors == pytest.approx([1.0, 1.0, 0.8, 0.5, 0.0])
