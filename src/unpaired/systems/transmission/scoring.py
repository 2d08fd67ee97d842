"""The protocol of CommIN (section 4): pictures that arrive, against those that were sent.

PSNR, SSIM and distances are means over pictures; Fréchet and kernel distance are of the set. All
are of pictures in 8 bits but those of the features of a network. Every product meets the same
noise. Pictures are sent in batches that never change, each is kept as soon as it is there, and a
scoring that was killed goes on behind the last one that was kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError
from unpaired.core.kept_parts import KeptParts
from unpaired.core.progress import Progress
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.imaging.pixels import to_uint8
from unpaired.metrics.frechet import frechet_distance
from unpaired.metrics.kernel_distance import kernel_distance
from unpaired.metrics.psnr import psnr_db
from unpaired.metrics.ssim import ssim
from unpaired.pipeline.scored import Scored
from unpaired.systems.transmission.channel import snr_of
from unpaired.systems.transmission.sending import Channel, Product, send_padded

BATCH = 64
NO_PICTURE, SOME_MISSING = "no picture", "pictures missing"
OF_PICTURES = ("psnr_db", "ssim", "feature_distance", "lpips", "lpips_vgg")
OF_SETS = ("fd_portrait_features", "kd_portrait_features")
NO_WEIGHTS = "no weights"


class Features(Protocol):
    """What pictures are compared by: see `methods.portrait_features` of Table 8."""

    def pooled(self, picture: Tensor) -> Tensor: ...

    def distances(self, reference: Tensor, other: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Sent:
    """A picture that was sent. truth: H x W x C in [0, 1]; picture: the same; came: whether it did.

    symbols: complex ones that it took. seconds: of sender and receiver, its share of a batch.
    """

    name: str
    repeat: int
    truth: np.ndarray
    picture: np.ndarray
    came: bool
    symbols: int
    seconds: float


def batches_of(pack: Pack, at_once: int) -> Iterator[list[int]]:
    """Yield the records of a pack in batches, of which each holds pictures of one size."""
    waiting: list[int] = []
    for index in pack:
        if waiting and (len(waiting) == at_once or pack.shape(index) != pack.shape(waiting[0])):
            yield waiting
            waiting = []
        waiting.append(index)
    if waiting:
        yield waiting


def send_all(
    product: Product,
    pack: Pack,
    snr_db: float,
    device: torch.device,
    *,
    repeats: int = 1,
    count: int | None = None,
    parts: KeptParts | None = None,
) -> list[Sent]:
    """Send every picture of a pack, or the first ``count``, over as many repeats of the noise.

    parts: where batches are kept, and found again.
    """
    found: list[Sent] = []
    total = len(pack) if count is None else min(count, len(pack))
    with Progress(f"send {pack.source} at {snr_db:g} dB", total * repeats) as progress:
        for batch in batches_of(pack, product.pictures_at_once):
            batch = [index for index in batch if index < total]
            for repeat in range(repeats if batch else 0):
                sent = _send_batch(product, pack, batch, snr_db, repeat, device, parts)
                found += sent
                progress.advance(len(batch))
    return found


def _send_batch(
    product: Product,
    pack: Pack,
    batch: Sequence[int],
    snr_db: float,
    repeat: int,
    device: torch.device,
    parts: KeptParts | None,
) -> list[Sent]:
    names = [pack.columns["name"][index] for index in batch]
    truths = [pack.read_unit(index) for index in batch]
    part = f"{batch[0]}_{batch[-1]}_{repeat}"
    kept = parts.get(part) if parts else None
    if kept is None:
        channel = Channel(snr_db, pack.source, names, repeat)
        given = torch.from_numpy(np.stack(truths)).permute(0, 3, 1, 2).contiguous().to(device)
        start = time.perf_counter()
        with torch.inference_mode():
            arrived = send_padded(product, given, channel)
        seconds = (time.perf_counter() - start) / len(batch)
        kept = {
            "pictures": arrived.pictures.permute(0, 2, 3, 1).float().cpu().numpy(),
            "came": arrived.came.cpu().numpy(),
            "about": np.array([arrived.symbols, seconds]),
        }
        _require_finite(kept["pictures"], names)
        if parts:
            parts.put(part, kept)
    symbols, seconds = kept["about"]
    whole = zip(names, truths, kept["pictures"], kept["came"], strict=True)
    return [
        Sent(name, repeat, truth, picture, bool(came), int(symbols), float(seconds))
        for name, truth, picture, came in whole
    ]


def _require_finite(pictures: np.ndarray, names: Sequence[str]) -> None:
    bad = [name for name, one in zip(names, pictures, strict=True) if not np.isfinite(one).all()]
    if bad:
        raise UnpairedError(f"{', '.join(bad)}: what arrives is not finite; look at the models")


def score(
    product: Any,
    pack: Pack,
    condition: Condition | Noise | None,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
    features: Features,
    lpips_alex: Any = None,
    lpips_vgg: Any = None,
    parts: KeptParts | None = None,
) -> Scored:
    """Score what arrives; the example is a picture as it was sent, as it arrived, and the error.

    features: the network whose distances are named by it. lpips_alex, lpips_vgg: published LPIPS,
    where they are. crop_px must be None. Raises UnpairedError for what is no channel, and as
    products do.
    """
    sent = send_all(product, pack, snr_of(condition), device, repeats=repeats, parts=parts)
    rows = [_row(one) for one in sent]
    words, pooled = _words(sent, lpips_alex, lpips_vgg), {}
    if not words.keys() & {*OF_SETS}:
        metrics = {"feature_distance": features.distances}
        for name, model in (("lpips", lpips_alex), ("lpips_vgg", lpips_vgg)):
            if model is not None:
                metrics[name] = _of_lpips(model)
        for name, distances in metrics.items():
            for row, distance in zip(rows, _distances(distances, sent, device), strict=True):
                row[name] = distance
        pooled = _pooled(features, sent, device)
    else:
        rows = [{key: row[key] for key in row if key not in words} for row in rows]
    arrived = np.mean([row["arrived"] for row in rows])
    first = sent[0]
    pictures = [to_uint8(first.truth), to_uint8(first.picture)]
    error = np.abs(pictures[0].astype(int) - pictures[1]).astype(np.uint8)
    summary = f"{first.symbols} symbols a picture, {arrived:.0f} % arrived"
    if "psnr_db" in rows[0]:
        summary += f", {np.mean([row['psnr_db'] for row in rows]):.2f} dB"
    return Scored(rows, np.concatenate([*pictures, error], axis=1), summary, pooled | words)


def _words(sent: Sequence[Sent], lpips_alex: Any, lpips_vgg: Any) -> dict[str, str]:
    """Return why metrics have no value, where they have none.

    A mean over the pictures that came would be one over the easy ones.
    """
    came = [one.came for one in sent]
    if not all(came):
        why = SOME_MISSING if any(came) else NO_PICTURE
        return dict.fromkeys((*OF_PICTURES, *OF_SETS), why)
    models = {"lpips": lpips_alex, "lpips_vgg": lpips_vgg}
    return {name: NO_WEIGHTS for name, model in models.items() if model is None}


def _row(one: Sent) -> dict[str, Any]:
    truth, picture = to_uint8(one.truth), to_uint8(one.picture)
    return {
        "image": one.name,
        "repeat": one.repeat,
        "psnr_db": psnr_db(truth, picture),
        "ssim": ssim(truth, picture),
        "arrived": 100.0 * one.came,
        "symbols": one.symbols,
        "seconds_per_mpix": one.seconds / (truth[..., 0].size / 1e6),
    }


Distances = Callable[[Tensor, Tensor], Tensor]


def _of_lpips(model: Any) -> Distances:
    return lambda truth, picture: model.distances(truth, picture)[0]


def _distances(distances: Distances, sent: Sequence[Sent], device: torch.device) -> list[float]:
    found: list[float] = []
    with torch.inference_mode():
        for truth, picture in _tensors(sent, device):
            found += distances(truth, picture).flatten().cpu().tolist()
    return found


def _pooled(features: Features, sent: Sequence[Sent], device: torch.device) -> dict[str, float]:
    with torch.inference_mode():
        both = [
            (features.pooled(truth).cpu(), features.pooled(picture).cpu())
            for truth, picture in _tensors(sent, device)
        ]
    true, made = (torch.cat(some).numpy() for some in zip(*both, strict=True))
    return {
        "fd_portrait_features": frechet_distance(made, true),
        "kd_portrait_features": kernel_distance(made, true),
    }


def _tensors(sent: Sequence[Sent], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield truths and pictures in batches of one size, N x C x H x W in [0, 1]."""
    start = 0
    while start < len(sent):
        size = sent[start].truth.shape
        end = start
        while end < min(len(sent), start + BATCH) and sent[end].truth.shape == size:
            end += 1
        here = sent[start:end]
        yield tuple(
            torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2).contiguous().to(device)
            for some in ([one.truth for one in here], [one.picture for one in here])
        )
        start = end
