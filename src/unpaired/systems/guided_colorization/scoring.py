"""The protocol of user-guided colorization (Zhang 2018, section 3.4.1): PSNR against what is told.

A condition says what a colorizer is told of a picture's true colors: nothing, all of them, some
points, or a statistic.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from unpaired.catalog.system import Condition
from unpaired.core.progress import Progress
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.imaging.color.hints import (
    Patch,
    color_histogram,
    hint_maps,
    mean_saturation,
    points_on,
    revealed,
)
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.imaging.color.recoloring import as_batch, enlarged, shrunk, with_colors
from unpaired.imaging.pixels import center_crop, to_uint8
from unpaired.metrics.psnr import psnr_db
from unpaired.pipeline.scored import Scored
from unpaired.systems.guided_colorization.revealing import max_error_patches, random_patches

BATCH = 20


class Guidable(Protocol):
    """A product: gives lightness its colors, and may be told of them.

    picture_px: shorter side that pictures are shrunk to before it sees them; None for any.
    """

    picture_px: int | None

    def colorize(self, lightness: Tensor, *key: object, **told: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Truth:
    """A test picture. truth: H x W x 3 uint8."""

    source: str
    name: str
    truth: np.ndarray


@dataclass(frozen=True)
class Pictures:
    """Test pictures of one size, as a product meets them.

    rgb: B x 3 x H x W in [0, 1]. keys: name each of them.
    """

    product: Guidable
    rgb: Tensor
    keys: Sequence[tuple[str, str]]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return tuple(self.rgb.shape[-2:])

    @cached_property
    def seen(self) -> Tensor:
        """What the network sees the lightness of: B x 3 x h x w."""
        return shrunk(self.rgb, self.product.picture_px)

    @cached_property
    def lightness(self) -> Tensor:
        """What the network gets: B x 1 x h x w."""
        return rgb_to_lab(self.seen)[:, :1]

    @cached_property
    def true_ab(self) -> Tensor:
        """B x 2 x H x W."""
        return rgb_to_lab(self.rgb)[:, 1:]

    def colors(self, **told: Tensor) -> Tensor:
        """Return the predicted ab, B x 2 x H x W, float32."""
        with torch.inference_mode():
            found = self.product.colorize(self.lightness, *self.keys[0], **told)
            return enlarged(found.float(), self.size)

    def with_points(self, patches: list[list[Patch]]) -> Tensor:
        """Return the ab that are predicted when patches of the true colors are revealed."""
        return Revealing(self).colors(patches)

    def with_all_colors(self) -> Tensor:
        """Return the ab that are predicted when every pixel's are told."""
        hints = rgb_to_lab(self.seen)[:, 1:]
        return self.colors(ab=hints, mask=torch.ones_like(hints[:, :1]))


class Revealing:
    """Pictures of which more and more is revealed: every patch is put into the hints once.

    To put all of them there again whenever one is added would take longer than the network does.
    """

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        self._hints = torch.zeros_like(pictures.seen[:, :2])
        self._mask = torch.zeros_like(pictures.seen[:, :1])
        self._shown = [0] * len(pictures.rgb)

    def colors(self, patches: Sequence[Sequence[Patch]]) -> Tensor:
        """Return the ab that are predicted, B x 2 x H x W.

        patches: of every picture; those of the last call, and maybe further ones behind them.
        """
        for number, some in enumerate(patches):
            new = some[self._shown[number] :]
            if new:
                self._reveal(number, new)
            self._shown[number] = len(some)
        if not any(self._shown):
            return self.pictures.colors()
        return self.pictures.colors(ab=self._hints, mask=self._mask)

    def _reveal(self, number: int, patches: Sequence[Patch]) -> None:
        true, size = self.pictures.true_ab[number], tuple(self.pictures.seen.shape[-2:])
        if size == self.pictures.size:
            hints, mask = revealed(true, patches)
        else:
            hints, mask = hint_maps(points_on(true, patches), self.pictures.size, size)
        hints, mask = hints.to(self._hints), mask.to(self._mask)
        self._hints[number] = torch.where(mask > 0, hints, self._hints[number])
        self._mask[number] = torch.maximum(mask, self._mask[number])


