"""Two ways to do the same, timed in turn in one process, so that their ratio holds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def seconds_of(work: Callable[[Tensor], Any], image: Tensor) -> float:
    start = time.perf_counter()
    work(image)
    if image.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(
    name: str,
    plain: Callable[[Tensor], Any],
    ours: Callable[[Tensor], Any],
    image: Tensor,
    runs: int,
) -> float:
    """Time both in turn, print medians and the median of the paired ratios; return our median."""
    seconds_of(plain, image), seconds_of(ours, image)
    pairs = [(seconds_of(plain, image), seconds_of(ours, image)) for _ in range(runs)]
    medians = [statistics.median(side) * 1e3 for side in zip(*pairs, strict=True)]
    ratios = sorted(a / b for a, b in pairs)
    print(
        f"{name}: plain {medians[0]:.0f} ms, ours {medians[1]:.0f} ms, "
        f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} .. {ratios[-1]:.2f}), n = {runs}",
        flush=True,
    )
    return medians[1] / 1e3
