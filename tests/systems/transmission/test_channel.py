"""The channel: power, noise, capacity, and whose noise it is."""

from __future__ import annotations

import math

import pytest
import torch

from tests.systems.transmission import tiny
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.learning.diffusion import draw
from unpaired.systems.transmission.channel import (
    add_noise,
    bandwidth_ratio,
    capacity_bits,
    complex_symbols,
    noise_std,
    normalized,
    snr_of,
)
from unpaired.systems.transmission.sending import Channel, send_padded

PAPERS_SNR_DB = (-5, -3, -1, 1, 3, 5)


def as_complex(symbols: torch.Tensor) -> torch.Tensor:
    return torch.view_as_complex(symbols.flatten(1).view(len(symbols), -1, 2))


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(k) for k in range(count)]


def measured_snr_db(noisy: torch.Tensor, symbols: torch.Tensor) -> float:
    signal, noise = as_complex(symbols), as_complex(noisy - symbols)
    return 10 * math.log10(signal.abs().square().mean() / noise.abs().square().mean())


def test_every_picture_has_a_mean_power_of_1_a_complex_symbol():
    torch.manual_seed(0)
    symbols = normalized(
        torch.randn(5, 4, 6, 7) * torch.tensor([1e-3, 1, 7, 50, 1e3]).view(5, 1, 1, 1)
    )
    power = as_complex(symbols).abs().square().mean(dim=1)
    assert (power - 1).abs().max() < 1e-5
    # Half of it in each of the pair.
    torch.testing.assert_close(symbols.square().mean(dim=(1, 2, 3)), torch.full((5,), 0.5))
    assert normalized(torch.zeros(1, 2, 2, 2)).abs().max() == 0


@pytest.mark.parametrize("snr_db", PAPERS_SNR_DB)
def test_the_measured_snr_is_the_one_that_was_asked_for(snr_db):
    symbols = normalized(torch.randn(4, 2, 224, 224, generator=torch.Generator().manual_seed(9)))
    noisy = add_noise(symbols, torch.full((4,), float(snr_db)), generators(4))
    assert complex_symbols(symbols) * 4 > 1e5
    assert measured_snr_db(noisy, symbols) == pytest.approx(snr_db, abs=0.05)


def test_the_same_measure_finds_a_channel_that_is_3_db_too_kind():
    """Reals of mean square 1, noise of half the variance in each: as in some public code."""
    symbols = normalized(torch.randn(4, 2, 224, 224, generator=torch.Generator().manual_seed(9)))
    kind = 2**0.5 * symbols
    noise = draw(generators(4), tuple(symbols.shape[1:]))
    noisy = kind + noise_std(torch.tensor(1.0)) * noise
    assert measured_snr_db(noisy, kind) == pytest.approx(1 + 3.01, abs=0.05)


def test_every_picture_of_a_batch_has_its_own_snr():
    symbols = normalized(torch.randn(2, 2, 200, 200))
    noisy = add_noise(symbols, torch.tensor([-5.0, 5.0]), generators(2))
    for index, snr_db in enumerate((-5, 5)):
        one = slice(index, index + 1)
        assert measured_snr_db(noisy[one], symbols[one]) == pytest.approx(snr_db, abs=0.1)


def test_the_papers_numbers_of_symbols_and_of_bits():
    from unpaired.learning.create import create

    with torch.device("meta"):
        codec = create("deepjscc")
    assert codec.symbols(256, 256) == 256
    assert bandwidth_ratio(256, torch.empty(1, 3, 256, 256)) == 256 / 196_608
    bits = [round(capacity_bits(256, snr_db)) for snr_db in PAPERS_SNR_DB]
    assert bits == [101, 150, 216, 301, 405, 527]
    with pytest.raises(UnpairedError, match="an even number"):
        complex_symbols(torch.zeros(1, 1, 3, 3))
    with pytest.raises(UnpairedError, match="0 real symbols"):
        complex_symbols(torch.zeros(1, 2, 0, 4))


def test_noise_belongs_to_data_set_snr_picture_and_repeat_and_to_no_batch():
    def noise(snr_db=1.0, source="set", name="a", repeat=0):
        (generator,) = Channel(snr_db, source, [name], repeat).generators("channel", "cpu")
        return torch.randn(8, generator=generator)

    assert torch.equal(noise(), noise())
    for other in ({"snr_db": 3.0}, {"source": "b"}, {"name": "b"}, {"repeat": 1}):
        assert not torch.equal(noise(), noise(**other))
    codec, given = tiny.codec(), tiny.pictures(3)
    with torch.inference_mode():
        together = send_padded(codec, given, Channel(1.0, "set", ["a", "b", "c"])).pictures
        alone = send_padded(codec, given[1:2], Channel(1.0, "set", ["b"])).pictures
    torch.testing.assert_close(together[1:2], alone)


def test_sides_are_extended_to_what_the_codec_takes_and_cut_again():
    arrived = send_padded(tiny.codec(), tiny.pictures(1, 20), Channel(1.0, "set", ["a"]))
    assert arrived.pictures.shape == (1, 3, 20, 20)
    assert arrived.symbols == 4 * 3 * 3 // 2  # Of 24 x 24 pixels.


def test_conditions_tell_their_snr_and_nothing_else_is_a_channel():
    conditions = catalog.conditions()
    names = ["snr_minus5", "snr_minus3", "snr_minus1", "snr_1", "snr_3", "snr_5"]
    assert [snr_of(conditions[name]) for name in names] == list(PAPERS_SNR_DB)
    for other in (None, conditions["face_zero"]):
        with pytest.raises(UnpairedError, match="name its quality in `noises`"):
            snr_of(other)