def predicted(pictures: Pictures, values: Mapping[str, Any]) -> tuple[Tensor, list[int]]:
    """Return the ab that a condition's values lead to, and how many points each picture got."""
    none = [0] * len(pictures.rgb)
    match values["told"]:
        case "nothing":
            return pictures.colors(), none
        case "all":
            return pictures.with_all_colors(), none
        case "histogram":
            return pictures.colors(
                histogram=color_histogram(rgb_to_lab(pictures.seen)[:, 1:])
            ), none
        case "saturation":
            return pictures.colors(saturation=mean_saturation(pictures.rgb)), none
        case "both":
            histogram = color_histogram(rgb_to_lab(pictures.seen)[:, 1:])
            saturation = mean_saturation(pictures.rgb)
            return pictures.colors(histogram=histogram, saturation=saturation), none
        case "random":
            count, size = values["points"], pictures.size
            patches = [random_patches(count, size, *key) for key in pictures.keys]
        case "max_error":
            revealing = Revealing(pictures)
            patches = max_error_patches(values["points"], revealing.colors, pictures.true_ab)
            return revealing.colors(patches), [len(some) for some in patches]
        case other:
            raise ValueError(f"a condition tells '{other}', which no scoring knows")
    return pictures.with_points(patches), [len(some) for some in patches]


def score(
    product: Guidable,
    pack: Pack,
    condition: Condition | Noise | None,
    *,
    repeats: int,
    crop_px: int | None,
    device: torch.device,
) -> Scored:
    """Score a colorizer; the example is the first picture: gray, colorized, true.

    PSNR is that of the 8-bit RGB pictures. "points" of a row is how many were revealed, which is
    less than the condition says where no more of them fit. repeats has no meaning.
    """
    rows, example = [], None
    with Progress(f"colorize {pack.source}", len(pack)) as progress:
        for group in in_groups(truths(pack, crop_px)):
            rgb = torch.cat([as_batch(one.truth) for one in group]).to(device)
            keys = [(one.source, one.name) for one in group]
            start = time.perf_counter()
            ab, counts = predicted(Pictures(product, rgb, keys), condition.values)
            pace = (time.perf_counter() - start) / (rgb[:, 0].numel() / 1e6)
            lab = rgb_to_lab(rgb)
            for number, one in enumerate(group):
                picture = with_colors(lab[number], ab[number])
                scores = {"psnr_db": psnr_db(one.truth, picture), "points": counts[number]}
                rows.append({"image": one.name, "repeat": 0, **scores, "seconds_per_mpix": pace})
                if example is None:
                    gray = with_colors(lab[number], torch.zeros_like(ab[number]))
                    example = np.concatenate([gray, picture, one.truth], axis=1)
                progress.advance()
    mean = np.mean([row["psnr_db"] for row in rows])
    return Scored(rows, example, f"{condition.title}: {mean:.2f} dB")


def truths(pack: Pack, crop_px: int | None) -> Iterator[Truth]:
    """Yield the pictures of a test pack, center crops where they are large."""
    for index in pack:
        picture = center_crop(to_uint8(pack.read_unit(index, "image")), crop_px)
        yield Truth(pack.source, pack.columns["name"][index], picture)


def in_groups(pictures: Iterable[Truth]) -> Iterator[list[Truth]]:
    """Yield pictures that follow each other and have one size together, BATCH at most."""
    group: list[Truth] = []
    for one in pictures:
        if group and (len(group) == BATCH or one.truth.shape != group[0].truth.shape):
            yield group
            group = []
        group.append(one)
    if group:
        yield group
