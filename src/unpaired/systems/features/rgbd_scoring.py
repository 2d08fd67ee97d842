"""The protocol of Table 5.7 of Zhang 2018: mean average precision of detectors of RGB-D images."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from unpaired.core.progress import Progress
from unpaired.data.packs import Pack
from unpaired.imaging.pixels import to_uint8
from unpaired.pipeline.scored import Scored
from unpaired.systems.features.methods.rgbd_encoder import FIELDS
from unpaired.systems.features.voc_samples import require_field, require_pictures
from unpaired.systems.features.voc_scoring import detection_scores


def score(
    product: Any,
    pack: Pack,
    condition: Any,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
) -> Scored:
    """Score a detector of pictures, of HHA, or of both, on a pack that has boxes.

    The example is the first picture beside its HHA. condition, repeats and crop_px have no meaning.
    Raises UnpairedError for a pack without boxes or depth, and if no class is there to be found.
    """
    require_field(pack, "boxes")
    require_pictures(pack, *FIELDS.values())
    found, rows = [], []
    with Progress(f"detection of {pack.source}", len(pack)) as progress:
        for index in pack:
            # What it is not to see it is not given.
            pictures = {field: pack.read_unit(index, field) for field in product.fields}
            start = time.perf_counter()
            with torch.inference_mode():
                found.append(product.find(pictures, device))
            pace = (time.perf_counter() - start) / (np.prod(pack.shape(index)[:2]) / 1e6)
            about = {"image": pack.columns["name"][index], "repeat": 0}
            rows.append({**about, "seconds_per_mpix": float(pace)})
            progress.advance()
    classes = getattr(product, "classes", None) or product.config.classes
    pooled = detection_scores(pack, found, classes)
    summary = ", ".join(f"{name} {value:.1f}" for name, value in pooled.items())
    shown = [to_uint8(pack.read_unit(0, field)) for field in FIELDS.values()]
    return Scored(rows, np.concatenate(shown, axis=1), summary, pooled)
