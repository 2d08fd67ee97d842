"""Which methods are tried in which order, and how time is dealt out to them."""

from __future__ import annotations

import time

import pytest

from unpaired.core.errors import UnpairedError
from unpaired.core.own_process import OutOfTime
from unpaired.systems.denoising import candidates
from unpaired.systems.denoising.candidates import (
    NOT_FINISHED,
    NOT_TRIED,
    Tried,
    in_order,
    judge_candidates,
)
from unpaired.systems.denoising.short_training import methods_for_noisy


@pytest.fixture
def shares(monkeypatch):
    """Shares of the time in seconds, by method, of candidates that take none of it."""
    given = {}

    def run(function, job, deadline):
        given[job.method] = job.until - time.monotonic()
        if job.method == "late":
            raise OutOfTime("no time left")
        if job.method == "bad":
            raise UnpairedError("it cannot")
        return []

    monkeypatch.setattr(candidates, "in_own_process", run)
    return given


def tried(methods, seconds, tmp_path):
    return list(
        judge_candidates(
            methods,
            tmp_path / "training.h5",
            tmp_path / "judging.h5",
            deadline=time.monotonic() + seconds,
            stride=1,
            device="cpu",
            precision="fp32",
        )
    )


def test_what_is_cheap_and_good_comes_first():
    ordered = in_order([*methods_for_noisy(), "new"])
    assert ordered[:2] == ["cbm3d", "neighbor2neighbor"]
    assert ordered[-2:] == ["self2self", "new"]
    assert set(candidates.ORDER) == set(methods_for_noisy())


def test_what_one_leaves_goes_to_the_others(shares, tmp_path):
    tried(["a", "b", "c"], 300, tmp_path)
    assert [round(share) for share in shares.values()] == [100, 150, 300]


def test_nobody_gets_too_little_to_learn_from(shares, tmp_path):
    tried(["a", "b", "c", "d"], 70, tmp_path)
    assert [round(share) for share in shares.values()] == [35, 35, 35, 70]


def test_reasons(shares, tmp_path):
    assert [one.failure for one in tried(["late", "bad", "a"], 300, tmp_path)] == [
        NOT_FINISHED,
        "failed: it cannot",
        "",
    ]
    assert [one.failure for one in tried(["a", "b"], 10, tmp_path)] == ["", NOT_TRIED]


def test_minutes_that_would_do():
    fitting = [Tried("a", seconds=100), Tried("b", failure=NOT_TRIED)]
    assert candidates.minutes_for_all(fitting, 20) == 3
    late = [Tried("a", failure=NOT_FINISHED, seconds=100)]
    assert candidates.minutes_for_all(late, 20) == 4
