"""Pictures through a channel: what a product is given, and what it gives back.

A product has ``send(picture, channel)``. It sees the picture as the sender does; what its receiver
sees is in its own hands, and all of them here show it nothing but the symbols' remains. The noise
belongs to data set, SNR, picture and repeat, so every product meets the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional

from unpaired.core.randomness import seed_for
from unpaired.systems.transmission.channel import one_for_each


@dataclass(frozen=True)
class Arrived:
    """What arrives of pictures.

    pictures: B x C x H x W in [0, 1]. came: B, whether there is a picture at all; what stands in
    ``pictures`` where there is none means nothing. symbols: complex ones that each picture took.
    """

    pictures: Tensor
    came: Tensor
    symbols: int


@dataclass(frozen=True)
class Channel:
    """A channel as it is for some pictures.

    source, names: data set and pictures, which the noise belongs to, with the repeat.
    """

    snr_db: float
    source: str
    names: Sequence[str]
    repeat: int = 0

    def generators(self, stream: str, device: torch.device) -> list[Generator]:
        """Return one generator for each picture; stream: what its numbers are for."""
        return [
            torch.Generator(device).manual_seed(
                seed_for(stream, self.source, self.snr_db, name, self.repeat)
            )
            for name in self.names
        ]

    def transmit(self, codec: Any, picture: Tensor) -> Tensor:
        """Return y of a DeepJSCC codec: pictures after encoder, channel and decoder."""
        generators = self.generators("channel", picture.device)
        return codec.transmit(picture, one_for_each(self.snr_db, picture), generators)


class Product(Protocol):
    """What pictures are sent with. multiple_px: their sides are multiples of it."""

    multiple_px: int
    pictures_at_once: int

    def send(self, picture: Tensor, channel: Channel) -> Arrived: ...


def send_padded(product: Product, picture: Tensor, channel: Channel) -> Arrived:
    """Return what arrives of pictures of any size, B x C x H x W in [0, 1].

    Sides are extended by repetition to what the product takes, and cut again; what is extended is
    sent as well, and counts in ``symbols``.
    """
    height, width = picture.shape[-2:]
    multiple = product.multiple_px
    padding = (0, -width % multiple, 0, -height % multiple)
    padded = functional.pad(picture, padding, mode="replicate") if any(padding) else picture
    arrived = product.send(padded, channel)
    return Arrived(arrived.pictures[..., :height, :width], arrived.came, arrived.symbols)


def all_came(pictures: Tensor, symbols: int) -> Arrived:
    """Return pictures that all arrived."""
    return Arrived(pictures, torch.ones(len(pictures), dtype=torch.bool), symbols)
