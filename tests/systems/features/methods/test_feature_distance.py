"""Features of an encoder as a distance: its formula by hand, what it is not changed by."""

from __future__ import annotations

import pytest
import torch

from tests.systems.features.things import TINY
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(3)
    return create("cross_channel", **TINY).eval()


@pytest.fixture(scope="module")
def product(encoder):
    made = create("feature_distance")
    made.receive("encoder", encoder)
    return made


def pictures(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.rand(2, 3, 40, 48, generator=generator) for _ in range(count)]


def test_it_is_twice_one_minus_the_cosine_meaned_over_places_and_summed_over_layers(
    product, encoder
):
    reference, first, second = pictures(3)
    with torch.inference_mode():
        found = product.distances(reference, first, second)
        for own, other in zip(found, (first, second), strict=True):
            wanted = 0
            one, two = encoder.features(reference), encoder.features(other)
            for layer in one:
                cosine = torch.cosine_similarity(one[layer], two[layer], dim=1)
                is_dark = (one[layer].norm(dim=1) == 0) | (two[layer].norm(dim=1) == 0)
                assert not is_dark.any()
                wanted = wanted + (2 - 2 * cosine).mean(dim=(1, 2))
            torch.testing.assert_close(own, wanted, atol=1e-4, rtol=1e-4)


def test_both_halves_count(product, encoder):
    reference, first, _ = pictures(3)
    gray = reference.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    with torch.inference_mode():
        assert (product.distances(reference, reference)[0] == 0).all()
        assert (product.distances(reference, gray)[0] > 0.01).all()
        swapped = product.distances(first, reference)[0]
        torch.testing.assert_close(swapped, product.distances(reference, first)[0])


def test_small_pictures_and_other_ranges_are_one_line(product):
    small = torch.rand(1, 3, 20, 48)
    with pytest.raises(UnpairedError, match="at least 23 pixels a side"):
        product.distances(small, small)
    with pytest.raises(UnpairedError, match="divide by 255"):
        product.distances(*[255 * picture for picture in pictures(2)])
