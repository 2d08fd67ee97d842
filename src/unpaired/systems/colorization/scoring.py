"""Scoring colorizers as Zhang 2018 does (section 2.3.1), picture by picture."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unpaired.core.progress import Progress
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.imaging.color.ab_bins import load_prior, smoothed_prior
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.imaging.color.recoloring import as_batch, enlarged, shrunk, with_colors
from unpaired.imaging.pixels import center_crop, to_uint8
from unpaired.metrics.colorization import ErrorCurve, rebalancing
from unpaired.metrics.psnr import psnr_db
from unpaired.pipeline.scored import Scored
from unpaired.systems.colorization.methods.colorization import Colorizer

PERCENT = 100


@dataclass(frozen=True)
class Colored:
    """One picture with its predicted colors.

    truth: H x W x 3 uint8. ab: predicted, 2 x H x W in Lab units, at full size. seconds: spent on
    predicting.
    """

    name: str
    truth: np.ndarray
    ab: Tensor
    seconds: float

    @property
    def lab(self) -> Tensor:
        """The true colors: 3 x H x W."""
        return rgb_to_lab(as_batch(self.truth).to(self.ab.device))[0]

    def picture(self) -> np.ndarray:
        """Return the colorized picture, the true lightness kept: H x W x 3 uint8."""
        return with_colors(self.lab, self.ab)


def predict_ab(product: Colorizer, rgb: Tensor, *key: object, **options: Any) -> Tensor:
    """Return the ab that a colorizer gives the lightness of B x 3 x H x W in [0, 1], at full size.

    It sees pictures shrunk to its ``picture_px``; its colors are enlarged bilinearly. key,
    options: as its ``colorize`` takes them.
    """
    lightness = rgb_to_lab(shrunk(rgb, product.picture_px))[:, :1]
    return enlarged(product.colorize(lightness, *key, **options), rgb.shape[-2:])


def colorized(
    product: Colorizer, pack: Pack, *, crop_px: int | None, device: torch.device
) -> Iterator[Colored]:
    """Yield every picture of a test pack with the colors that a colorizer gives it."""
    with Progress(f"colorize {pack.source}", len(pack)) as progress:
        for index in pack:
            name = pack.columns["name"][index]
            truth = center_crop(to_uint8(pack.read_unit(index, "image")), crop_px)
            given = as_batch(truth).to(device)
            start = time.perf_counter()
            with torch.inference_mode():
                ab = predict_ab(product, given, pack.source, name)
            yield Colored(name, truth, ab[0], time.perf_counter() - start)
            progress.advance()


def score(
    product: Colorizer,
    pack: Pack,
    noise: Noise | None,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
    color_prior: Path,
) -> Scored:
    """Score a colorizer; the example is the first picture: gray, colorized, true.

    Areas under the error curve are in percent: of all pixels of all pictures in ``pooled``, of
    every picture's own in its row. The rebalanced ones weight a pixel by the rarity of its true
    color in the file ``color_prior``. PSNR is that of the 8-bit RGB pictures. noise and repeats
    have no meaning.
    """
    prior = load_prior(color_prior)
    curve, rebalanced, rows, example = ErrorCurve(), ErrorCurve(), [], None
    for colored in colorized(product, pack, crop_px=crop_px, device=device):
        truth = colored.lab[1:]
        curve.add(colored.ab, truth)
        rebalanced.add(colored.ab, truth, rebalancing(truth, prior))
        picture = colored.picture()
        rows.append(
            {
                "image": colored.name,
                "repeat": 0,
                "auc_per_image": PERCENT * curve.areas[-1],
                "auc_rebalanced_per_image": PERCENT * rebalanced.areas[-1],
                "psnr_db": psnr_db(colored.truth, picture),
                "seconds_per_mpix": colored.seconds / (truth[0].numel() / 1e6),
            }
        )
        if example is None:
            gray = with_colors(colored.lab, torch.zeros_like(colored.ab))
            example = np.concatenate([gray, picture, colored.truth], axis=1)
    pooled = {
        "auc": PERCENT * curve.result().pooled,
        "auc_rebalanced": PERCENT * rebalanced.result().pooled,
    }
    mean = np.mean([row["psnr_db"] for row in rows])
    summary = ", ".join(f"{name} {value:.2f} %" for name, value in pooled.items())
    return Scored(rows, example, f"{summary}, {mean:.2f} dB", pooled)


def prior_of(pack: Pack) -> Tensor:
    """Return the smoothed color prior of a pack's pictures: 313, float64; one is held at a time.

    All pixels count, not every fourth one as in a training: the same prior weights the pixels of a
    test set, none of whose colors may be empty in it.
    """
    with Progress(f"colors of {pack.source}", len(pack)) as progress:

        def pictures() -> Iterator[Tensor]:
            for index in pack:
                image = torch.from_numpy(pack.read_unit(index, "image")).permute(2, 0, 1)[None]
                yield rgb_to_lab(image)[:, 1:]
                progress.advance()

        return smoothed_prior(pictures())
