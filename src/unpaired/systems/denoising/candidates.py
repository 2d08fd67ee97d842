"""Methods tried one after another on a person's noisy pictures, until a deadline."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unpaired.core.errors import UnpairedError
from unpaired.core.own_process import OutOfTime, in_own_process
from unpaired.systems.denoising.trials import Job, Outcome, run_method

# What is cheap and usually best comes first; the others by what they cost.
ORDER = (
    "cbm3d",
    "neighbor2neighbor",
    "n2v",
    "noise2self",
    "neighbor2neighbor_rrg",
    "laine19",
    "dbsn",
    "mcwnnm",
    "dip",
    "self2self",
)
# To start a process, learn a little and be judged takes about as long on two cores.
SECONDS_LEAST = 30.0
NOT_TRIED = "not tried, no time left"
NOT_FINISHED = "not finished, no time left"


@dataclass(frozen=True)
class Tried:
    """What became of a method: an outcome per read-out, or why there is none ("failed: ...").

    seconds: it took by the clock, its start and its judging included.
    """

    method: str
    outcomes: tuple[Outcome, ...] = ()
    failure: str = ""
    seconds: float = 0.0


def in_order(methods: Sequence[str]) -> list[str]:
    """Sort methods by ORDER; those that are not in it come last."""
    return sorted(methods, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def judge_candidates(
    methods: Sequence[str],
    training: Path,
    judging: Path,
    *,
    deadline: float,
    stride: int,
    device: str,
    precision: str,
    begin: Callable[[str], None] = lambda name: None,
) -> Iterator[Tried]:
    """Try methods in the order given, each in a process of its own; yield each once it is through.

    training, judging: packs as `judging.Job` says. The weights of NAME are saved beside the latter
    as NAME.safetensors. deadline: of `time.monotonic`, for training and judging of all. A method
    gets an equal share of what is left, but at least SECONDS_LEAST; those for which nothing is
    left are not tried. The first one is tried in any case, and ended at the deadline. begin is
    called with the name of every method that is begun.
    """
    for number, name in enumerate(methods):
        start = time.monotonic()
        left = deadline - start
        if number and left < SECONDS_LEAST:
            yield Tried(name, failure=NOT_TRIED)
            continue
        share = left / min(len(methods) - number, max(1, int(left / SECONDS_LEAST)))
        model = judging.with_name(f"{name}.safetensors")
        job = Job(name, start + share, training, judging, model, stride, device, precision)
        begin(name)
        outcomes, failure = (), ""
        try:
            outcomes = tuple(in_own_process(run_method, job, deadline=deadline))
        except OutOfTime:
            failure = NOT_FINISHED
        except UnpairedError as error:  # The other methods go on.
            failure = f"failed: {error}"
        yield Tried(name, outcomes, failure, time.monotonic() - start)


def minutes_for_all(tried: Sequence[Tried], seconds_before: float) -> int:
    """Return about how many minutes would do for all methods, if so many seconds came before."""
    seconds = seconds_before
    for one in tried:
        trains = any(outcome.training_seconds for outcome in one.outcomes)
        needed = 2 * one.seconds if one.failure == NOT_FINISHED else one.seconds * (not trains)
        seconds += max(SECONDS_LEAST, needed)
    return math.ceil(seconds / 60)
