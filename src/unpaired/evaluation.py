"""Scoring a restorer by the protocol of Neighbor2Neighbor's Table 1."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unpaired.corruptions.noise import Noise
from unpaired.errors import UnpairedError
from unpaired.methods.base import Observation, Restorer
from unpaired.metrics.psnr import psnr_db
from unpaired.metrics.ssim import ssim
from unpaired.packs import Pack
from unpaired.progress import Progress
from unpaired.randomness import numpy_generator


@dataclass(frozen=True)
class Comparison:
    """One image, one noise draw: the three uint8 H x W x C pictures and what restoring took."""

    image: str
    repeat: int
    clean: np.ndarray
    noisy: np.ndarray
    restored: np.ndarray
    seconds: float

    def row(self) -> dict[str, object]:
        """Return the scores as one line of a score file."""
        megapixels = self.clean.shape[0] * self.clean.shape[1] / 1e6
        return {
            "image": self.image,
            "repeat": self.repeat,
            "psnr_db": psnr_db(self.clean, self.restored),
            "ssim": ssim(self.clean, self.restored),
            "noisy_psnr_db": psnr_db(self.clean, self.noisy),
            "noisy_ssim": ssim(self.clean, self.noisy),
            "seconds_per_mpix": self.seconds / megapixels,
        }


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
    restorer: Restorer, noisy: np.ndarray, level: float, device: torch.device
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
    noise: Noise,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
) -> Iterator[Comparison]:
    """Yield every image of a test pack, ``repeats`` times, noisy and restored."""
    with Progress(f"evaluate on {pack.source}", len(pack) * repeats) as progress:
        for index in pack:
            name = pack.columns["name"][index]
            clean_uint8 = centre_crop(pack.read(index), crop_px)
            clean = clean_uint8.astype(np.float32) / np.float32(255)
            for repeat in range(repeats):
                noisy, level = observe(clean, noise, pack.source, name, repeat)
                start = time.perf_counter()
                restored = restore_array(restorer, noisy, level, device)
                seconds = time.perf_counter() - start
                pictures = clean_uint8, to_uint8(noisy), to_uint8(restored)
                yield Comparison(name, repeat, *pictures, seconds)
                progress.advance()
