"""The protocol of Tables 5.4 and 5.5 of Zhang 2018: how often the class is told, layer by layer."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from unpaired.core.errors import UnpairedError
from unpaired.data.packs import Pack
from unpaired.imaging.pixels import center_crop, to_uint8
from unpaired.networks.alexnet_caffe import LAYERS
from unpaired.pipeline.scored import Scored
from unpaired.systems.features.labeled import labels_of
from unpaired.systems.features.methods.linear_probe import BATCH, LinearProbe, picture_batches

PERCENT = 100.0
SHOWN = 8


def score(
    product: LinearProbe,
    pack: Pack,
    condition: Any,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
) -> Scored:
    """Fit classifiers of the probe's labeled pictures and score them on a pack with labels.

    The example is the first pictures. condition and repeats have no meaning, and crop_px is the
    probe's own. Raises UnpairedError for pictures without labels, and for a class
    that the probe has not learned.
    """
    labels = labels_of(pack)
    if labels.max() >= product.classes:
        raise UnpairedError(
            f"data set '{pack.source}': class {labels.max()}, and the classifiers have learned "
            f"{product.classes} classes; name test pictures of the same classes"
        )
    classifiers = product.fit(device)
    names, side = pack.columns["name"], product.config.crop_px
    rows: list[dict[str, Any]] = []
    for batch, pictures in enumerate(picture_batches(pack, side, device)):
        start = time.perf_counter()
        told = product.classify(classifiers, pictures)
        pace = (time.perf_counter() - start) / (len(pictures) * side**2 / 1e6)
        for number in range(len(pictures)):
            record = batch * BATCH + number
            right = {
                f"top1_{layer}": PERCENT * float(told[layer][number] == labels[record])
                for layer in LAYERS
            }
            mean = {"top1_mean": float(np.mean(list(right.values())))}
            about = {"image": names[record], "repeat": 0}
            rows.append({**about, **right, **mean, "seconds_per_mpix": pace})
    means = [np.mean([row[f"top1_{layer}"] for row in rows]) for layer in LAYERS]
    summary = "top-1 (%) of conv1 .. conv5: " + " ".join(f"{mean:.1f}" for mean in means)
    shown = [
        to_uint8(center_crop(pack.read_unit(index), side)) for index in range(min(SHOWN, len(pack)))
    ]
    return Scored(rows, np.concatenate(shown, axis=1), summary)
