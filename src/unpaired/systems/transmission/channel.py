"""The channel: complex symbols of mean power 1, and white Gaussian noise (CommIN, section 2).

Symbols are kept as pairs of real numbers. Noise of variance sigma^2 is sigma^2 / 2 in each of the
pair, and SNR = 10 log10(1 / sigma^2) dB (Equation 4).
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from unpaired.core.errors import UnpairedError
from unpaired.learning.diffusion import draw


def normalized(symbols: Tensor) -> Tensor:
    """Return symbols, B x M x h x w reals, whose complex ones have a mean power of 1 each picture.

    A picture without any power is sent as zeros. Raises UnpairedError for an odd number of reals.
    """
    flat = symbols.flatten(1)
    power = flat.square().sum(dim=1, keepdim=True)
    scale = (complex_symbols(symbols) / power.clamp(min=1e-30)).sqrt()
    return (flat * scale).view_as(symbols)


def complex_symbols(symbols: Tensor) -> int:
    """Return how many complex symbols a picture takes."""
    reals = symbols[0].numel()
    if reals % 2 or not reals:
        raise UnpairedError(
            f"a picture of {reals} real symbols: there must be some, and an even number"
        )
    return reals // 2


def noise_std(snr_db: Tensor) -> Tensor:
    """Return the noise's standard deviation in each real number, for a mean power of 1."""
    return (10 ** (-snr_db / 10) / 2).sqrt()


def add_noise(symbols: Tensor, snr_db: Tensor, generators: list[Generator]) -> Tensor:
    """Return what arrives of symbols, B x M x h x w; one SNR and one generator for each picture."""
    white = draw(generators, tuple(symbols.shape[1:]))
    return symbols + noise_std(snr_db).view(-1, 1, 1, 1) * white


def capacity_bits(symbols: int, snr_db: float) -> float:
    """Return the bits that so many complex symbols can carry without error (Shannon 1948)."""
    return symbols * math.log2(1 + 10 ** (snr_db / 10))


def bandwidth_ratio(symbols: int, picture: Tensor) -> float:
    """Return rho: complex symbols for each number of the picture, B x C x H x W."""
    return symbols / picture[0].numel()


def snr_of(condition: object) -> float:
    """Return the SNR in dB that a condition tells; raises UnpairedError for any other condition."""
    values = getattr(condition, "values", None)
    if not isinstance(values, dict) or "snr_db" not in values:
        raise UnpairedError(
            "pictures are sent through a channel here: name its quality in `noises`, such as snr_1"
        )
    return float(values["snr_db"])


def one_for_each(snr_db: float, pictures: Tensor) -> Tensor:
    """Return the same SNR for every picture of a batch, B."""
    return torch.full((len(pictures),), snr_db, device=pictures.device)
