"""Pairs of a clean and a noisy image from single images and a trained degradation model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator, seed_for
from unpaired.data.packs import Pack, Part, Parts, Record
from unpaired.imaging.pixels import to_uint8
from unpaired.imaging.tiling import map_tiles, restore_tiled
from unpaired.learning.method import Observation
from unpaired.networks.latents import LatentLevel
from unpaired.pipeline.settings import canonical_json
from unpaired.systems.degradation.methods.degradation import DegradationModel

T_MIN, T_MAX = 1.0, 4.0  # Noise levels of LUD-VAE (section 4.4).
GENERATION_METHODS = (2, 3)
TILE_PX = 512
BLOCK = 64  # Latents per side of what is drawn from one key.


@dataclass(frozen=True)
class Pair:
    """A clean and a noisy image, 1 x C x H x W, neither clamped nor rounded."""

    clean: Tensor
    noisy: Tensor


def draw_t(key: tuple[object, ...]) -> float:
    """Return the noise level of one image, uniform from T_MIN to T_MAX; ``key``: plain values."""
    return float(numpy_generator(*key, "t").uniform(T_MIN, T_MAX))


def synthesize(
    method: DegradationModel,
    image: Tensor,
    *,
    key: tuple[object, ...],
    t: float,
    generation_method: int = 3,
    tile_px: int = TILE_PX,
) -> Pair:
    """Make a pair of an image of any size, by generation method 2 or 3 of LUD-VAE (Figure 3).

    image: 1 x C x H x W, nominal range [0, 1]. With method 3 it is clean, and noise of level ``t``
    is sampled for it from the prior, once; with method 2 it is noisy, and the clean image is what
    the model makes of it without noise, whatever ``key`` and ``t``.
    key: plain values that the noise is a function of, such as a seed and the image's name.
    tile_px: kept of a tile, besides its margins. Large images are made tile by tile; the noise
    belongs to places in the image, so the tiles show in nothing (but in method 2 of the public
    model, which adds the same noise to what it sees of every tile).
    Raises UnpairedError for a ``t`` outside of [T_MIN, T_MAX] or another generation method.
    """
    if not T_MIN <= t <= T_MAX:
        raise UnpairedError(f"the noise level t must lie between {T_MIN} and {T_MAX}; got {t}")
    if generation_method not in GENERATION_METHODS:
        known = " and ".join(map(str, GENERATION_METHODS))
        raise UnpairedError(f"there are the generation methods {known}; got {generation_method}")
    multiple_px = method.multiple_px
    margin_px = math.ceil(method.margin_px / multiple_px) * multiple_px
    tiles = {
        "tile_px": tile_px + 2 * margin_px,
        "margin_px": margin_px,
        "multiple_px": multiple_px,
    }
    if generation_method == 2:
        restored = restore_tiled(lambda tile: method.restore(Observation(tile)), image, **tiles)
        return Pair(clean=restored, noisy=image)

    def degrade(tile: Tensor, top: int, left: int) -> Tensor:
        window = (top, left, *tile.shape[-2:])
        noise = [
            noise_window((*key, "noise level", number), level, *window).to(tile)
            for number, level in enumerate(method.noise_levels)
        ]
        return method.degrade(tile, noise, t)

    return Pair(clean=image, noisy=map_tiles(degrade, image, **tiles))


def pairs_of_pack(
    method: DegradationModel,
    source: Pack,
    *,
    seed: int,
    generation_method: int,
    device: torch.device,
    stamp: dict[str, Any],
) -> Parts:
    """Return pairs, one of every picture of a pack, as parts that outlive a kill.

    Records: "noisy" and "clean", uint8 H x W x 3: clipped and rounded, as the authors' PNG files
    are. Each has its own noise level t and its own noise, which its name and ``seed`` decide.
    Scenes are those of the pictures. stamp: what the pairs depend on, besides the picture's place.
    """
    if source.value_range != (0, 255):
        raise UnpairedError(f"pack {source.path}: pairs are made of 8-bit pictures only")

    def read(index: int) -> Record:
        name = source.columns["name"][index]
        key = (seed, "pairs", name)
        image = torch.from_numpy(source.read_unit(index)).permute(2, 0, 1)[None].to(device)
        pair = synthesize(
            method, image, key=key, t=draw_t(key), generation_method=generation_method
        )
        arrays = {"noisy": _as_uint8(pair.noisy), "clean": _as_uint8(pair.clean)}
        return Record(name, arrays, source.columns["scene"][index])

    parts = [Part(f"{i:08d}", canonical_json(stamp), partial(read, i)) for i in source]
    return Parts(source.source, tuple(parts))


def _as_uint8(image: Tensor) -> np.ndarray:
    return to_uint8(image[0].permute(1, 2, 0).float().cpu().numpy())


def noise_window(
    key: tuple[object, ...], level: LatentLevel, top: int, left: int, height: int, width: int
) -> Tensor:
    """Return standard normal numbers for a window of an image, the same at the same places.

    top, left, height, width: of the window, in pixels, multiples of ``level.px``. Returns
    1 x channels x height / px x width / px. Only the window and what surrounds it are ever held.
    """
    top, left, height, width = (length // level.px for length in (top, left, height, width))
    first_row, first_column = top // BLOCK, left // BLOCK
    rows = [
        torch.cat([_block(key, level, row, column) for column in _blocks(left, width)], dim=-1)
        for row in _blocks(top, height)
    ]
    field = torch.cat(rows, dim=-2)[None]
    top, left = top - first_row * BLOCK, left - first_column * BLOCK
    return field[..., top : top + height, left : left + width]


def _blocks(start: int, length: int) -> range:
    return range(start // BLOCK, (start + length - 1) // BLOCK + 1)


def _block(key: tuple[object, ...], level: LatentLevel, row: int, column: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed_for(*key, "block", row, column))
    return torch.randn(level.channels, BLOCK, BLOCK, generator=generator)
