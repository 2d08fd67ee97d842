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
from torch import Tensor

from unpaired import bayer
from unpaired.corruptions.noise import Noise
from unpaired.datasets.sidd import Instance
from unpaired.errors import UnpairedError
from unpaired.methods.base import Observation, Restorer
from unpaired.metrics.psnr import psnr_db
from unpaired.metrics.ssim import ssim
from unpaired.packs import Pack
from unpaired.progress import Progress
from unpaired.randomness import numpy_generator
from unpaired.tasks import Scored


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
    colours = [
        np.stack([p[..., bayer.RED], p[..., 1:3].mean(axis=-1), p[..., bayer.BLUE]], axis=-1)
        for p in planes
    ]
    gains = 1 / np.maximum(colours[-1].mean(axis=(0, 1)), 1e-6)
    white = max(np.percentile(colours[-1] * gains, 99), 1e-6)
    return [to_uint8(np.clip(c * gains / white, 0, 1) ** (1 / 2.2)) for c in colours]


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Clamp to [0, 1] and round half up to 0..255."""
    return np.floor(255 * np.clip(image, 0, 1) + 0.5).astype(np.uint8)


def observe(clean: np.ndarray, noise: Noise, *key: object) -> tuple[np.ndarray, float]:
    """Return the noisy float32 image and its level; ``key`` alone decides what is drawn.

    Evaluation passes (test set, image, repeat): every method and ablation sees the same noise.
    """
    rng = numpy_generator("evaluation", noise.name, *key)
    level = noise.draw_level(rng)
    return noise.apply(clean, level, rng), level


def pad_to_square(image: np.ndarray, multiple_px: int) -> np.ndarray:
    """Reflect-pad bottom and right to a square: the longer side, rounded up to ``multiple_px``."""
    height, width = image.shape[:2]
    side = -(-max(height, width) // multiple_px) * multiple_px
    return np.pad(image, ((0, side - height), (0, side - width), (0, 0)), mode="reflect")


def restore_array(
    restorer: Restorer, noisy: np.ndarray, level: float | None, device: torch.device
) -> np.ndarray:
    """Restore an H x W x C float32 array; the level is passed on only if the method may know it.

    Networks are given a padded square, as the authors do; other methods the image as it is.
    """
    array = noisy if restorer.multiple_px == 1 else pad_to_square(noisy, restorer.multiple_px)
    padded = torch.from_numpy(array).permute(2, 0, 1)[None].to(device)
    known = level if "level" in restorer.knows else None
    restored: Tensor = restorer.restore(Observation(padded, known))
    if restored.shape != padded.shape:
        raise UnpairedError(
            f"the method returned {tuple(restored.shape)}, not {tuple(padded.shape)}"
        )
    return restored[0].permute(1, 2, 0).float().cpu().numpy()[: noisy.shape[0], : noisy.shape[1]]


def centre_crop(image: np.ndarray, crop_px: int | None) -> np.ndarray:
    """Return the centre crop of at most ``crop_px`` a side; the whole image for None."""
    if crop_px is None:
        return image
    top, left = (max(0, (side - crop_px) // 2) for side in image.shape[:2])
    return image[top : top + crop_px, left : left + crop_px]


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
        return centre_crop(clean, crop_px), centre_crop(noisy, crop_px), None
    clean = centre_crop(pack.read_unit(index, "clean" if pack.is_paired else "image"), crop_px)
    return clean, *observe(clean, noise, pack.source, pack.columns["name"][index], repeat)


def _as_scored(
    pack: Pack, index: int, repeat: int, images: tuple[np.ndarray, ...], seconds: float
) -> Comparison:
    name = pack.columns["name"][index]
    if pack.value_range == (0, 255):
        return Comparison(name, repeat, *map(to_uint8, images), seconds)
    mosaics = (bayer.unpack(np.clip(i, 0, 1), pattern_of(name))[..., None] for i in images)
    return Comparison(name, repeat, *mosaics, seconds, peak=1.0)
