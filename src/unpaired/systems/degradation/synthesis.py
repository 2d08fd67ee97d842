"""Pairs of a clean and a noisy image from single images and a trained degradation model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.randomness import numpy_generator
from unpaired.data.packs import Pack, open_verified
from unpaired.data.records import Part, Parts, Record
from unpaired.imaging.pixels import to_uint8
from unpaired.imaging.tiling import map_tiles, restore_tiled
from unpaired.learning.method import Observation
from unpaired.pipeline.settings import canonical_json
from unpaired.systems.degradation.latent_texture import (
    LatentSpread,
    LatentTexture,
    texture_of_a_picture,
)
from unpaired.systems.degradation.methods.degradation import (
    SAMPLINGS,
    T_RANGE,
    DegradationModel,
)
from unpaired.systems.degradation.white_noise import noise_window

T_MIN, T_MAX = T_RANGE
GENERATION_METHODS = (2, 3)
TILE_PX = 512


@dataclass(frozen=True)
class Pair:
    """A clean and a noisy image, 1 x C x H x W, neither clamped nor rounded."""

    clean: Tensor
    noisy: Tensor


def draw_levels(
    method: DegradationModel,
    key: tuple[object, ...],
    *,
    t: Sequence[float] | None = None,
    content_noise: Sequence[float] | None = None,
) -> dict[str, float | None]:
    """Return the noise levels of one image, each uniform in a range: the method's, or a given one.

    key: plain values. t: least and greatest factor on the sampled noise latents. content_noise:
    least and greatest deviation of the noise that the content path sees, in units of the [0, 1]
    range. Raises UnpairedError for what is no range, and for ``content_noise`` of a method without.
    """
    if content_noise is not None and method.content_noise_range is None:
        raise UnpairedError("content_noise: only lud_vae_public adds noise to what it sees")
    ranges = {
        "t": method.t_range if t is None else t,
        "content_noise": method.content_noise_range if content_noise is None else content_noise,
    }
    return {name: own and _draw(name, own, key) for name, own in ranges.items()}


def _draw(name: str, ends: Sequence[float], key: tuple[object, ...]) -> float:
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1]:
        raise UnpairedError(f"{name} is a range, the least and the greatest value; got {ends}")
    return float(numpy_generator(*key, name).uniform(*ends))


def synthesize(
    method: DegradationModel,
    image: Tensor,
    *,
    key: tuple[object, ...],
    t: float,
    content_noise: float | None = None,
    generation_method: int = 3,
    texture: LatentTexture | LatentSpread | None = None,
    tile_px: int = TILE_PX,
) -> Pair:
    """Make a pair of an image of any size, by generation method 2 or 3 of LUD-VAE (Figure 3).

    image: 1 x C x H x W, nominal range [0, 1]. With method 3 it is clean, and noise of level ``t``
    is sampled for it once, from the prior or, where there is a ``texture``, from that; with method
    2 it is noisy, and the clean image is what the model makes of it without noise, whatever ``key``
    and ``t``.
    key: plain values that the noise is a function of, such as a seed and the image's name.
    content_noise: deviation of the noise that the content path of the public model sees, in units
    of the [0, 1] range; None for that of its training.
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
        if texture is not None:
            return method.degrade(tile, texture.window((*key, "texture"), *window), t)
        noise = [
            noise_window((*key, "noise level", number), level, *window).to(tile)
            for number, level in enumerate(method.noise_levels)
        ]
        return method.degrade(tile, noise, t, content_noise)

    return Pair(clean=image, noisy=map_tiles(degrade, image, **tiles))


def pairs_of_pack(
    method: DegradationModel,
    source: Pack,
    *,
    trained_on: Mapping[str, Path],
    seed: int,
    generation_method: int,
    device: torch.device,
    stamp: dict[str, Any],
    sampling: str | None = None,
    t: Sequence[float] | None = None,
    content_noise: Sequence[float] | None = None,
) -> Parts:
    """Return pairs, one of every picture of a pack, as parts that outlive a kill.

    Records: "noisy" and "clean", uint8 H x W x 3: clipped and rounded, as the authors' PNG files
    are. Each has its own noise levels and its own noise, which its name and ``seed`` decide.
    Scenes are those of the pictures, and what else the pack holds of them, as a larger picture, is
    passed on. stamp: what the pairs depend on, besides the picture's place.

    trained_on: the packs that the method has learned from, by what they hold. sampling: "prior",
    N(0, I) times a level of the range ``t`` (section 4.4); or "posterior" or "spread", each pair by
    what the latents of one picture of the noisy training set are like, chosen at random (see
    `latent_texture`); None for the method's own way.
    t, content_noise: as for `draw_levels`.
    """
    if source.value_range != (0, 255):
        raise UnpairedError(f"pack {source.path}: pairs are made of 8-bit pictures only")
    if sampling is None:
        sampling = method.sampling if generation_method == 3 else "prior"
    check_choice("pairs_from", "sampling", sampling, SAMPLINGS)
    by_picture = sampling != "prior"
    if by_picture and (generation_method != 3 or t is not None):
        raise UnpairedError(
            f"pairs_from: sampling: {sampling} is for generation_method 3, without t"
        )
    noisy = open_verified(trained_on["noisy"]) if by_picture else None
    ranges = {"t": (1.0, 1.0) if by_picture else t, "content_noise": content_noise}

    def read(index: int) -> Record:
        name = source.columns["name"][index]
        key = (seed, "pairs", name)
        image = torch.from_numpy(source.read_unit(index)).permute(2, 0, 1)[None].to(device)
        texture = None
        if noisy is not None:
            texture = texture_of_a_picture(method, noisy, key, device, sampling)
        pair = synthesize(
            method,
            image,
            key=key,
            **draw_levels(method, key, **ranges),
            generation_method=generation_method,
            texture=texture,
        )
        arrays = {"noisy": _as_uint8(pair.noisy), "clean": _as_uint8(pair.clean)}
        arrays |= {field: source.read(index, field) for field in source.fields if field != "image"}
        return Record(name, arrays, source.columns["scene"][index])

    parts = [Part(f"{i:08d}", canonical_json(stamp), partial(read, i)) for i in source]
    return Parts(source.source, tuple(parts))


def _as_uint8(image: Tensor) -> np.ndarray:
    return to_uint8(image[0].permute(1, 2, 0).float().cpu().numpy())
