from __future__ import annotations

import pytest
import torch
from torch import nn

from unpaired.learning import fitting
from unpaired.learning.fitting import fit, fitting_on

CPU = torch.device("cpu")


def test_the_seed_key_alone_decides_what_is_drawn_in_a_fit():
    draws = []
    for key in ("a", "a", "b"):
        with fitting_on(CPU, key):
            draws.append(torch.rand(3))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_a_long_fit_says_how_far_it_is(monkeypatch, capsys):
    weight = nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    options = {"steps": 3, "device": CPU, "precision": "fp32"}
    fit("quick", lambda: {"loss": weight.square()}, optimizer, **options)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(fitting, "SECONDS_BETWEEN_LINES", -1.0)
    fit("slow", lambda: {"loss": weight.square()}, optimizer, **options)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("slow: 1/3 steps, loss ")
    assert len(lines) == 3
    assert weight.item() == pytest.approx(0.8**6)
