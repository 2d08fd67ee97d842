"""Scoring a restorer by the protocols of Neighbor2Neighbor's Tables 1 and 2 and of LUD-VAE.

Pictures are scored rounded to 8 bits; mosaics as floating-point numbers in [0, 1], since rounding
them alone costs more than methods differ by.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from unpaired.core.errors import UnpairedError
from unpaired.core.progress import Progress
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.data.sources.sidd import Instance
from unpaired.imaging import bayer
from unpaired.imaging.pixels import center_crop, to_uint8
from unpaired.learning.method import Restorer
from unpaired.learning.restoring import observe, restore_array
from unpaired.metrics.psnr import psnr_db
from unpaired.metrics.ssim import ssim
from unpaired.pipeline.scored import Scored


@dataclass(frozen=True)
class Comparison:
    """One image, one noise draw: the three H x W x C images as scored, and what restoring took.

    peak: end of the range of floating-point images, None for uint8.
    """

    image: str
    repeat: int
    clean: np.ndarray
    noisy: np.ndarray
    restored: np.ndarray
    seconds: float
    peak: float | None = None

    def row(self) -> dict[str, object]:
        """Return the scores as one line of a score file."""
        megapixels = self.clean.shape[0] * self.clean.shape[1] / 1e6
        return {
            "image": self.image,
            "repeat": self.repeat,
            "psnr_db": psnr_db(self.clean, self.restored, peak=self.peak),
            "ssim": ssim(self.clean, self.restored, peak=self.peak),
            "noisy_psnr_db": psnr_db(self.clean, self.noisy, peak=self.peak),
            "noisy_ssim": ssim(self.clean, self.noisy, peak=self.peak),
            "seconds_per_mpix": self.seconds / megapixels,
        }

    def triptych(self) -> np.ndarray:
        """Return noisy, restored and clean side by side to look at, uint8 H x 3 W x 3."""
        images = (self.noisy, self.restored, self.clean)
        if self.peak is not None:
            pattern = pattern_of(self.image)
            planes = [bayer.pack(image[..., 0], pattern) for image in images]
            images = developed(planes)
        return np.concatenate(images, axis=1)


def pattern_of(name: str) -> str:
    """Return the Bayer pattern of a record ``<instance>/<frame>``, from its phone."""
    return Instance.parse(name.rpartition("/")[0]).pattern


def developed(planes: list[np.ndarray]) -> list[np.ndarray]:
    """Return packed planes of one scene, H x W x 4 in [0, 1], as viewable uint8 H x W x 3.

    Half size, white-balanced to the mean gray of the last one, as bright as its brightest percent
    allows, gamma 2.2: to look at, not to measure.
    """
    colors = [
        np.stack([p[..., bayer.RED], p[..., 1:3].mean(axis=-1), p[..., bayer.BLUE]], axis=-1)
        for p in planes
    ]
    gains = 1 / np.maximum(colors[-1].mean(axis=(0, 1)), 1e-6)
    white = max(np.percentile(colors[-1] * gains, 99), 1e-6)
    return [to_uint8(np.clip(c * gains / white, 0, 1) ** (1 / 2.2)) for c in colors]


def compare(
    restorer: Restorer,
    pack: Pack,
    noise: Noise | None,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
) -> Iterator[Comparison]:
    """Yield every image of a test pack, ``repeats`` times, noisy and restored.

    noise: added to the pack's pictures; None for pairs of pictures, which are noisy already.
    """
    with Progress(f"evaluate on {pack.source}", len(pack) * repeats) as progress:
        for index in pack:
            for repeat in range(repeats):
                clean, noisy, level = _views(pack, index, noise, crop_px, repeat)
                start = time.perf_counter()
                restored = restore_array(restorer, noisy, level, device)
                seconds = time.perf_counter() - start
                yield _as_scored(pack, index, repeat, (clean, noisy, restored), seconds)
                progress.advance()


def score(
    restorer: Restorer,
    pack: Pack,
    noise: Noise | None,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
) -> Scored:
    """Score a restorer; the example is the first image: noisy, restored, clean."""
    rows, example = [], None
    options = {"repeats": repeats, "crop_px": crop_px, "device": device}
    for comparison in compare(restorer, pack, noise, **options):
        rows.append(comparison.row())
        if example is None:
            example = comparison.triptych()
    mean = np.mean([row["psnr_db"] for row in rows])
    gain = np.mean([row["psnr_db"] - row["noisy_psnr_db"] for row in rows])
    return Scored(rows, example, f"{mean:.2f} dB, {gain:+.2f} dB over the noisy image")


def _views(
    pack: Pack, index: int, noise: Noise | None, crop_px: int | None, repeat: int
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Return the clean and the noisy image, float32, and the noise's level if it is known."""
    if noise is None:
        if not pack.is_paired:
            raise UnpairedError(f"pack {pack.path} holds no pairs of a noisy and a clean picture")
        clean, noisy = (pack.read_unit(index, key) for key in ("clean", "noisy"))
        return center_crop(clean, crop_px), center_crop(noisy, crop_px), None
    clean = center_crop(pack.read_unit(index, "clean" if pack.is_paired else "image"), crop_px)
    return clean, *observe(clean, noise, pack.source, pack.columns["name"][index], repeat)


def _as_scored(
    pack: Pack, index: int, repeat: int, images: tuple[np.ndarray, ...], seconds: float
) -> Comparison:
    name = pack.columns["name"][index]
    if pack.value_range == (0, 255):
        return Comparison(name, repeat, *map(to_uint8, images), seconds)
    mosaics = (bayer.unpack(np.clip(i, 0, 1), pattern_of(name))[..., None] for i in images)
    return Comparison(name, repeat, *mosaics, seconds, peak=1.0)
