"""The protocol of Table 5.6 of Zhang 2018: mean average precision, and mean overlap."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from unpaired.core.errors import UnpairedError
from unpaired.core.progress import Progress
from unpaired.data.packs import Pack
from unpaired.imaging.pixels import to_uint8
from unpaired.metrics.voc import (
    AREA,
    ELEVEN_POINTS,
    Boxes,
    average_precision,
    confusion,
    detection_precisions,
    mean_overlap,
)
from unpaired.pipeline.scored import Scored
from unpaired.systems.features.voc_samples import (
    ABSENT,
    boxes_of,
    present_classes,
    require_field,
)

PERCENT = 100.0


def score(
    product: Any,
    pack: Pack,
    condition: Any,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
) -> Scored:
    """Score what was fine-tuned for a task on a pack that has its truths.

    The example is the first picture. condition, repeats and crop_px have no meaning. Raises
    UnpairedError for a pack without truths, and if no class is there to be found.
    """
    require_field(pack, product.told)
    ask = getattr(
        product, {"classification": "classify", "detection": "detect"}.get(product.task, "segment")
    )
    found, rows = [], []
    with Progress(f"{product.task} of {pack.source}", len(pack)) as progress:
        for index in pack:
            picture = pack.read_unit(index)
            start = time.perf_counter()
            with torch.inference_mode():
                found.append(ask(picture, device))
            pace = (time.perf_counter() - start) / (picture[..., 0].size / 1e6)
            about = {"image": pack.columns["name"][index], "repeat": 0}
            rows.append({**about, "seconds_per_mpix": pace})
            progress.advance()
    classes = product.config.classes
    if product.task == "segmentation":
        pooled = {"miu_pct": PERCENT * _mean_overlap(pack, found, classes + 1)}
    elif product.task == "classification":
        pooled = _pooled(_present, pack, found, classes)
    else:
        pooled = detection_scores(pack, found, classes)
    summary = ", ".join(f"{name} {value:.1f}" for name, value in pooled.items())
    return Scored(rows, to_uint8(pack.read_unit(0)), summary, pooled)


def detection_scores(pack: Pack, found: list[Boxes], classes: int) -> dict[str, float]:
    """Return mean average precisions, in percent, of the boxes found in each picture of a pack.

    Raises UnpairedError if no class is there to be found.
    """
    return _pooled(_detected, pack, found, classes)


def _pooled(precisions: Any, pack: Pack, found: list[Any], classes: int) -> dict[str, float]:
    return {
        name: PERCENT * _mean(precisions(pack, found, classes, kind), pack)
        for name, kind in (("map_pct", ELEVEN_POINTS), ("map_area_pct", AREA))
    }


def _mean(precisions: list[float], pack: Pack) -> float:
    if not precisions:
        raise UnpairedError(f"data set '{pack.source}': no objects to be found")
    return float(np.mean(precisions))


def _present(pack: Pack, scores: list[np.ndarray], classes: int, kind: str) -> list[float]:
    """Return the average precision of every class; pictures where it is difficult are left out."""
    given, true = (
        np.stack(scores),
        np.stack([present_classes(boxes_of(pack, index), classes) for index in pack]),
    )
    precisions = []
    for number in range(classes):
        counts = true[:, number] != ABSENT
        right = true[counts, number] == 1
        if right.any():
            precisions.append(
                average_precision(given[counts, number], right, int(right.sum()), kind)
            )
    return precisions


def _detected(pack: Pack, found: list[Boxes], classes: int, kind: str) -> list[float]:
    true = [
        Boxes(boxes[:, 1:5], boxes[:, 0].astype(int), difficult=boxes[:, 5] > 0)
        for index in pack
        for boxes in [boxes_of(pack, index)]
    ]
    return detection_precisions(found, true, classes, kind)


def _mean_overlap(pack: Pack, found: list[np.ndarray], classes: int) -> float:
    counts = sum(
        confusion(told, pack.read(index, "labels")[..., 0], classes)
        for index, told in zip(pack, found, strict=True)
    )
    return mean_overlap(counts)
