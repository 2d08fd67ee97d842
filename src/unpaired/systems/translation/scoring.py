"""Scores of translations: how varied, how likely, and how well a code describes an output.

Diversity is the mean distance of consecutive samples of one input (section 4.4.2: 100 inputs, 20
samples, 1,900 pairs). Of drawn facades the styles are known, so it is measured how far samples are
from the nearest style, and whether styles have their shares.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError
from unpaired.core.progress import Progress
from unpaired.core.randomness import generators_for, seed_for
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.imaging.pixels import to_uint8
from unpaired.metrics.frechet import frechet_distance
from unpaired.metrics.perceptual import LPIPS
from unpaired.networks.feature_networks import build_seeded
from unpaired.pipeline.scored import Scored
from unpaired.systems.translation import DRAWN_TEST
from unpaired.systems.translation.published import published_lpips
from unpaired.systems.translation.sources.drawn_facades import (
    Nearest,
    distance_to_chances,
    labels_of,
    nearest_styles,
)

INPUTS = 100  # the first of a set
POSSIBLE_RMSE = 0.1  # Farther than this from every style, a picture is in none of them.
ALIKE_SHARE = 0.1  # of the distance of random real outputs
PERCENT = 100


@dataclass(frozen=True)
class Samples:
    """Outputs of one input, N x 3 x H x W in [0, 1]. given, truth: 1 x 3 x H x W."""

    name: str
    given: Tensor
    outputs: Tensor
    truth: Tensor
    seconds: float


def random_features(device: torch.device) -> LPIPS:
    """Return the network that names diversity: AlexNet with Gaussian weights, unweighted."""
    network = build_seeded("alex", 1.0, seed_for("diversity"))
    return LPIPS(network, learned=False).to(device).eval()


def score(
    product: Any,
    pack: Pack,
    condition: Condition | Noise | None,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
) -> Scored:
    """Score ``repeats`` samples of each of the first 100 inputs of a pack.

    The example is an input, a sample and its truth. A row is an input, with "l1_recon" where the
    product has an encoder. Of pictures that are not drawn, "lpips_diversity" (version 0.0, as in
    the thesis) and "lpips_v01_diversity" are by published weights. condition and crop_px have no
    meaning. Raises UnpairedError where weights are missing, for fewer than two samples, and for a
    pack without pairs.
    """
    if repeats < 2:
        raise UnpairedError("diversity needs 2 samples of every input at least")
    if not {"input", "output"} <= set(pack.fields):
        raise UnpairedError(f"data set '{pack.source}': no pairs of an input and an output")
    features = random_features(device)
    metrics: dict[str, Any] = {"diversity": features}
    knows_styles = pack.source == DRAWN_TEST
    if not knows_styles:
        metrics |= published_lpips(device)
    ceiling = distance_of_real(pack, features, device)
    rows, seen, examples = [], [], []
    count = min(len(pack), INPUTS)
    with Progress(f"translate {pack.source}", count) as progress, torch.inference_mode():
        for index in range(count):
            samples = sampled(product, pack, index, repeats, device)
            rows.append(_row(product, samples, metrics, ceiling))
            seen.append(_seen(samples, features, knows_styles))
            examples = examples or [samples.given, samples.outputs[:1], samples.truth]
            progress.advance()
    pooled = _pooled(seen)
    summary = f"diversity {np.mean([row['diversity'] for row in rows]):.3f}"
    if knows_styles:
        summary += f", RMSE to the nearest style {pooled['style_rmse']:.3f}"
    example = np.concatenate([picture_of(one) for one in examples], axis=1)
    return Scored(rows, example, summary, pooled)


def sampled(product: Any, pack: Pack, index: int, count: int, device: torch.device) -> Samples:
    """Return samples of one input of a pack: number k of an input is the same for every product."""
    name = pack.columns["name"][index]
    given, truth = (tensor_of(pack.read_unit(index, key), device) for key in ("input", "output"))
    generators = generators_for(seed_for("translate", pack.source, name), range(count), "z", device)
    _refuse_size(product, given, f"{pack.source}: {name}")
    start = time.perf_counter()
    outputs = product.sampled(given, generators).float().clamp(0, 1)
    return Samples(name, given, outputs, truth, time.perf_counter() - start)


def distance_of_real(pack: Pack, metric: LPIPS, device: torch.device) -> float:
    """Return the mean distance of every scored real output to the next one."""
    count = min(len(pack), INPUTS)
    outputs = [tensor_of(pack.read_unit(index, "output"), device) for index in range(count)]
    with torch.inference_mode():
        pairs = zip(outputs, [*outputs[1:], outputs[0]], strict=True)
        found = [float(metric(*pair)) for pair in pairs if pair[0].shape == pair[1].shape]
    return float(np.mean(found)) if found else 0.0


def tensor_of(picture: np.ndarray, device: torch.device) -> Tensor:
    """Return H x W x 3 as 1 x 3 x H x W."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].to(device)


