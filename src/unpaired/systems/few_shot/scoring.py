"""The protocol of SUD² (Chan et al. 2023, section 4): pictures of measurements, against truths.

Scores of single pictures are means; those of the set as a whole (Fréchet distance, collapse) are
pooled. All are of the picture in 8 bits, but those of the features of a network.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError
from unpaired.core.progress import Progress
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.imaging.pixels import to_uint8
from unpaired.learning.method import Observation
from unpaired.metrics.collapse import collapse, core_of
from unpaired.metrics.frechet import frechet_distance
from unpaired.metrics.psnr import psnr_db
from unpaired.metrics.ssim import ssim
from unpaired.pipeline.scored import Scored
from unpaired.systems.few_shot import PEOPLE
from unpaired.systems.few_shot.published_metrics import fid, lpips_model
from unpaired.systems.few_shot.samples import Measurements, Observed

BATCH = 64


class Features(Protocol):
    """What portraits are compared by: see `methods.portrait_features`."""

    def pooled(self, picture: Tensor) -> Tensor: ...

    def distances(self, reference: Tensor, other: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Made:
    """What a product made of a test picture. output: H x W x C, float32, not clipped."""

    seen: Observed
    output: np.ndarray
    seconds: float

    @property
    def picture(self) -> np.ndarray:
        """The output in 8 bits."""
        return to_uint8(self.output)


def make_all(
    product: Any, pack: Pack, condition: Condition | Noise | None, device: torch.device
) -> list[Made]:
    """Return what a product makes of every record of a pack; it sees the measurement alone.

    A product that lists "hole" in ``knows`` is told the hole as well: a control, no method. Raises
    UnpairedError for a pack without truths.
    """
    found, views = [], Measurements(pack, condition)
    with Progress(f"restore {pack.source}", len(pack)) as progress:
        for index in pack:
            seen = views[index]
            if seen.truth is None:
                raise UnpairedError(f"data set '{pack.source}': no truths to score against")
            start = time.perf_counter()
            output = restored(product, seen, device)
            found.append(Made(seen, output, time.perf_counter() - start))
            progress.advance()
    return found


def restored(product: Any, seen: Observed, device: torch.device) -> np.ndarray:
    """Return what a product makes of one measurement, H x W x C, of any size.

    Sides are extended by reflection to what the product takes, and cut again.
    """
    height, width = seen.measured.shape[:2]
    multiple = product.multiple_px
    padding = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    padded = np.pad(seen.measured, padding, mode="reflect")
    image = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1)))[None].to(device)
    told = [torch.from_numpy(seen.hole).to(device)] if "hole" in product.knows else []
    with torch.inference_mode():
        output = product.restore(Observation(image), *told)
    return output[0].permute(1, 2, 0).float().cpu().numpy()[:height, :width]


def score(
    product: Any,
    pack: Pack,
    condition: Condition | Noise | None,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
    features: Features,
) -> Scored:
    """Score a reconstruction; the example is the first measurement, its picture, and the truth.

    features: the network whose distances are named by it. Of pictures of people LPIPS and FID are
    scored as well, by published weights. repeats has no meaning, and crop_px must be None.
    Raises UnpairedError where holes or weights are missing.
    """
    made = make_all(product, pack, condition, device)
    outputs = [_tensor(one.output, device) for one in made]
    truths = [_tensor(one.seen.truth, device) for one in made]
    distances = _distances(features, outputs, truths)
    rows = [_row(one, distance) for one, distance in zip(made, distances, strict=True)]
    pooled = _pooled(features, outputs, truths) | _collapse(made)
    if pack.source == PEOPLE:
        metric = lpips_model(device)
        for row, output, truth in zip(rows, outputs, truths, strict=True):
            with torch.inference_mode():
                row["lpips"] = float(metric.distances(truth, output.clamp(0, 1))[0])
        found = fid(outputs, truths, device)
        pooled |= found | {"fid": found["fid_768"]}
    mean = {key: np.mean([row[key] for row in rows]) for key in ("psnr_db", "ssim")}
    summary = (
        f"{mean['psnr_db']:.2f} dB, SSIM {mean['ssim']:.3f}, "
        f"outputs correlate by {pooled['output_correlation']:.2f}"
    )
    shown = [to_uint8(made[0].seen.measured), made[0].picture, to_uint8(made[0].seen.truth)]
    return Scored(rows, np.concatenate(shown, axis=1), summary, pooled)


def _tensor(picture: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].to(device)


def _row(made: Made, distance: float) -> dict[str, Any]:
    truth, hole = to_uint8(made.seen.truth), _hole_of(made.seen)
    inside = [picture[hole][None] for picture in (truth, made.picture)]
    return {
        "image": made.seen.name,
        "repeat": 0,
        "psnr_db": psnr_db(truth, made.picture),
        "ssim": ssim(truth, made.picture),
        "hole_psnr_db": psnr_db(*inside),
        "feature_distance": distance,
        "seconds_per_mpix": made.seconds / (truth[..., 0].size / 1e6),
    }


def _hole_of(seen: Observed) -> np.ndarray:
    """Return the hole; all of a picture whose damage no mask tells."""
    return np.ones(seen.measured.shape[:2], bool) if seen.hole is None else seen.hole


def _distances(features: Features, outputs: list[Tensor], truths: list[Tensor]) -> list[float]:
    found: list[float] = []
    with torch.inference_mode():
        for output, truth in _batches(outputs, truths):
            found += features.distances(truth, output).cpu().tolist()
    return found


def _pooled(features: Features, outputs: list[Tensor], truths: list[Tensor]) -> dict[str, float]:
    with torch.inference_mode():
        sets = zip(
            *(
                (features.pooled(output).cpu(), features.pooled(truth).cpu())
                for output, truth in _batches(outputs, truths)
            ),
            strict=True,
        )
        made, true = (torch.cat(parts).numpy() for parts in sets)
    return {"fd_portrait_features": frechet_distance(made, true)}


def _batches(outputs: list[Tensor], truths: list[Tensor]):
    for start in range(0, len(outputs), BATCH):
        here = slice(start, start + BATCH)
        yield torch.cat(outputs[here]).clamp(0, 1), torch.cat(truths[here])


def _collapse(made: list[Made]) -> dict[str, float]:
    outputs = np.stack([np.clip(one.output, 0, 1) for one in made])
    truths = np.stack([one.seen.truth for one in made])
    holes = np.stack([_hole_of(one.seen) for one in made])
    found = collapse(outputs, truths, core_of(holes))
    return {
        "output_correlation": found.correlation,
        "truth_correlation": found.truth_correlation,
        "variance_ratio": found.variance_ratio,
        "participation": found.participation,
        "truth_participation": found.truth_participation,
    }
