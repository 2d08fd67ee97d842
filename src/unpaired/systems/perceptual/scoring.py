"""The protocol for distances: how well they agree with judgments of patches (Zhang 2018, ch. 6).

A set of triplets gives the 2AFC score, a mean over triplets; a set of JND pairs gives an average
precision, which belongs to the set as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.core.progress import Progress
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.metrics.two_alternative import agreement, average_precision, ceiling
from unpaired.pipeline.scored import Scored
from unpaired.systems.perceptual.methods.formulas import Voters
from unpaired.systems.perceptual.samples import FIELDS, PICTURES, check_fields

BATCH = 50
PAIR_FIELDS = ("first", "second", "same")


class Judge(Protocol):
    """A product that says how different pictures are."""

    def distances(self, reference: Tensor, *others: Tensor) -> list[Tensor]: ...


def score(
    judge: Judge | Voters,
    pack: Pack,
    noise: Noise | None,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
) -> Scored:
    """Score a distance on a pack of triplets or of JND pairs; the example is its first record.

    Rows of triplets: "two_afc" and "ceiling" (what the voters score themselves) in percent, "judge"
    (share of votes for the second), "first_distance" and "second_distance". Rows of pairs:
    "distance" and "same"; their pooled value is "jnd_map" in percent.
    Raises UnpairedError for other packs, and where noise, repeats or crops are asked for.
    """
    if noise is not None or repeats != 1 or crop_px is not None:
        raise UnpairedError("judged patches are scored once, whole and as they are")
    if "same" in pack.fields:
        return _score_pairs(judge, pack, device)
    check_fields(pack, FIELDS)
    return _score_triplets(judge, pack, device)


def _score_triplets(judge: Judge | Voters, pack: Pack, device: torch.device) -> Scored:
    share = _judgments(pack, "judge")
    reached = 100 * ceiling(share)
    if isinstance(judge, Voters):
        rows = _rows(pack, PICTURES[0], 0.0, two_afc=reached, ceiling=reached, judge=share)
    else:
        (first, second), seconds = _distances(judge, pack, PICTURES, device)
        # Distances of -inf (PSNR of identical patches) are compared like any others.
        ranks = np.select([first < second, second < first], [-1.0, 1.0], 0.0)
        agreed = 100 * agreement(ranks, np.zeros_like(ranks), share)
        rows = _rows(
            pack,
            PICTURES[0],
            seconds,
            two_afc=agreed,
            ceiling=reached,
            judge=share,
            first_distance=first,
            second_distance=second,
        )
    mean = np.mean([row["two_afc"] for row in rows])
    summary = f"agrees in {mean:.2f} %, the voters themselves in {reached.mean():.2f} %"
    return Scored(rows, _example(pack, PICTURES), summary)


def _score_pairs(judge: Judge | Voters, pack: Pack, device: torch.device) -> Scored:
    if isinstance(judge, Voters):
        raise UnpairedError(f"pack {pack.path}: pairs, which the voters have no distance for")
    check_fields(pack, PAIR_FIELDS)
    same = _judgments(pack, "same")
    (distance,), seconds = _distances(judge, pack, PAIR_FIELDS[:2], device)
    # Only the order counts; ranks stand for distances that may be -inf.
    order = np.unique(distance, return_inverse=True)[1]
    precision = 100 * average_precision(order, same)
    rows = _rows(pack, "first", seconds, distance=distance, same=same)
    example = _example(pack, PAIR_FIELDS[:2])
    return Scored(rows, example, f"average precision {precision:.2f} %", {"jnd_map": precision})


def _judgments(pack: Pack, field: str) -> np.ndarray:
    return np.array([pack.read(index, field).item() for index in pack], np.float64)


def _distances(
    judge: Judge, pack: Pack, fields: tuple[str, ...], device: torch.device
) -> tuple[list[np.ndarray], float]:
    """Return the distances of the first field to each of the others, and the seconds they took."""
    found: list[list[np.ndarray]] = [[] for _ in fields[1:]]
    seconds = 0.0
    with Progress(f"judge {pack.source}", len(pack)) as progress, torch.inference_mode():
        for batch in _batches(pack, fields, device):
            start = time.perf_counter()
            for kept, distance in zip(found, judge.distances(*batch), strict=True):
                kept.append(distance.double().cpu().numpy())
            seconds += time.perf_counter() - start
            progress.advance(len(batch[0]))
    return [np.concatenate(parts) for parts in found], seconds


def _batches(pack: Pack, fields: tuple[str, ...], device: torch.device) -> Iterator[list[Tensor]]:
    for start in range(0, len(pack), BATCH):
        indices = range(start, min(start + BATCH, len(pack)))
        arrays = [np.stack([pack.read_unit(index, key) for index in indices]) for key in fields]
        yield [torch.from_numpy(array).permute(0, 3, 1, 2).to(device) for array in arrays]


def _rows(pack: Pack, picture: str, seconds: float, **columns: np.ndarray) -> list[dict]:
    """Return a row per record; the seconds are dealt out evenly over the reference's pixels."""
    megapixels = sum(np.prod(pack.shape(index, picture)[:2]) for index in pack) / 1e6
    pace = seconds / megapixels
    return [
        {"image": name, "repeat": 0}
        | {key: float(values[index]) for key, values in columns.items()}
        | {"seconds_per_mpix": pace}
        for index, name in enumerate(pack.columns["name"])
    ]


def _example(pack: Pack, fields: tuple[str, ...]) -> np.ndarray:
    return np.concatenate([pack.read(0, key) for key in fields], axis=1)