def picture_of(batch: Tensor) -> np.ndarray:
    """Return the first picture of a batch in 8 bits, H x W x 3."""
    return to_uint8(batch[0].permute(1, 2, 0).cpu().numpy())


def _refuse_size(product: Any, given: Tensor, where: str) -> None:
    height, width = given.shape[-2:]
    if height % product.multiple_px or width % product.multiple_px:
        raise UnpairedError(
            f"{where}: {width}x{height} px, but both sides must be multiples of "
            f"{product.multiple_px} for this model"
        )


def _row(
    product: Any, samples: Samples, metrics: Mapping[str, LPIPS], ceiling: float
) -> dict[str, Any]:
    outputs = samples.outputs
    pixels = outputs.shape[0] * outputs[0, 0].numel()
    row: dict[str, Any] = {"image": samples.name, "repeat": 0}
    for name, metric in metrics.items():
        row[name] = float(metric.distances(outputs[:-1], outputs[1:])[0].mean())
    row["alike_pct"] = PERCENT * float(row["diversity"] < ALIKE_SHARE * ceiling)
    if product.can_encode:
        encoded = product.translate(samples.given, product.encode(samples.truth))
        # In [-1, 1], as the loss that is trained by, and as the thesis prints it.
        row["l1_recon"] = 2 * float((encoded - samples.truth).abs().mean())
    return row | {"seconds_per_mpix": samples.seconds / (pixels / 1e6)}


@dataclass(frozen=True)
class _Seen:
    """What is kept of an input: features of its first sample and of its truth, and styles."""

    made: np.ndarray
    true: np.ndarray
    nearest: Nearest | None


def _seen(samples: Samples, features: LPIPS, knows_styles: bool) -> _Seen:
    made, true = (pooled_features(features, one) for one in (samples.outputs[:1], samples.truth))
    if not knows_styles:
        return _Seen(made, true, None)
    labels = labels_of(picture_of(samples.given))
    outputs = samples.outputs.permute(0, 2, 3, 1).cpu().numpy()
    return _Seen(made, true, nearest_styles(outputs, labels))


def pooled_features(metric: LPIPS, pictures: Tensor) -> np.ndarray:
    """Return the mean of every channel of every layer, N x channels."""
    maps = metric.network(metric.standardized(pictures))
    return torch.cat([one.mean(dim=(2, 3)) for one in maps], dim=1).cpu().numpy()


def _pooled(seen: list[_Seen]) -> dict[str, float]:
    made, true = (np.concatenate([getattr(one, key) for one in seen]) for key in ("made", "true"))
    found = {"fd_random": frechet_distance(made, true)}
    nearest = [one.nearest for one in seen if one.nearest is not None]
    if not nearest:
        return found
    errors = np.concatenate([one.errors for one in nearest])
    styles = np.concatenate([one.styles for one in nearest])
    return found | {
        "style_rmse": float(np.median(errors)),
        "possible_pct": PERCENT * float((errors < POSSIBLE_RMSE).mean()),
        "style_tv": distance_to_chances(styles),
        "styles_of_five": float(np.mean([len(set(one.styles[:5])) for one in nearest])),
    }
